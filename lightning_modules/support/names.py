"""Short class names on the command line: found in the source of our packages, then imported."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import yaml

import redact_core
from redact_core.errors import RedactError
from redact_core.support.paths import at_home

PACKAGES = ("redact_core", "modalities")


def folder_of(package: str) -> Path:
    """Where an importable package lies, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def sources() -> Iterator[tuple[str, Path]]:
    """Module name and file of every module of the core and of ``modalities``."""
    for package in PACKAGES:
        root = folder_of(package)
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            yield ".".join(parts).removesuffix(".__init__"), path


def classes() -> dict[str, str]:
    """Public class name -> module, for every class below ``modalities`` and in the core; of several, the first."""
    return {name: modules[0] for name, modules in places().items()}


def places() -> dict[str, list[str]]:
    """Public class name -> the modules that define one.

    Of several classes of a name, those without a base are left out: no option takes them.
    """
    return _read(PACKAGES)


@lru_cache(maxsize=4)
def _read(packages: tuple[str, ...]) -> dict[str, list[str]]:
    """From the source, because importing everything would take many seconds and every optional library."""
    del packages  # what :func:`sources` walks over; the key of what is remembered
    found: dict[str, list[tuple[str, bool]]] = {}
    for module, path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append((module, bool(node.bases)))
    return {
        name: [module for module, based in entries if based] or [entries[0][0]]
        for name, entries in found.items()
    }


def path_of(name: str) -> str | None:
    """The whole path ``module.Class`` of a bare class name; ``None`` if there is no such class.

    Raises:
        RedactError: Several modules define one.
    """
    modules = places().get(name, [])
    if len(modules) > 1:
        paths = " and ".join(f"{module}.{name}" for module in modules)
        raise RedactError(
            f"{name} is the name of {len(modules)} classes, {paths}; write the path of the one you mean."
        )
    return f"{modules[0]}.{name}" if modules else None


def import_named(arguments: Sequence[str]) -> None:
    """Import the modules of the classes that are named bare among ``arguments`` or in the configs they name.

    jsonargparse resolves a short name among the subclasses that are already imported. The core's public
    classes always are, so that ``--help`` lists the methods.

    Raises:
        RedactError: Several classes have a name that stands there, or a config is a pipe or a device.
    """
    for name in redact_core.__all__:
        getattr(redact_core, name)
    values = {argument.rpartition("=")[2] for argument in arguments} | set(_config_values(arguments))
    for argument in arguments:  # lists and mappings in YAML
        start = argument.find("=") + 1 if argument.startswith("-") else 0
        if argument[start : start + 1] in {"[", "{"}:
            with suppress(ValueError, RecursionError, yaml.YAMLError):
                values |= set(_texts(yaml.safe_load(argument[start:])))
    import_classes(values)


def import_classes(values: object) -> None:
    """Import the modules of the classes whose bare names stand anywhere in ``values``.

    Raises:
        RedactError: Several classes have one of the names.
    """
    for name in sorted(text for text in {*_texts(values)} if text.isidentifier() and text[:1].isupper()):
        path = path_of(name)
        if path is not None:
            importlib.import_module(path.rpartition(".")[0])


def _config_values(arguments: Sequence[str]) -> Iterator[str]:
    """Every text in the files that ``-c`` and ``--config`` name; what cannot be read the parser reports."""
    pairs = [*pairwise(arguments), *(tuple(one.split("=", 1)) for one in arguments if "=" in one)]
    for option, value in pairs:
        if option in {"-c", "--config"}:
            path = at_home(value)
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise RedactError(
                    f"{path} is a pipe, socket or device; a config is read more than once, so give a file."
                )
            with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):
                yield from _texts(yaml.safe_load(path.read_text(encoding="utf-8")))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, Sequence | Set):
        for entry in value:
            yield from _texts(entry)
