"""Short class names on the command line: found in the source of ``modalities``, then imported."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path


def folder_of(package: str) -> Path:
    """Where an importable package lies, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def classes() -> dict[str, str]:
    """Public class name -> module, for every class below ``modalities`` and in the core.

    Read from the source, because importing everything would take many seconds and every optional
    library.
    """
    found: dict[str, str] = {}
    for package in ("redact_core", "modalities"):
        root = folder_of(package)
        for path in sorted(root.rglob("*.py")):
            module = ".".join([package, *path.relative_to(root).with_suffix("").parts])
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, module.removesuffix(".__init__"))
    return found


def import_named(arguments: list[str]) -> None:
    """Import the modules of the classes that are named bare among ``arguments``.

    jsonargparse resolves a short name among the subclasses that are already imported.
    """
    values = {argument.rpartition("=")[2] for argument in arguments}
    wanted = {value for value in values if value.isidentifier() and value[:1].isupper()}
    if wanted:
        known = classes()
        for name in sorted(wanted & set(known)):
            importlib.import_module(known[name])
