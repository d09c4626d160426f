"""DES: unsafe prompts go to the least similar safe ones, on the far side of the concept's own direction; with SAGE's terms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import require
from redact_core.adapters.generator_parts import ReadsText
from redact_core.errors import RedactError
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives._parts.spread_rows import spread_rows
from redact_core.objectives.base import Objective
from redact_core.objectives.distances import group_mean
from redact_core.objectives.targets import Targets
from redact_core.types import Batch, Conditioning, Lesson

_CHUNK = 128
_FEWEST = 3
"""Neighbours that a correlation needs."""


class DES(Objective):
    """Dark Embedding Shift: trains the text encoder to read unsafe prompts as the least similar safe ones; with two terms of SAGE.

    *Dark Embedding Shift* (NeurIPS 2025, arXiv 2501.18877), and two terms of SAGE (ECCV 2026, arXiv 2607.00402).

    All on flattened embeddings ``E``. With ``n`` the direction of the concept's name, of length 1, ``u`` redacted and
    ``s`` retained prompts, and ``t_u`` the retained embedding that is least similar to ``E(u)``::

        L = unsafe (E_u[1 - cos(E'(u), t_u - push n)] + E_name[1 - cos(E'(name), E(empty))])
            + safe E_s[1 - cos(E'(s), E(s)) + 1 - cos(E'(s) + push n, E(s))]

    SAGE adds ``spread * max(0, tr Cov E(s) - tr Cov E'(s))`` and ``neighbour * (1 - r)``, with ``r`` the correlation of the
    cosines between each retained prompt and its nearest others, before and after. SAGE's own weights are 2 and 0.1; both are
    0 here by default.

    Known traps: cosines leave the length of embeddings free, which a denoiser does read. ``push`` 200 belongs to the
    length of CLIP-L's embeddings; other encoders have others. There is no reference: a redacted prompt is drawn as some unlike
    prompt. Both SAGE terms are over the retained prompts of a batch, so that small batches make them noisy.

    Args:
        unsafe_weight: Of redacted prompts and of the name.
        safe_weight: Of retained prompts.
        push: alpha, how far beyond.
        spread_weight: SAGE's first term.
        neighbour_weight: SAGE's second term.
        neighbours: Others that are correlated.
        candidates: Retained prompts among which the least similar one is looked for.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A number is out of range; on preparing, conditions are no texts; on making rows, nothing is retained.
    """

    needs = (ReadsText,)
    solvable = False

    def __init__(
        self,
        unsafe_weight: float = 0.7,
        safe_weight: float = 0.3,
        push: float = 200.0,
        spread_weight: float = 0.0,
        neighbour_weight: float = 0.0,
        neighbours: int = 15,
        candidates: int = 512,
        learning_rate: float = 1e-5,
    ):
        super().__init__()
        weights = {
            "unsafe_weight": unsafe_weight, "safe_weight": safe_weight, "push": push, "spread_weight": spread_weight,
            "neighbour_weight": neighbour_weight,
        }  # fmt: skip
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        if neighbours < _FEWEST or candidates < 1:
            raise RedactError(
                f"neighbours is {neighbours} and candidates {candidates}; give at least {_FEWEST} and 1."
            )
        self.unsafe_weight, self.safe_weight, self.push = unsafe_weight, safe_weight, push
        self.spread_weight, self.neighbour_weight = spread_weight, neighbour_weight
        self.neighbours, self.candidates, self.learning_rate = neighbours, candidates, learning_rate
        self._names: dict[str, Tensor] = {}
        self._known: dict[str, Tensor] = {}

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder.

        Raises:
            RedactError: The model's conditions are no texts.
        """
        require(adapter, ReadsText, type(self).__name__)
        return adapter.encoder

    @torch.no_grad()
    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Targets:
        """Redacted prompts with the least similar retained one as their target, and retained ones with their own.

        Raises:
            RedactError: Nothing is retained.
        """
        gone, kept = ([row for row in lessons if row.redacted is flag] for flag in (True, False))
        if not kept:
            raise RedactError("No lesson is retained, so there is no safe prompt to go to; retain some.")
        device = next(teacher.parameters()).device

        def flat(prompts: Sequence[Lesson]) -> Tensor:
            parts = [prompts[i : i + _CHUNK] for i in range(0, len(prompts), _CHUNK)]
            inputs = [adapter.collate([row.asked for row in part]) for part in parts]
            return torch.cat(
                [flattened(teacher({k: v.to(device) for k, v in one.items()})) for one in inputs]
            )

        few = spread_rows(len(kept), self.candidates).tolist()
        safe = normalize(flat([kept[i] for i in few]))
        least = torch.cat([(normalize(part) @ safe.T).argmin(1) for part in flat(gone).split(_CHUNK)])
        unlike = [
            Lesson.redact(row.asked, kept[few[i]].asked, row.weight)
            for row, i in zip(gone, least.tolist(), strict=True)
        ]
        names, _ = bare_rows(gone)
        self._names = adapter.collate([row.asked for row in names])
        self._known = {
            "direction": normalize(flat(names).mean(0), dim=0),
            "empty": flat([Lesson.retain("")])[0],
        }
        return _Rows(adapter, self, teacher, [*unlike, *kept], seed=seed)

    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """``redact`` and ``retain``; ``spread`` and ``neighbours`` where they have a weight."""
        found, target = flattened(student(batch.asked)), flattened(batch.target)
        beyond = self.push * self._known["direction"].to(found)
        unsafe = group_mean(1 - cosine_similarity(found, target - beyond), batch.redacted, batch.weight)
        names = student({key: value.to(found.device) for key, value in self._names.items()})
        unsafe = unsafe + (1 - cosine_similarity(flattened(names), self._known["empty"].to(found))).mean()
        safe = 2 - cosine_similarity(found, target) - cosine_similarity(found + beyond, target)
        terms = {
            "redact": self.unsafe_weight * unsafe,
            "retain": self.safe_weight * group_mean(safe, ~batch.redacted, batch.weight),
        }
        kept = ~batch.redacted & (batch.weight > 0)
        if self.spread_weight:
            terms["spread"] = self.spread_weight * lost_spread(target[kept], found[kept])
        if self.neighbour_weight:
            terms["neighbours"] = self.neighbour_weight * lost_order(
                target[kept], found[kept], self.neighbours
            )
        return terms


class _Rows(Targets):
    """Measures are the method's own terms, without their weights."""

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = 256) -> dict[str, float]:
        """``redact distance`` and ``retain distance``, over at most ``limit`` rows."""
        method, device = self._objective, next(student.parameters()).device
        assert isinstance(method, DES)
        rows = spread_rows(len(self), limit)
        terms = method(student, self.batch(rows).to(device))
        weights = {"redact": method.unsafe_weight, "retain": method.safe_weight}
        return {f"{name} distance": terms[name].item() / w for name, w in weights.items() if w}


