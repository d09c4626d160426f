"""Projected gradient on people's clips, around the clamps of gates."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.bounded_clip import heard
from people.grades import Gallery
from redact_core.gates import around_gates

WEIGHTS = (5.0, 1.0, 25.0, 2.5, 100.0)
"""Of a gate's opening in the attack, start by start."""
TOGETHER = 64
"""Disturbed clips in one batch of an attack."""


@dataclass
class Attacked:
    """What an attack reached on each clip, over all steps and starts; ``(n,)`` each."""

    identified: Tensor
    """Ever nearest of all."""
    few: Tensor
    """Ever nearest among people."""
    likeness: Tensor
    """The largest."""


def attacked(
    encoder: nn.Module, waves: Tensor, gallery: Gallery, person: str, snr: Tensor, steps: int, restarts: int
) -> Attacked:
    """:func:`attacked_together`, for as many of ``waves (n, samples)`` at once as memory is had for."""
    step = max(1, TOGETHER // restarts)
    parts = [
        attacked_together(encoder, waves[i : i + step], gallery, person, snr[i : i + step], steps, restarts)
        for i in range(0, len(waves), step)
    ]
    return Attacked(
        *(torch.cat([getattr(x, name) for x in parts]) for name in ("identified", "few", "likeness"))
    )


def attacked_together(
    encoder: nn.Module, waves: Tensor, gallery: Gallery, person: str, snr: Tensor, steps: int, restarts: int
) -> Attacked:
    """Projected gradient around the clamp on ``waves (n, samples)``, each within its ``snr (n,)`` in dB, all starts side by side.

    The way is led by the embedding in front of the gate, of every second start by what the gate makes of it by moving alone, less
    a weight times how far the gate is open. Every third start wants to be more like the person than like any other of PEOPLE. A clip
    counts as identified if any step of any start was.
    """
    count = len(waves)
    column = gallery.people.index(person)
    rivals = torch.cat([gallery.rows[:column], gallery.rows[column + 1 : len(gallery.people)]])
    number = torch.arange(restarts).repeat_interleave(count)
    wanted = gallery.rows[column]
    drawn = [torch.randn(waves.shape, generator=torch.Generator().manual_seed(k)) for k in range(restarts)]
    change = torch.cat([noise * float(k > 0) for k, noise in enumerate(drawn)])
    weight = torch.tensor([WEIGHTS[k % len(WEIGHTS)] for k in range(restarts)]).repeat_interleave(count)
    waves = waves.repeat(restarts, 1)
    share = 10 ** (-snr.repeat(restarts) / 20)
    radius = waves.norm(dim=1, keepdim=True) * share[:, None] * (1 - 1e-5)
    change = normalize(change, dim=1) * radius
    ever, few = torch.zeros(len(waves), dtype=torch.bool), torch.zeros(len(waves), dtype=torch.bool)
    best = torch.full((len(waves),), -1.0)
    for _ in range(steps + 1):
        wave = heard(waves, change).requires_grad_()
        before, behind, openings, moved = around_gates(encoder, {"waveform": wave})
        led = normalize(torch.where((number % 2 == 1)[:, None], moved, before), dim=1)
        way = -(led @ wanted)
        if len(rivals):
            way = way + torch.where(number % 3 == 2, (led @ rivals.T).amax(1), 0.0)
        if openings.shape[1]:
            way = way + weight * torch.relu(openings + 1e-3).sum(1)
        (slope,) = torch.autograd.grad(way.sum(), wave)
        with torch.no_grad():
            one, two, alike = gallery.named(behind.detach(), person)
            ever, few, best = ever | one, few | two, torch.maximum(best, alike)
            change = wave.detach() - waves - 4 * radius / max(steps, 1) * normalize(slope, dim=1)
            change = change * (radius / change.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
    starts = (x.view(restarts, count) for x in (ever, few))
    return Attacked(*(x.any(0) for x in starts), best.view(restarts, count).amax(0))
