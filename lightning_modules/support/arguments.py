"""What people write behind options: names alone, lists, options given twice, and ``~``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace

from redact_core import RedactError
from redact_core.support.paths import at_home

Names = list[str | int | dict[str, Any]] | str | int
"""What an option with names may hold, in YAML's types; texts come first, so that they are not read as numbers."""
ADDING = {
    "fit": ("data.redact", "data.reference", "data.retain"),
    "evaluate": ("redact", "reference"),
    "attack": ("redact", "reference"),
    "compare": ("redact", "reference"),
}
"""Verb -> options with names, of which every one counts where an option is given more than once."""
_FOLDERS = "redacted"
_OBJECTS = ("attacks", "scorers", "set_scorers")
_OPTION = re.compile(r"--(?P<name>[\w.]+)(?P<more>\+)?(?:=(?P<value>.*))?", re.DOTALL)


def gathered(arguments: Sequence[str]) -> list[str]:
    """The arguments of a verb, with names that were given one by one put together; a parser keeps the last alone.

    Args:
        arguments: The verb and what follows it.

    Raises:
        RedactError: A list cannot be read, or a list of classes is given twice.
    """
    names = ADDING.get(arguments[0], ()) if arguments else ()
    if not names:
        return list(arguments)
    rest, parts = list(arguments[1:]), [[arguments[0]]]
    values: dict[str, list[str]] = {}
    place: dict[str, int] = {}
    while rest:
        token = rest.pop(0)
        option = _OPTION.fullmatch(token)
        name = option["name"] if option else ""
        if option is None or name not in (*names, _FOLDERS, *_OBJECTS):
            parts.append([token])
            continue
        given = [] if option["value"] is None else [option["value"]]
        while (
            not option["value"] and rest and not rest[0].startswith("-") and (name == _FOLDERS or not given)
        ):
            given.append(rest.pop(0))
        if name in _OBJECTS and name in place and not option["more"]:
            raise RedactError(
                f"--{name} is given twice; give one list, --{name} [first, second], or --{name}+=NAME."
            )
        if name in _OBJECTS or not given or given == ["null"]:
            place.setdefault(name, len(parts))
            parts.append([token, *given] if option["value"] is None else [token])
            continue
        if name not in values:
            values[name], place[name] = [], len(parts)
            parts.append([f"--{name}{option['more'] or ''}"])
        values[name] += given if name == _FOLDERS else [text for value in given for text in names_in(value)]
    for name, given in values.items():
        (head,) = parts[place[name]]
        parts[place[name]] = (
            [head, *given] if name == _FOLDERS else [f"{head}={json.dumps(given, allow_nan=False)}"]
        )
    return [token for part in parts for token in part]


def names_in(value: object) -> tuple[str, ...]:
    """The names that an option or an entry of a config holds: a text is one, ``[a, b]`` two.

    A number is a name, too (an id of a speaker), and so is ``style: noto``, which YAML reads as a mapping.

    Raises:
        RedactError: A list cannot be read, or an entry is no text.
    """
    if value is None:
        return ()
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            # texts as they stand: neither numbers nor yes and no
            read: Any = yaml.load(value, yaml.BaseLoader)
        except yaml.YAMLError:
            read = None
        if not isinstance(read, list):
            raise RedactError(
                f"{value!r:.80} begins like a list and cannot be read as one; write [first, second], a text with a bracket "
                "or a comma in double quotes."
            )
        value = read
    entries = value if isinstance(value, list | tuple) else [value]
    return tuple(map(_name, entries))


def _name(entry: object) -> str:
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((key, said),) = entry.items()
        if isinstance(key, str) and isinstance(said, str | int) and not isinstance(said, bool):
            return f"{key}: {said}"
    if isinstance(entry, str | int | Path) and not isinstance(entry, bool):
        return str(entry)
    raise RedactError(f"{entry!r:.60} is no name; put a text in quotes, e.g. '[\"{entry}\"]'.")


def at_home_everywhere(value: Any) -> Any:
    """Every path and text in a parsed config that begins with ``~/`` (or is ``~``), with the home folder in its place.

    Namespaces, mappings and lists are changed in place where they can be; the result is to be used.
    """
    if isinstance(value, Namespace):
        for key, entry in vars(value).items():
            setattr(value, key, at_home_everywhere(entry))
        return value
    if isinstance(value, Mapping):
        return {key: at_home_everywhere(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [at_home_everywhere(entry) for entry in value]
    if isinstance(value, Path):
        return at_home(value) if str(value).startswith("~") else value
    if isinstance(value, str) and (value == "~" or value.startswith("~/")):
        return str(at_home(value))
    return value
