"""Random search for a faint disturbance of a clip, without gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.bounded_clip import BoundedClip, gap, heard
from redact_core import Adapter
from redact_core.attacks.random_search import check_search, random_search, whole

_WINDOW, _HOP = 512, 160  # samples at 16 kHz: 32 and 10 ms
_SIDE = 0.05  # of the smallest square
_QUIETEST = 40.0  # dB below the bound


class ClipSquare(BoundedClip):
    """Square Attack's random search on the waveform, with the disturbance bounded in power.

    In the manner of Andriushchenko et al. (arXiv 1912.00049): noise in a square of the spectrogram is
    added, and stays where the loss falls; squares become smaller as the search goes on. How loud each is
    is drawn too, for encoders read logarithms of power. The loss and the bound are those of
    :class:`~.clip_gradient.ClipGradient`, but only the encoder's answers are asked for, which is less than
    the access it is listed under: where this finds what the gradient misses, gradients are masked.

    Args:
        snr: Power of the clip over that of the disturbance, in dB; never less.
        steps: Queries of the attacked encoder, beside one for the clip itself.
        restarts: Searches, of which the best is kept.
        carrier: ``own``: the row's clip is disturbed. ``other``: a clip of somebody who stays, chosen
            by the seed.
        share: Of the spectrogram that a square takes at first.
        folder: Where the clips are written.

    Raises:
        RedactError: A setting is out of range.
    """

    trace = "square"

    def __init__(
        self,
        snr: float = 30.0,
        steps: int = 1000,
        restarts: int = 1,
        carrier: Literal["own", "other"] = "own",
        share: float = 0.3,
        folder: Path | None = None,
    ):
        super().__init__(snr, steps, restarts, carrier, folder)
        check_search(steps, share)
        self.share = share

    @property
    def budget(self) -> str:
        return f"{self.steps} queries, {self.restarts} starts"

    def search(
        self, model: Adapter, clips: Tensor, wanted: Tensor, generator: torch.Generator, start: int
    ) -> tuple[Tensor, Tensor]:
        del start  # each draws its own
        radius = self.radius(clips)

        def moved(now: Tensor, share: float) -> Tensor:
            loud = 10 ** (-_QUIETEST / 20 * torch.rand(len(clips), 1, generator=generator)).to(clips)
            change = now + loud * radius * squares(len(clips), clips.shape[1], share, generator).to(clips)
            return change * (radius / change.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)

        change, losses = whole(
            random_search(
                torch.zeros_like(clips),
                lambda tried: gap(model, heard(clips, tried), wanted),
                moved,
                self.steps,
                self.share,
            )
        )
        return heard(clips, change).cpu(), losses.cpu()


def squares(count: int, samples: int, share: float, generator: torch.Generator) -> Tensor:
    """``(count, samples)`` of norm 1: noise in one square each of the spectrogram, which takes ``share`` of it.

    As wide as it is high, in shares of the clip and of a frequency scale that gives low ones more room.
    """
    noise, window = torch.randn(count, samples, generator=generator), torch.hann_window(_WINDOW)
    spectrum = torch.stft(noise, _WINDOW, _HOP, window=window, return_complex=True)
    side = max(share**0.5, _SIDE)
    place = torch.rand(2, count, 1, generator=generator) * (1 + side) - side
    low, first = place.clamp(0, 1 - side)  # at the edges as often as anywhere
    pitch = torch.linspace(0, 1, spectrum.shape[1]).sqrt()
    when = torch.linspace(0, 1, spectrum.shape[2])
    within = ((pitch >= low) & (pitch <= low + side))[:, :, None]
    within = within & ((when >= first) & (when <= first + side))[:, None, :]
    return normalize(torch.istft(spectrum * within, _WINDOW, _HOP, window=window, length=samples), dim=1)
