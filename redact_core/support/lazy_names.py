"""Packages whose names are imported when they are first used, so that a command pays for what it does."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562).

    The names are those that its ``__init__`` imports below ``if TYPE_CHECKING:``. Type checkers, linters
    and readers so see ordinary imports, and there is no second list to keep.

    Args:
        package: ``__name__`` of the package, which is being imported.

    Returns:
        Two functions; whatever is no such name is an ``AttributeError``, as in any module.
    """
    module = sys.modules[package]
    where = _imported_for_types(Path(str(module.__file__)))

    def __getattr__(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(where[name]), name)
        setattr(module, name, value)  # found without this function from now on
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(module), *where})

    return __getattr__, __dir__


def _imported_for_types(source: Path) -> dict[str, str]:
    """Name -> module, of ``from module import name`` below ``if TYPE_CHECKING:``."""
    blocks = [
        node.body
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {
        name.name: str(node.module)
        for block in blocks
        for node in block
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
