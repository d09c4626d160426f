"""Classes that an evidence folder names: the folder may come from others, so it may name only ours.

A class of another package is taken where the command line has already had it imported; a record imports nothing
but our own packages.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_modules.support.names import path_of
from redact_core import RedactError

_OURS = {"redact_core", "modalities", "lightning_modules"}
_PLAIN = {str, int, float, bool, Path, NoneType}
_CONTAINERS = {list, tuple, dict, set, Sequence, Mapping, Union, UnionType}


def recorded(kind: type, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Class and arguments of each record of an evidence folder, checked before anything is built.

    Args:
        kind: What each must be.
        records: With ``class_path`` and ``init_args``.

    Raises:
        RedactError: A record names a class or an argument that it may not; says which, and what to give instead.
    """
    found: list[dict[str, Any]] = []
    for record in records:
        spec = {"class_path": record.get("class_path"), "init_args": record.get("init_args") or {}}
        known = _check(spec)
        if not issubclass(known, kind):
            raise RedactError(
                f"The evidence names {spec['class_path']} as a {kind.__name__}, which it is not."
            )
        found.append(spec)
    return found


def _check(spec: Mapping[str, Any]) -> type:
    """The class of ``spec``, if a record may name it and all its arguments."""
    path, arguments = spec.get("class_path"), spec.get("init_args") or {}
    if not set(spec) <= {"class_path", "init_args"} or not isinstance(arguments, Mapping):
        raise RedactError(
            f"The evidence describes a class by {', '.join(map(str, spec))}; score with --scorers NAME."
        )
    known = _class(path)
    try:
        hints = get_type_hints(known.__init__)
    except (NameError, TypeError):  # of a class of others; then none of its arguments is plain
        hints = {}
    accepted = inspect.signature(known).parameters
    for name, value in arguments.items():
        if name not in accepted:
            raise RedactError(f"The evidence gives {path} an argument {name!r:.40} that it does not have.")
        if not _is_plain(hints.get(name)):
            _check_value(value, f"{path}.{name}")
    return known


def _class(path: object) -> type:
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    if module.partition(".")[0] not in _OURS and module not in sys.modules:
        raise RedactError(
            f"The evidence names the class {path!r:.80}, which is none of redact's, and evidence may come from others. "
            "If you trust it, name it yourself: --scorers+=MODULE.CLASS."
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise RedactError(
            f"The evidence names the class {path}, which cannot be imported ({error})."
        ) from error
    if not isinstance(found, type):
        raise RedactError(f"The evidence names {path!r:.80}, which is no class; score with --scorers NAME.")
    return found


def _check_value(value: object, where: str) -> None:
    """What an argument that takes objects may get: numbers, and classes that a record may name."""
    if isinstance(value, Mapping):
        _check(value)
    elif isinstance(value, list | tuple):
        for entry in value:
            _check_value(entry, where)
    elif isinstance(value, str):
        path = value if "." in value else path_of(value)
        if path is None:
            raise RedactError(f"The evidence gives {where} the text {value!r:.80}, which names no class.")
        _class(path)


def _is_plain(hint: Any) -> bool:
    """Whether values of a type are texts, numbers, paths or containers of them, for which nothing is imported."""
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in _CONTAINERS:
        return all(_is_plain(part) for part in get_args(hint) if part is not ...)
    return hint in _PLAIN