def flattened(conditioning: Conditioning) -> Tensor:
    """``(batch, length * dim)``."""
    return conditioning.hidden.float().flatten(1)


def lost_spread(before: Tensor, after: Tensor) -> Tensor:
    """``()`` by how much the total variance ``tr Cov`` fell; 0 where it grew.

    Args:
        before: ``(prompts, dim)``.
        after: The same.
    """
    if len(before) < 2:
        return after.sum() * 0
    return (before.var(0).sum() - after.var(0).sum()).clamp(min=0)


def lost_order(before: Tensor, after: Tensor, neighbours: int) -> Tensor:
    """``()`` 1 less the correlation of the cosines to the nearest ``neighbours``, mean over prompts; 0 where there are too few.

    Args:
        before: ``(prompts, dim)``; decides which are the nearest.
        after: The same.
        neighbours: At most so many.
    """
    count = min(neighbours, len(before) - 1)
    if count < _FEWEST:
        return after.sum() * 0
    old, new = (normalize(x) @ normalize(x).T for x in (before, after))
    others = old - 3 * torch.eye(len(old), device=old.device)  # itself last
    near = others.topk(count, dim=1).indices
    old, new = (normalize(x.gather(1, near) - x.gather(1, near).mean(1, keepdim=True)) for x in (old, new))
    return 1 - (old * new).sum(1).mean()
