"""Parts of a model that some published methods change or read: each a capability that an adapter may have.

See :mod:`redact_core.adapters.capabilities` for how methods ask for them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Capability, HasTrainingLoss, require
from redact_core.types import Condition, Conditioning


class HasConditioningMaps(Capability):
    """A generator with linear maps that read the conditioning and nothing else, as cross-attention's keys and values."""

    needed_for = "linear maps that read the conditioning alone, as the keys and values of cross-attention"
    instead = "use Distillation"

    @abstractmethod
    def conditioning_maps(self) -> Mapping[str, nn.Module]:
        """Name in :attr:`~redact_core.Adapter.generator` -> map, whose ``weight`` is ``(out, dim)`` and reads ``hidden``."""

    @abstractmethod
    def last_words(self, conditions: Sequence[Condition]) -> Tensor:
        """``(conditions,)`` int64: at which position of ``hidden`` the last word of each condition stands."""


class HasUnconditional(Capability):
    """A generator that also draws without a condition."""

    needed_for = "a generator that draws without a condition"
    instead = "use Distillation"

    @abstractmethod
    def unconditional(self) -> Conditioning:
        """The conditioning that stands for no condition, a batch of one."""


class HasDenoiser(HasUnconditional):
    """A generator that removes noise step by step, with its intermediate states in reach."""

    needed_for = "a denoiser whose single steps can be asked for"
    instead = "use Distillation"

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


class HasTowers(Capability):
    """An encoder that is made of transformers."""

    needed_for = "an encoder made of transformer blocks"
    instead = "use Distillation"

    @abstractmethod
    def towers(self) -> Sequence[Tower]:
        """Its transformers, side by side."""


class ReadsText(Capability):
    """A model whose conditions are texts, the empty one among them."""

    needed_for = "conditions that are texts"
    instead = "use Distillation"


class ReadsClips(Capability):
    """A model whose conditions are clips of voices."""

    needed_for = "conditions that are clips"
    instead = "use one of the model's own kind"


class GivesPictures(Capability):
    """A model whose samples are pictures."""

    needed_for = "samples that are pictures"
    instead = "use one of the model's own kind"


class GivesSpeech(Capability):
    """A model whose samples are speech."""

    needed_for = "samples that are speech"
    instead = "use one of the model's own kind"


def generator_of(adapter: Adapter, method: str) -> nn.Module:
    """The generator of ``adapter``, for a method that reads or changes it; it can be saved.

    Raises:
        RedactError: It shows none.
    """
    return require(adapter, HasTrainingLoss, method).generator
