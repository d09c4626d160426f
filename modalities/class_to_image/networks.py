"""Generators whose class enters by numbered rows only, and a variational autoencoder of that kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from redact_core import Conditioning

SIDE = 28
"""Height and width of the pictures."""


class ClassRows(nn.Module):
    """``label (batch,)`` int64 -> ``hidden (batch, 1, dim)``: everything that the model knows a class by.

    Each place where the class enters the generator (the embedding, and gain and bias of every
    conditional normalisation) has a table of its own; ``hidden`` holds their rows side by side.

    Args:
        classes: Number of classes.
        places: Name -> width, in the order of ``hidden``.
    """

    def __init__(self, classes: int, places: Mapping[str, int]):
        super().__init__()
        self.tables = nn.ModuleDict({name: nn.Embedding(classes, width) for name, width in places.items()})
        for name, table in self.tables.items():
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, std=1.0 if name == "embedding" else 0.02)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        hidden = torch.cat([table(inputs["label"]) for table in self.tables.values()], -1).unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class RowGenerator(nn.Module, ABC):
    """Draws pictures of classes that come as vectors ``(batch, sum of places)``; holds no class itself."""

    places: Mapping[str, int]
    """Name -> width of every place where the class enters."""
    noise_shape: tuple[int, ...]
    """Of the noise that one picture is drawn from."""
    time_steps: int = 1
    """Over how many time steps the loss is a mean; 1 where it has none."""

    @abstractmethod
    def draw(self, rows: Tensor, noise: Tensor) -> Tensor:
        """``(batch, 1, 28, 28)`` in [0, 1] from ``noise (batch, *noise_shape)``."""

    @abstractmethod
    def loss(self, pictures: Tensor, rows: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """``(batch,)`` training loss of ``pictures (batch, 1, 28, 28)`` in [0, 1], summed over pixels.

        ``noise (batch, *noise_shape)`` is standard normal, ``times (batch,)`` int64 below ``time_steps``.
        """


class Vae(RowGenerator):
    """Kingma & Welling 2014 with Bernoulli pixels; conditional layer normalisation in the decoder.

    The class comes as a vector ``(batch, sum of places)``; the module itself holds no class.

    Args:
        latent: Width of the latent variable.
        embedding: Width of the class embedding.
        widths: Of the two hidden layers, the one near the pixels first.
    """

    def __init__(self, latent: int = 16, embedding: int = 16, widths: Sequence[int] = (256, 128)):
        super().__init__()
        wide, narrow = widths
        self.latent, self.noise_shape = latent, (latent,)
        self.places = {"embedding": embedding, "norm1": 2 * narrow, "norm2": 2 * wide}
        self.recognition = nn.Sequential(
            nn.Linear(SIDE**2 + embedding, wide), nn.SiLU(),
            nn.Linear(wide, narrow), nn.SiLU(), nn.Linear(narrow, 2 * latent),
        )  # fmt: skip
        self.decoder = nn.ModuleList(
            [nn.Linear(latent + embedding, narrow), nn.Linear(narrow, wide), nn.Linear(wide, SIDE**2)]
        )

    def decode(self, z: Tensor, rows: Tensor) -> Tensor:
        """Logits ``(batch, 784)`` of the pixels."""
        embedding, *norms = rows.split(list(self.places.values()), dim=1)
        h = torch.cat([z, embedding], 1)
        for layer, norm in zip(self.decoder, norms, strict=False):
            gain, bias = norm.chunk(2, dim=1)
            h = layer(h)
            h = F.silu(F.layer_norm(h, h.shape[1:]) * (1 + gain) + bias)
        return self.decoder[-1](h)

    def draw(self, rows: Tensor, noise: Tensor) -> Tensor:
        """``(batch, 1, 28, 28)`` in [0, 1]: the mean picture of ``noise (batch, latent)``."""
        return self.decode(noise, rows).sigmoid().view(-1, 1, SIDE, SIDE)

    def loss(self, pictures: Tensor, rows: Tensor, noise: Tensor, times: Tensor | None = None) -> Tensor:
        """``(batch,)`` negative evidence lower bound in nats: cross-entropy of all pixels plus KL.

        Args:
            pictures: ``(batch, 1, 28, 28)`` in [0, 1].
            rows: ``(batch, sum of places)``.
            noise: ``(batch, latent)`` standard normal.
            times: There are none.
        """
        del times
        x = pictures.flatten(1)
        embedding = rows[:, : self.places["embedding"]]
        mean, logvar = self.recognition(torch.cat([x, embedding], 1)).chunk(2, dim=1)
        logits = self.decode(mean + (0.5 * logvar).exp() * noise, rows)
        error = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return error - 0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(1)
