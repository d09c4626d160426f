"""Whether two modules are of one kind."""

from __future__ import annotations

from torch import nn


def first_difference(module: nn.Module, other: nn.Module) -> str | None:
    """The first weight by name that has another shape, or is missing, and both shapes; ``None`` if there is none."""
    first, second = (
        {name: tuple(value.shape) for name, value in m.state_dict().items()} for m in (module, other)
    )
    for name in sorted({*first, *second}):
        if first.get(name) != second.get(name):
            return f"{name}: {first.get(name)} and {second.get(name)}"
    return None
