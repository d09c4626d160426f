"""A conditioning network of several stages, of the shape of DM-GAN's.

Zhu et al. 2019, "DM-GAN: Dynamic Memory Generative Adversarial Networks for Text-to-Image Synthesis"
(arXiv 1904.01310): a bidirectional recurrent network gives word features and a sentence vector; the
sentence vector becomes mean and log-variance of a noisy code for the first stage (conditioning
augmentation, Zhang et al. 2017, arXiv 1612.03242); every later stage reads the word features again,
written into a memory of its own. Departures: small; GRU for LSTM; the memory is written from words
alone and not from the picture too, so that it is part of the conditioning network.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modalities.recurrent import GRU
from redact_core import Conditioning, Stage

LENGTH = 16
"""Words of a caption, padding included; the padding is read like words."""
MEMORIES = 2
"""Stages that read the words again."""


class Widened(nn.Module):
    """A layer with a wider branch beside it that adds nothing until it is trained.

    Args:
        layer: The layer, ``(..., dim)`` -> ``(..., out)``.
        dim: Of the input.
        out: Of the output.
        width: Of the branch.
    """

    def __init__(self, layer: nn.Module, dim: int, out: int, width: int):
        super().__init__()
        self.layer = layer
        self.branch = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, out))
        zeroed(self.branch[2])

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.branch(x)


class TextEncoder(nn.Module):
    """``words (batch, LENGTH)`` int64 -> word features ``(batch, LENGTH, dim)``, sentence ``(batch, dim)``.

    Args:
        words: Size of the vocabulary; number 0 is padding.
        dim: Of the features; even.
        extra: Width of a second recurrent layer whose answer is added; 0: none.
    """

    def __init__(self, words: int, dim: int, extra: int = 0):
        super().__init__()
        self.embedding = nn.Embedding(words + 1, dim)
        self.recurrent = GRU(dim, dim // 2, bidirectional=True, batch_first=True)
        if extra:
            self.more = GRU(dim, extra, bidirectional=True, batch_first=True)
            self.add = zeroed(nn.Linear(2 * extra, dim))

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        features, last = self.recurrent(self.embedding(words))
        sentence = last.transpose(0, 1).flatten(1)
        if hasattr(self, "more"):
            more, last = self.more(features)
            features, sentence = (
                features + self.add(more),
                sentence + self.add(last.transpose(0, 1).flatten(1)),
            )
        return features, sentence


class StagedConditioner(nn.Module):
    """``words (batch, LENGTH)`` -> ``hidden (batch, 1 + 2 LENGTH, dim)``: what every stage reads, one after the other.

    Position 0 is the first stage's: mean and log-variance of the code, ``dim / 2`` each. Then follow
    the memories of the second and of the third stage, a slot for each word.

    Args:
        words: Size of the vocabulary.
        dim: Of word features, of the sentence vector and of memory slots.
        extra: Width of what is added in every stage for a student of greater capacity, which starts
            as the same function; 0: nothing.
    """

    def __init__(self, words: int, dim: int, extra: int = 0):
        super().__init__()
        self.words, self.dim, self.extra = words, dim, extra
        self.text = TextEncoder(words, dim, extra)
        augmentation: nn.Module = nn.Linear(dim, 2 * dim)
        writers: list[nn.Module] = [
            nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim)) for _ in range(MEMORIES)
        ]
        if extra:
            augmentation = Widened(augmentation, dim, 2 * dim, extra)
            writers = [Widened(writer, dim, dim, extra) for writer in writers]
        self.augmentation, self.writers = augmentation, nn.ModuleList(writers)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        features, sentence = self.text(inputs["words"])
        code = F.glu(self.augmentation(sentence), 1).unsqueeze(1)
        hidden = torch.cat([code, *(writer(features) for writer in self.writers)], 1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))

    def widened(self, extra: int, seed: int = 0) -> StagedConditioner:
        """The same function with room to learn more; ``seed`` is of the new weights that are not 0.

        Raises:
            ValueError: It is widened already.
        """
        if self.extra:
            raise ValueError("it is widened already")
        wide = StagedConditioner(self.words, self.dim, extra)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in wide.named_parameters():
            if "branch.0" in name or "more" in name:
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 / 2, generator=generator)
        wide.text.load_state_dict(self.text.state_dict(), strict=False)
        for mine, theirs in zip(
            (self.augmentation, *self.writers), (wide.augmentation, *wide.writers), strict=True
        ):
            assert isinstance(theirs, Widened)
            theirs.layer.load_state_dict(mine.state_dict())
        return wide


STAGES = (
    Stage("sentence", ("text.", "augmentation."), slice(0, 1)),
    Stage("first memory", ("writers.0.",), slice(1, 1 + LENGTH)),
    Stage("second memory", ("writers.1.",), slice(1 + LENGTH, 1 + 2 * LENGTH)),
)
"""What of :class:`StagedConditioner` makes which positions."""


def zeroed(layer: nn.Module) -> nn.Linear:
    """A linear layer whose answer is 0 until it is trained."""
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
