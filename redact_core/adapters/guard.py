"""An adapter around an adapter: what acts at inference and trains nothing."""

from __future__ import annotations

from abc import update_abstractmethods
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Capability, Reopens, require, require_all

T = TypeVar("T")
_OWN = {
    "offers", "model_class",  # written out below
    "generate", "generate_rows", "conditioning_of", "collated", "device", "dtype", "save_pretrained",
}  # fmt: skip
"""Members of :class:`Adapter` that a guard does not take from what it guards: they follow from others, or are its own."""


def model_of(adapter: Adapter) -> Adapter:
    """What stands below all guards, or the adapter itself."""
    return adapter.model if isinstance(adapter, Guard) else adapter


class Guard(Adapter, Reopens):
    """An adapter around an adapter, for methods that act at inference and train nothing.

    A subclass overrides :meth:`generate`; every other member is the guarded adapter's, also where it is set, and so are
    its capabilities. Guards may be stacked, and a guard keeps no state between calls but its settings, so that many may
    share one adapter. A guard that runs networks of its own moves them in :meth:`to`, and one that reads files of its
    own adds them in :meth:`files`; :meth:`save` writes the guarded model alone, for a guard leaves no trace in a folder.

    Args:
        inner: What is guarded: a model, or a guard around one.

    Raises:
        RedactError: The model lacks one of :attr:`needs`; see :func:`~redact_core.adapters.capabilities.require`.
    """

    needs: ClassVar[tuple[type[Capability], ...]] = ()
    """Capabilities of a model that the guard can be put around."""

    def __init__(self, inner: Adapter):
        require_all(inner, self.needs, type(self).__name__)
        self.inner = inner

    @property
    def model(self) -> Adapter:
        """What stands below all guards."""
        return model_of(self.inner)

    @property
    def model_class(self) -> type[Adapter]:
        return self.inner.model_class

    def offers(self, capability: type[T]) -> T | None:
        """The guard where it changes what the capability does, else what stands inside as one."""
        own, below = super().offers(capability), self.inner.offers(capability)
        # a guard reopens what it guards, if that can be reopened
        return below if own is None or (capability is Reopens and below is None) else own

    def around(self, inner: Adapter) -> Self:
        """This guard with the same settings around another adapter."""
        other = copy(self)
        other.inner = inner
        return other

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model; a guard that runs networks of its own moves them as well."""
        self.inner.to(device, dtype)
        return self

    def reopen(self, folder: Path) -> Self:
        """This guard around the redacted model of ``folder``."""
        return self.around(require(self.inner, Reopens, "A guard").reopen(folder))


def _inner(name: str) -> Any:
    """A property that reads and sets the member ``name`` of the guarded adapter."""

    def read(self: Guard) -> Any:
        return getattr(self.inner, name)

    def write(self: Guard, value: Any) -> None:
        setattr(self.inner, name, value)

    return property(read, write, doc=f"``{name}`` of the guarded adapter.")


def _forwarded(members: Mapping[str, Any]) -> list[str]:
    return [x for x in members if not x.startswith("_") and x not in _OWN and x not in vars(Guard)]


for _name in _forwarded(vars(Adapter) | Adapter.__annotations__):
    setattr(Guard, _name, _inner(_name))
update_abstractmethods(Guard)
