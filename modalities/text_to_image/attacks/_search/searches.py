"""Searches over tokens at free places. Each yields, step by step, the tokens found and their loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective
from modalities.text_to_image.attacks._search.reading import Reader, Slots

Step = tuple[Tensor, Tensor]
"""Token ids ``(batch, k)`` and the loss ``(batch,)`` that was measured on the way to them."""


def projected(
    reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, steps: int, lr: float, seed: int
) -> Iterator[Step]:
    """Hard prompts made easy (Wen et al., arXiv 2302.03668, algorithm 1).

    A continuous embedding follows the gradient that is taken at its nearest token, nearest by cosine.

    Args:
        reader: Of the attacked model.
        asked: Prompts with ``k`` free places.
        objective: To be minimised.
        words: ``(words,)`` ids that may be used.
        steps: Gradients taken.
        lr: Of AdamW, in standard deviations of the table.
        seed: Of the tokens to start from.
    """
    table = reader.table[words.to(reader.table.device)]
    unit = torch.nn.functional.normalize(table, dim=-1)
    start = torch.randint(
        len(words), tuple(asked.free.shape), generator=torch.Generator().manual_seed(seed)
    ).to(table.device)
    free = table[start].clone().requires_grad_()
    optimiser = torch.optim.AdamW([free], lr=lr * table.std().item(), weight_decay=0.1)
    for step in range(steps):
        nearest = (torch.nn.functional.normalize(free.detach(), dim=-1) @ unit.T).argmax(-1)
        at = table[nearest].clone().requires_grad_()
        loss = reader.loss(objective, asked, at, step)
        free.grad = torch.autograd.grad(loss.sum(), at)[0]
        optimiser.step()
        yield words.to(nearest.device)[nearest], loss.detach()


def on_simplex(
    reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, steps: int, lr: float, seed: int
) -> Iterator[Step]:
    """UnlearnDiffAtk's search (Zhang et al., arXiv 2310.11868): a distribution over tokens at each place.

    One token is drawn from each; the gradient passes straight through the draw, clipped to [-1, 1],
    and every row is projected back to the simplex. Yields the likeliest tokens.

    Args:
        reader: Of the attacked model.
        asked: Prompts with ``k`` free places.
        objective: To be minimised.
        words: ``(words,)`` ids that may be used.
        steps: Gradients taken.
        lr: Of Adam.
        seed: Of the draws.
    """
    table = reader.table[words.to(reader.table.device)]
    generator = torch.Generator().manual_seed(seed)
    # a little noise, for rows of exactly equal shares have no likeliest token
    share = torch.full((*asked.free.shape, len(words)), 1 / len(words))
    share = simplex(share + 0.1 / len(words) * torch.rand(share.shape, generator=generator)).to(table)
    share.requires_grad_()
    optimiser = torch.optim.Adam([share], lr=lr, weight_decay=0.1)
    for step in range(steps):
        drawn = torch.multinomial(share.detach().flatten(0, 1).cpu(), 1, generator=generator)
        hot = torch.nn.functional.one_hot(drawn.view(asked.free.shape), len(words)).to(table).requires_grad_()
        loss = reader.loss(objective, asked, hot @ table, step)
        share.grad = torch.autograd.grad(loss.sum(), hot)[0].clamp(-1, 1)
        optimiser.step()
        with torch.no_grad():
            share.copy_(simplex(share))
        yield words.to(table.device)[share.detach().argmax(-1)], loss.detach()


def simplex(rows: Tensor) -> Tensor:
    """Euclidean projection of the last dimension to the simplex (Duchi et al. 2008, figure 1)."""
    ordered = rows.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    count = torch.arange(1, rows.shape[-1] + 1, device=rows.device)
    last = (ordered * count > excess).sum(-1, keepdim=True)
    return (rows - excess.gather(-1, last - 1) / last).clamp(min=0)


def greedy(
    reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, steps: int, candidates: int,
    top: int, seed: int,
) -> Iterator[Step]:  # fmt: skip
    """Greedy coordinate gradient (Zou et al., arXiv 2307.15043, algorithm 1), all rows side by side.

    The gradient by the one-hot token proposes ``top`` tokens for each place; of ``candidates`` random
    single swaps the best is kept, if it is better than what is there. The objective must be
    deterministic.

    Args:
        reader: Of the attacked model.
        asked: Prompts with ``k`` free places.
        objective: To be minimised; called with one prompt many times, so it takes the rows' numbers
            from their order: row ``i`` of the batch stands at ``i * candidates`` and after.
        words: ``(words,)`` ids that may be used.
        steps: Swaps made.
        candidates: Swaps tried at each step.
        top: Tokens proposed for each place.
        seed: Of the tokens to start from and of the swaps.
    """
    table, (batch, k) = reader.table[words.to(reader.table.device)], asked.free.shape
    generator = torch.Generator().manual_seed(seed)
    now = torch.randint(len(words), (batch, k), generator=generator).to(table.device)
    rows = torch.arange(batch)
    many = asked.repeat(candidates)
    for step in range(steps):
        hot = torch.nn.functional.one_hot(now, len(words)).to(table).requires_grad_()
        loss = reader.loss(objective, asked, hot @ table, step)
        gradient = torch.autograd.grad(loss.sum(), hot)[0]
        proposed = (-gradient).topk(min(top, len(words)), dim=-1).indices  # (batch, k, top)
        with torch.no_grad():
            place = torch.randint(k, (batch, candidates), generator=generator)
            choice = torch.randint(proposed.shape[-1], (batch, candidates), generator=generator)
            new = proposed[rows[:, None], place, choice]
            trial = now[:, None].expand(-1, candidates, -1).clone()
            trial.scatter_(2, place[..., None].to(trial.device), new[..., None])
            tried = reader.loss(objective, many, table[trial.flatten(0, 1)], step).view(batch, candidates)
            best, at = tried.min(1)
            better = best < loss
            now = torch.where(better[:, None], trial[rows, at.cpu()], now)
        yield words.to(now.device)[now], torch.minimum(best, loss.detach())
