"""Settings that are whole numbers: a fraction is refused when an object is made, not when it first counts with it."""

from __future__ import annotations

import inspect
from functools import cache
from operator import index
from typing import Any, Self

from redact_core.errors import RedactError

_KINDS = {"int", "int | None"}


def check_whole(**values: object) -> None:
    """Refuse what is no whole number; ``None`` passes, for it stands for a default.

    Raises:
        RedactError: Names the first.
    """
    for name, value in values.items():
        if value is None:
            continue
        try:
            index(value)  # pyright: ignore[reportArgumentType]
        except TypeError:
            raise RedactError(f"{name} is {value!r:.40}; give a whole number.") from None


class WholeNumbers:
    """Base of what people make with settings of their own: methods, attacks, judges, models, guards.

    Whatever the constructor of a subclass annotates with ``int`` is checked before it runs, also what it hands on with
    ``**`` to the one above it.

    Raises:
        RedactError: A value is no whole number.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if args or kwargs:  # copies are made without any
            counted, order = _counted(cls)
            given = dict(zip(order, args, strict=False)) | kwargs
            check_whole(**{name: value for name, value in given.items() if name in counted})
        return super().__new__(cls)


@cache
def _counted(cls: type) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names of the parameters that are whole numbers, and all names that may be given by position."""
    found: dict[str, bool] = {}
    order: tuple[str, ...] | None = None
    for one in cls.__mro__:
        if "__init__" not in vars(one):
            continue
        _, *parameters = inspect.signature(vars(one)["__init__"]).parameters.values()
        if order is None:
            by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            order = tuple(p.name for p in parameters if p.kind in by_place)
        for parameter in parameters:
            kind = parameter.annotation
            text = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
            found.setdefault(parameter.name, text in _KINDS)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(name for name, counted in found.items() if counted), order or ()
