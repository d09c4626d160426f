"""What the parser refuses, in a person's words: the option, what it takes and what was given."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from dataclasses import dataclass, field

from lightning_modules.support.near_names import meant, no_class

_AROUND = re.compile(
    r"Does not validate against any of the Union subtypes|Subtypes: |Errors:|Given value type: |Given value: ([{\[]|NestedArg|Namespace)|"
    r"Expected a <class 'NoneType'>|Expected a path but .* either not accessible or invalid|"
    # what can be written for a class
    r"Subclass types expect one of:|a class path \(str\)|a dict with(out)? (class_path|parameters)"
)
"""Lines of the parser that stand around the reason."""
_KEY = re.compile(r'Parser key "(?P<key>[\w.]+)":\s*(?P<rest>.*)')
_CLASS = re.compile(r"Problem with given class_path '(?P<path>[\w.]+)':\s*(?P<rest>.*)")
_NO_CLASS = re.compile(
    r"Expected a dot import path string: (?P<name>[\w.]+)|Import path ((?P<path>[\w.]+) )?does not correspond to a subclass of (?P<wanted>\w+)|"
    r"Expected an instantiatable class, but ((?P<abstract>[\w.]+) )?is abstract"
)
_NOT_ONE = re.compile(r"Not a valid subclass of (?P<wanted>\w+)\. Got value: (?P<given>.*)")
_NO_IMPORT = re.compile(r"No module named|module '[\w.]+' has no attribute")
_NO_OPTION = re.compile(r"Option '(?P<name>\w+)' is not accepted")
_NEEDED = re.compile(r"the following arguments are required: (?P<names>.*)")
_EXPECTED = re.compile(r"Expected (an? )?(?P<what>.*?)\.?(\. Got value: (?P<given>.*))?")
_TYPES = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "list": "a list",
    "dict": "a dictionary",
}  # fmt: skip
_LONGEST = 400


@dataclass
class _Refusal:
    """What the lines of the parser say of one option."""

    keys: list[str] = field(default_factory=list)
    path: str = ""
    """Of the class whose option it is."""
    given: str = ""
    reasons: list[str] = field(default_factory=list)

    @property
    def option(self) -> str:
        """As it is typed; empty where an object was made by itself, see :func:`.specs.build`."""
        name = ".".join(self.keys[1:] if self.keys[:1] == ["object"] else self.keys)
        return f"--{name}" if name else ""

    def said(self, text: str) -> str:
        """``text`` behind the option."""
        return f"{self.option}: {text}" if self.option else text


def parser_says(error: BaseException) -> str:
    """What the parser refuses and why, on one line: the option, what it takes, what was given, and what was probably meant."""
    text = str(getattr(error, "message", None) or error)
    lines = [line.strip().removeprefix("- ") for line in text.splitlines()]
    kept = [line for line in lines if line and not _AROUND.match(line)]
    if not kept or not _KEY.match(kept[0]):
        return _short(" ".join(kept))
    return _short(_sentence(_read(kept)))


def _read(lines: list[str]) -> _Refusal:
    found = _Refusal()
    while lines:
        line = lines.pop(0)
        key, cls = _KEY.match(line), _CLASS.match(line)
        if key:
            found.keys.append(key["key"])
            lines[:0] = [key["rest"]] if key["rest"] else []
        elif cls:
            found.path = cls["path"]
            lines[:0] = [cls["rest"]] if cls["rest"] else []
        elif line.startswith("Given value: "):
            found.given = found.given or line.removeprefix("Given value: ")
        elif line not in found.reasons:
            found.reasons.append(line)
    return found


def _sentence(found: _Refusal) -> str:
    for reason in found.reasons:
        missing, option, needed = (p.match(reason) for p in (_NO_CLASS, _NO_OPTION, _NEEDED))
        if other := _NOT_ONE.match(reason):
            one = other["wanted"].lower()
            return found.said(
                f"{other['given']:.80} names no {one}; write Name, or Name: {{argument: value}}"
            )
        if missing and (
            name := missing["name"] or missing["path"] or missing["abstract"] or found.given or found.path
        ):
            if lacks := _lacking(name):
                return found.said(
                    f"{_bare(name)} lacks {' and '.join(lacks)}; write what its base class leaves open"
                )
            return no_class(name, found.option, wanted=missing["wanted"] or "")
        if found.path and _NO_IMPORT.match(reason):
            return no_class(found.path, found.option, reason)
        if found.path and option:
            return _no_argument(found, option["name"])
        if found.path and needed:
            names = needed["names"].split(", ")
            given = f": give {', '.join(f'{found.option}.{name}' for name in names)}" if found.option else ""
            return f"{_bare(found.path)} needs {' and '.join(names)}{given}"
    return _expected(found)


def _lacking(path: str) -> list[str]:
    """Members that a class of somebody else's must have and has not; none of a base class of ours, which nobody meant."""
    module, _, name = path.rpartition(".")
    if not module or module.split(".")[0] in ("redact_core", "modalities", "lightning_modules"):
        return []
    # the parser has imported it already, if it is there
    return sorted(getattr(getattr(sys.modules.get(module), name, None), "__abstractmethods__", ()))


def _no_argument(found: _Refusal, name: str) -> str:
    """A class has no such argument."""
    module, _, bare = found.path.rpartition(".")
    takes = inspect.signature(getattr(importlib.import_module(module), bare)).parameters
    known = [
        one
        for one, p in takes.items()
        if p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    listed = f"; it takes {', '.join(known)}" if known else ""
    return found.said(f"{bare} takes no {name}{meant(name, known)}{listed}")


def _expected(found: _Refusal) -> str:
    """Of what type the value of an option is."""
    wanted: list[str] = []
    others: list[str] = []
    for reason in found.reasons:
        match = _EXPECTED.fullmatch(reason)
        if match is None:
            others.append(reason)
            continue
        found.given = match["given"] or found.given
        name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", match["what"]).replace("typing.", "")
        choices = re.fullmatch(r"Literal\[(.*)\]", name)
        wanted += choices[1].split(", ") if choices else [_TYPES.get(name, name)]
    said = ". ".join(others).rstrip(".")
    if wanted == ["a list"] and found.given:
        written = f"{found.option}+={found.given} or " if found.option else ""
        return found.said(f"expected a list, given {found.given}; write {written}[{found.given}]")
    if wanted:
        given = f", given {found.given}" if found.given else ""
        said = f"{said}. E" if said else "e"
        said += f"xpected {' or '.join(dict.fromkeys(wanted))}{given}"
    return found.said(said)


def _bare(path: str) -> str:
    return path.rpartition(".")[2]


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text).rstrip(".")
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("typing.", "")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
