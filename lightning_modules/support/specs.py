"""Classes with arguments as texts: what a command, a suite or a record names, and the object it means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from lightning_modules.support.arguments import at_home_everywhere
from lightning_modules.support.names import import_classes, path_of, places
from lightning_modules.support.near_names import meant, no_class
from lightning_modules.support.parser_words import parser_says
from redact_core import Attack, RedactError
from redact_core.attacks.base import check_declared
from redact_core.errors import raise_together
from redact_core.evaluation.evidence import BASE
from redact_core.support.paths import at_home

T = TypeVar("T")


def specs_of(chosen: Sequence[Namespace] | None, names: Sequence[str]) -> list[dict[str, Any]]:
    """Class and arguments of each object, as JSON keeps them; ``names`` if none was chosen."""
    if not chosen:
        return [{"class_path": _module_of(name), "init_args": {}} for name in names]
    return [
        {
            "class_path": spec["class_path"],
            "init_args": _plain(spec.get("init_args") or {}),
        }
        for spec in chosen
    ]


def spec_of(entry: object) -> dict[str, Any]:
    """Class and arguments from ``Name``, ``Name: {argument: value}`` or ``{class_path: …, init_args: …}``.

    An argument that is an object itself may be written in the same three ways.

    Args:
        entry: One of these, as a text in YAML or as what YAML makes of it.

    Raises:
        RedactError: It is none of these, or there is no such class.
    """
    entry = _plain(entry)  # the parser makes a namespace of what has a class_path
    try:
        value = yaml.safe_load(entry) if isinstance(entry, str) else entry
    except yaml.YAMLError:
        value = None
    if isinstance(value, str):
        return {"class_path": _module_of(value), "init_args": {}}
    if isinstance(value, Mapping) and "class_path" in value:
        if strange := {*value} - {"class_path", "init_args"}:
            raise RedactError(
                f"{entry!r:.80} has {min(map(str, strange))}, which is not read; write class_path and init_args."
            )
        return {
            "class_path": _module_of(str(value["class_path"])),
            "init_args": _nested(value.get("init_args") or {}),
        }
    if isinstance(value, Mapping) and len(value) == 1:
        name, arguments = next(iter(value.items()))
        if arguments is None or isinstance(arguments, Mapping):
            return {"class_path": _module_of(str(name)), "init_args": _nested(arguments or {})}
    raise RedactError(f"{entry!r:.80} names no class; write Name, or 'Name: {{argument: value}}'.")


def _nested(arguments: object) -> dict[str, Any]:
    """Arguments of which those like ``{Name: {argument: value}}`` are classes with arguments, as the parser reads them.

    Raises:
        RedactError: They are none.
    """
    if not isinstance(arguments, Mapping):
        raise RedactError(f"{arguments!r:.80} are no arguments of a class; write {{argument: value}}.")
    found: dict[str, Any] = {}
    for key, value in arguments.items():
        named = value if isinstance(value, Mapping) else {}
        name = str(next(iter(named), ""))
        if "class_path" in named or (
            len(named) == 1 and path_of(name) and isinstance(named[name], Mapping | None)
        ):
            found[key] = spec_of(value)
        else:
            found[key] = value
    return found


def build(kind: type[T], spec: Mapping[str, Any]) -> T:
    """An object from its record; the arguments are parsed as on the command line.

    Raises:
        RedactError: There is no such class, it is no ``kind``, or it takes no such arguments.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "object", required=True)
    path = _module_of(spec["class_path"])
    given = at_home_everywhere(dict(spec.get("init_args") or {}))
    try:
        importlib.import_module(path.rpartition(".")[0])
        import_classes(given)
        values = {"object": {"class_path": path, "init_args": given}}
        config = parser.parse_object(values)
    except (ImportError, ArgumentError) as error:
        reason = _unknown(given) or parser_says(error)
        raise RedactError(f"{path} cannot be made: {reason}; 'redact ls' lists what there is.") from error
    try:
        made = parser.instantiate(config)["object"]
        if issubclass(kind, Attack):
            check_declared(made)
        return made
    except ValueError as error:
        # of an object within the object the parser tells in words of its own what is wrong
        ours = _own(error)
        if ours is None:
            raise
        raise ours from error


def _unknown(arguments: Mapping[str, Any]) -> str:
    """What is wrong with an argument that was meant as a class, of a name that no class has; empty where there is none."""
    for key, value in arguments.items():
        name = str(next(iter(value), "")) if isinstance(value, Mapping) and len(value) == 1 else ""
        if name[:1].isupper() and "." not in name and path_of(name) is None:
            return no_class(name, f"--{key}")
    return ""


def _own(error: BaseException | None) -> RedactError | None:
    """The error of ours that another was raised for."""
    while error is not None and not isinstance(error, RedactError):
        error = error.__cause__ or error.__context__
    return error


def folders_by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Folder names as names of the models.

    Raises:
        RedactError: Two share a name, or one is no folder.
    """
    names: dict[str, Path] = {}
    problems: list[str] = []
    for folder in map(at_home, folders):
        name = folder.resolve().name
        if name == BASE or name in names:
            problems.append(f"two models are called {name}; rename one folder")
        elif not folder.is_dir():
            problems.append(f"there is no folder {folder}; give one that redact fit exported")
        names[name] = folder
    raise_together("The redacted models cannot be used", problems)
    return names


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping | Namespace):
        # of a namespace the entries as jsonargparse nests them
        entries = value.as_dict() if isinstance(value, Namespace) else value
        return {key: _plain(entry) for key, entry in entries.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _module_of(name: str) -> str:
    if "." in name:
        return name
    path = path_of(name)
    if path is None:
        raise RedactError(f"There is no class {name}{meant(name, places())}; 'redact ls' lists them.")
    return path
