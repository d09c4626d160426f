"""The generator: a variational autoencoder whose decoder refines in stages and reads the caption at each.

Kingma & Welling 2014 with Bernoulli pixels, in place of DM-GAN's adversary: minutes of one core train
it. Its stages are DM-GAN's (Zhu et al. 2019, arXiv 1904.01310): first features from noise and code,
then twice a memory that every place asks and a gate that mixes the response in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modalities.staged_to_image.conditioner import LENGTH, MEMORIES

SIDE, COARSE, PATCH, GROUPS = 28, 7, 2, 4
"""Height of pictures, and of the first stages' features; the last stage works on patches of 2 x 2 pixels."""


class Block(nn.Module):
    """Normalisation, SiLU and a 3 x 3 convolution beside the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.silu(self.norm(x)))


class Memory(nn.Module):
    """Every place of a feature map asks the memory's slots; a gate says how much of the response it takes."""

    def __init__(self, width: int, slot: int):
        super().__init__()
        self.norm, self.query = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, slot, 1)
        self.key, self.value = nn.Linear(slot, slot), nn.Linear(slot, width)
        self.gate = nn.Conv2d(2 * width, 1, 1)

    def forward(self, x: Tensor, slots: Tensor) -> Tensor:
        """``x (batch, width, h, w)``, ``slots (batch, LENGTH, slot)``."""
        query = self.query(self.norm(x)).flatten(2).transpose(1, 2)
        heard = F.scaled_dot_product_attention(query, self.key(slots), self.value(slots))
        response = heard.transpose(1, 2).reshape(x.shape)
        gate = self.gate(torch.cat([x, response], 1)).sigmoid()
        return gate * response + (1 - gate) * x


class StagedGenerator(nn.Module):
    """Grey pictures of 28 x 28 from noise, through features of 7 x 7, again 7 x 7, and 14 x 14.

    As each of DM-GAN's stages draws a picture of its own, the first draws a sketch of 14 x 14 here,
    which is trained and not used: it has to know from the code what is asked for.

    Args:
        dim: Of what the stages read, as the conditioner's.
        latent: Width of the latent variable.
        width: Channels of the features.
    """

    def __init__(self, dim: int, latent: int, width: int):
        super().__init__()
        self.latent, self.width, self.code = latent, width, dim // 2
        self.recognition = nn.Sequential(
            nn.Linear(SIDE**2 + self.code, 256), nn.SiLU(),
            nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 2 * latent),
        )  # fmt: skip
        self.stage1 = nn.Sequential(
            nn.Linear(latent + self.code, 128), nn.SiLU(), nn.Linear(128, width * COARSE**2)
        )
        self.sketch = nn.Conv2d(width, PATCH**2, 1)
        self.memory2, self.stage2 = Memory(width, dim), Block(width)
        self.memory3, self.stage3 = Memory(width, dim), Block(width)
        self.last = nn.Conv2d(width, PATCH**2, 3, padding=1)

    def first(self, z: Tensor, hidden: Tensor, code_noise: Tensor) -> Tensor:
        """Features ``(batch, width, 7, 7)`` of the first stage.

        Args:
            z: ``(batch, latent)``.
            hidden: ``(batch, 1 + 2 LENGTH, dim)`` of the conditioner.
            code_noise: ``(batch, dim / 2)`` standard normal.
        """
        mean, logvar = hidden[:, 0].chunk(2, 1)
        code = mean + (0.5 * logvar).exp() * code_noise
        return self.stage1(torch.cat([z, code], 1)).view(-1, self.width, COARSE, COARSE)

    def refined(self, h: Tensor, hidden: Tensor) -> Tensor:
        """Logits ``(batch, 1, 28, 28)`` of the pixels from the first stage's features."""
        coarse, fine = hidden[:, 1:].unflatten(1, (MEMORIES, LENGTH)).unbind(1)
        h = self.stage2(self.memory2(h, coarse))
        h = self.stage3(self.memory3(F.interpolate(h, scale_factor=2.0), fine))
        return F.pixel_shuffle(self.last(F.silu(h)), PATCH)

    def draw(self, hidden: Tensor, noise: Tensor, code_noise: Tensor) -> Tensor:
        """``(batch, 1, 28, 28)`` in [0, 1]: the mean picture of ``noise (batch, latent)``."""
        return self.refined(self.first(noise, hidden, code_noise), hidden).sigmoid()

    def loss(
        self, pictures: Tensor, hidden: Tensor, noise: Tensor, code_noise: Tensor, weight: float = 1.0
    ) -> Tensor:
        """``(batch,)`` nats: negative evidence lower bound, and half the cross-entropy of the sketch.

        Args:
            pictures: ``(batch, 1, 28, 28)`` in [0, 1].
            hidden: ``(batch, 1 + 2 LENGTH, dim)``.
            noise: ``(batch, latent)`` standard normal.
            code_noise: ``(batch, dim / 2)`` standard normal.
            weight: Of the latent variable's nats; more than 1 leaves more to the caption.
        """
        known = hidden[:, 0, : self.code]
        mean, logvar = self.recognition(torch.cat([pictures.flatten(1), known], 1)).chunk(2, dim=1)
        h = self.first(mean + (0.5 * logvar).exp() * noise, hidden, code_noise)
        sketch, small = F.pixel_shuffle(self.sketch(h), PATCH), F.avg_pool2d(pictures, PATCH)
        rough = PATCH**2 * _cross_entropy(sketch, small)  # as many nats as of all pixels
        fine = _cross_entropy(self.refined(h, hidden), pictures)
        return fine + 0.5 * rough + weight * divergence(mean, logvar)


def _cross_entropy(logits: Tensor, pictures: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, pictures, reduction="none").flatten(1).sum(1)


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """``(batch,)`` nats of normal distributions ``(batch, dim)`` from the standard one."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1)
