"""What guards share that act inside a diffusers pipeline: finding it, hooking into it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from redact_core import Adapter, RedactError
from redact_core.adapters.guard import model_of


def check_guided(inner: Adapter, guard: str) -> None:
    """Is there a diffusers pipeline below ``inner`` that uses classifier-free guidance?

    Raises:
        RedactError: There is none, or its guidance is off, so that the guard would silently do nothing.
    """
    model = model_of(inner)
    if not hasattr(type(model), "pipeline") or not hasattr(model, "guidance"):
        raise RedactError(
            f"{guard} works inside a diffusers pipeline and {type(model).__name__} has none; "
            "guard a StableDiffusion."
        )
    guidance = getattr(model, "guidance")  # noqa: B009 no adapter must have one
    if guidance <= 1:
        raise RedactError(
            f"{guard} steers classifier-free guidance, which is off at guidance {guidance:g}; give more than 1."
        )


def pipeline_of(inner: Adapter) -> Any:
    """The diffusers pipeline below all guards; loaded if need be. See :func:`check_guided`."""
    return getattr(model_of(inner), "pipeline")  # noqa: B009 no adapter must have one


@contextmanager
def hooked(owner: object, name: str, value: object) -> Generator[None]:
    """``owner.name`` is ``value`` inside the block, on this object only; hooks may be nested.

    Other threads see the hook, too: take the :func:`.turn` of the pipeline's denoiser first.
    """
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
