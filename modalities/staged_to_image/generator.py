"""The generator: rectified flow, its network refining from coarse to fine and hearing the caption at each stage.

Liu et al. 2023, "Flow Straight and Fast" (arXiv 2209.03003): the network predicts the velocity from
noise to picture on the straight line between them. The memory stages are DM-GAN's (arXiv 1904.01310):
keys and values from slots, softmax attention, and a gate that mixes the response in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modalities.staged_to_image.conditioner import LENGTH, MEMORIES

SIDE, PATCH, GROUPS = 28, 2, 8
TIMES = 100
"""Times at which the loss is taken; time ``k`` is ``(k + 0.5) / 100`` of the way from noise to picture."""


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual path; a vector scales and shifts between them (FiLM)."""

    def __init__(self, a: int, b: int, vector: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, a), nn.Conv2d(a, b, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, b), nn.Conv2d(b, b, 3, padding=1)
        self.film = nn.Linear(vector, 2 * b)
        self.skip = nn.Identity() if a == b else nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        scale, shift = self.film(F.silu(vector))[..., None, None].chunk(2, 1)
        y = self.norm2(self.conv1(F.silu(self.norm1(x)))) * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(y))


class Memory(nn.Module):
    """Every place of a feature map asks the memory slots; a gate says how much of the response it takes."""

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
    """Grey pictures of 28 x 28, worked on as patches of 2 x 2: 14 x 14 places, and 7 x 7 in the coarse part.

    The first stage (coarse) is scaled and shifted by the noisy code, the second (coarse) and the third
    (fine) read their memories.

    Args:
        dim: Of what the stages hear, as the conditioner's.
        fine: Channels at 14 x 14.
        coarse: Channels at 7 x 7.
        steps: Of the sampler.
    """

    def __init__(self, dim: int, fine: int, coarse: int, steps: int = 10):
        super().__init__()
        self.dim, self.steps, self.code = dim, steps, dim // 2
        vector = 2 * coarse
        self.clock = nn.Sequential(nn.Linear(32, vector), nn.SiLU(), nn.Linear(vector, vector))
        self.first = nn.Conv2d(PATCH**2, fine, 3, padding=1)
        self.down, self.pool = Block(fine, fine, vector), nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.listen = nn.Linear(self.code, vector)
        self.stage1 = Block(coarse, coarse, vector)
        self.memory2, self.stage2 = Memory(coarse, dim), Block(coarse, coarse, vector)
        self.up = nn.Conv2d(coarse, fine, 1)
        self.join = Block(2 * fine, fine, vector)
        self.memory3, self.stage3 = Memory(fine, dim), Block(fine, fine, vector)
        self.last = nn.Sequential(
            nn.GroupNorm(GROUPS, fine), nn.SiLU(), nn.Conv2d(fine, PATCH**2, 3, padding=1)
        )

    def forward(self, x: Tensor, time: Tensor, hidden: Tensor, noise: Tensor) -> Tensor:
        """The velocity ``(batch, 1, 28, 28)``.

        Args:
            x: ``(batch, 1, 28, 28)``, between noise and a picture in [-1, 1].
            time: ``(batch,)`` from 0, noise, to 1, picture.
            hidden: ``(batch, 1 + 2 LENGTH, dim)`` of the conditioner.
            noise: ``(batch, dim / 2)`` standard normal: of the code.
        """
        mean, logvar = hidden[:, 0].chunk(2, 1)
        code = mean + (0.5 * logvar).exp() * noise
        coarse_slots, fine_slots = hidden[:, 1:].unflatten(1, (MEMORIES, LENGTH)).unbind(1)
        angles = 1000 * time[:, None] * torch.exp(-math.log(10_000) * torch.arange(16, device=x.device) / 16)
        clock = self.clock(torch.cat([angles.sin(), angles.cos()], 1))
        skip = self.down(self.first(F.pixel_unshuffle(x, PATCH)), clock)
        h, heard = self.pool(skip), clock + self.listen(code)
        h = self.stage2(self.memory2(self.stage1(h, heard), coarse_slots), clock)
        h = F.interpolate(self.up(h), scale_factor=2.0)
        h = self.memory3(self.join(torch.cat([h, skip], 1), clock), fine_slots)
        return F.pixel_shuffle(self.last(self.stage3(h, clock)), PATCH)

    def draw(self, hidden: Tensor, noise: Tensor, code_noise: Tensor) -> Tensor:
        """``(batch, 1, 28, 28)`` in [0, 1] from ``noise (batch, 1, 28, 28)``: Euler's method, equal steps."""
        x = noise
        for k in range(self.steps):
            time = torch.full((len(x),), k / self.steps, device=x.device)
            x = x + self(x, time, hidden, code_noise) / self.steps
        return ((x + 1) / 2).clamp(0, 1)

    def loss(
        self, pictures: Tensor, hidden: Tensor, noise: Tensor, code_noise: Tensor, times: Tensor
    ) -> Tensor:
        """``(batch,)`` squared error of the velocity, mean over pixels.

        Args:
            pictures: ``(batch, 1, 28, 28)`` in [0, 1].
            hidden: ``(batch, 1 + 2 LENGTH, dim)``.
            noise: ``(batch, 1, 28, 28)`` standard normal.
            code_noise: ``(batch, dim / 2)`` standard normal.
            times: ``(batch,)`` int64 from 0 to ``TIMES - 1``.
        """
        time = (times + 0.5) / TIMES
        x, t = 2 * pictures - 1, time.view(-1, 1, 1, 1)
        found = self(t * x + (1 - t) * noise, time, hidden, code_noise)
        return (found - (x - noise)).square().flatten(1).mean(1)


def divergence(hidden: Tensor) -> Tensor:
    """``(batch,)`` nats of the code's normal distribution from the standard one; a term of the base's training."""
    mean, logvar = hidden[:, 0].chunk(2, 1)
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1)
