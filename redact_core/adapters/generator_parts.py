"""Parts of a model that some published methods change or read: each a capability that an adapter may have.

A method asks for one with :func:`needed`, so that every pair of a method and a model that does not fit is refused in
the same words, and which pairs fit follows from the classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.guard import Guard
from redact_core.errors import RedactError
from redact_core.types import Condition, Conditioning

Part = TypeVar("Part", bound="GeneratorPart")


class GeneratorPart(ABC):
    """A capability, and what it is called in a refusal."""

    what: ClassVar[str]


class HasConditioningMaps(GeneratorPart):
    """A generator with linear maps that read the conditioning and nothing else, as cross-attention's keys and values."""

    what = "linear maps that read the conditioning alone, as the keys and values of cross-attention"

    @abstractmethod
    def conditioning_maps(self) -> Mapping[str, nn.Module]:
        """Name in :attr:`~redact_core.Adapter.generator` -> map, whose ``weight`` is ``(out, dim)`` and reads ``hidden``."""

    @abstractmethod
    def last_words(self, conditions: Sequence[Condition]) -> Tensor:
        """``(conditions,)`` int64: at which position of ``hidden`` the last word of each condition stands."""


class HasUnconditional(GeneratorPart):
    """A generator that also draws without a condition."""

    what = "a generator that draws without a condition"

    @abstractmethod
    def unconditional(self) -> Conditioning:
        """The conditioning that stands for no condition, a batch of one."""


class HasDenoiser(HasUnconditional):
    """A generator that removes noise step by step, with its intermediate states in reach."""

    what = "a denoiser whose single steps can be asked for"

    @abstractmethod
    def predict(self, latents: Tensor, times: Tensor, conditioning: Conditioning) -> Tensor:
        """What the denoiser says of ``latents (batch, ...)`` at ``times (batch,)``; differentiable."""

    @abstractmethod
    def noised(
        self, samples: Sequence[Tensor], *, seeds: Sequence[int], times: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents ``(batch, ...)`` of samples with noise, and their times ``(batch,)``; the seeds draw both."""

    @abstractmethod
    def noise_target(
        self, samples: Sequence[Tensor], *, seeds: Sequence[int], times: Sequence[int] | None = None
    ) -> Tensor:
        """``(batch, ...)`` what a perfect denoiser says of the latents of :meth:`noised`."""

    @abstractmethod
    def half_drawn(
        self,
        conditioning: Conditioning,
        *,
        seeds: Sequence[int],
        stops: Sequence[int],
        steps: int,
        guidance: float,
    ) -> tuple[Tensor, Tensor]:
        """Latents of drawings that were left after ``stops`` of ``steps`` steps, and the times of the next step.

        Args:
            conditioning: One for each drawing.
            seeds: Of the noise that each starts from.
            stops: From 0 to ``steps - 1``, one for each.
            steps: Of a whole drawing.
            guidance: Scale of classifier-free guidance; 1 is none.
        """

    @abstractmethod
    def reads_conditioning(self, name: str) -> bool:
        """Whether the parameter ``name`` of the generator belongs to a layer that reads the conditioning."""


@dataclass(frozen=True)
class Tower:
    """One text or speaker network of an encoder, by its two ends."""

    first: nn.Module
    """Its first block."""
    attention: nn.Module
    """The output projection of the last block's self-attention: gives ``(batch, length, dim)``."""


class HasTowers(GeneratorPart):
    """An encoder that is made of transformers."""

    what = "an encoder made of transformer blocks"

    @abstractmethod
    def towers(self) -> Sequence[Tower]:
        """Its transformers, side by side."""


class ReadsText(GeneratorPart):
    """A model whose conditions are texts, the empty one among them."""

    what = "conditions that are texts"


def needed(adapter: Adapter, part: type[Part], method: str) -> Part:
    """``adapter``, which has the capability ``part``; of guards, what stands below them.

    Raises:
        RedactError: It has not.
    """
    model = adapter.model if isinstance(adapter, Guard) else adapter
    if not isinstance(model, part):
        raise RedactError(
            f"{method} needs {part.what}, which {type(model).__name__} does not offer; use Distillation."
        )
    return model


def check_saved(adapter: Adapter, method: str) -> None:
    """Refuse a model whose generator cannot be saved, for a method that changes nothing else.

    Raises:
        RedactError: It cannot.
    """
    if not adapter.saves_generator:
        raise RedactError(
            f"{type(adapter).__name__} cannot save a changed generator, and {method} changes nothing else; "
            "use Distillation."
        )
