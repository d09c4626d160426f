"""A gate in closed form, from embeddings alone: nothing is trained, and everything about it can be bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core.errors import RedactError
from redact_core.gates.gate import Gate
from redact_core.gates.geometry import POOL, SPIKE, Cell
from redact_core.gates.reference import choose_reference

_SMALLER = (0.01, 0.0)
"""Margins that are tried where the wished one leaves no room for conditions that stay."""
MOST_SPIKES = 64
"""Conditions that stay although they are more like the redacted voice than like anybody else."""
_LEAST_ROOM = 1e-4


@dataclass(frozen=True)
class GateSettings:
    """Of :func:`fit_gate`; docs/voice_gates.md has what each costs and brings.

    Args:
        margin: How much more like somebody who stays than like the redacted voice an embedding must be to stay as it
            is, in cosine.
        sure: An embedding is replaced, and not only moved away, where its excess is so many standard deviations above the mean
            of people who are not the voice; those who stay stand in for them, each with the own
            landmark left out. At least half of the given embeddings of the voice are replaced, whatever that costs, and so
            are those that would have to be moved by more than their own length.
        gain: How far an embedding in between is moved, in units of the least that makes somebody who stays more like it; less
            where it would be more than its own length.
        spare: By which what stays keeps away from the threshold, as a share of the room between the voice and the
            nearest of them.
        landmarks: At most so many directions of those who stay are stored, the nearest ones.

    Raises:
        RedactError: A setting is out of range.
    """

    margin: float = 0.02
    sure: float = 3.5
    gain: float = 2.0
    spare: float = 0.05
    landmarks: int = 176

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1:
            raise RedactError(f"margin is {self.margin}; give 0 to 1.")
        if self.gain < 1:
            raise RedactError(
                f"gain is {self.gain}; give at least 1, or what is moved stays the redacted voice's."
            )
        if not 0 < self.spare < 1:
            raise RedactError(f"spare is {self.spare}; give more than 0 and less than 1.")
        if self.landmarks < 1:
            raise RedactError(f"landmarks is {self.landmarks}; give at least 1.")


@dataclass(frozen=True)
class FittedGate:
    """A gate with what it was made from."""

    gate: Gate
    cell: Cell
    reference: int
    """Which of the kept voices answers."""
    changed: float
    """Share of the given embeddings of the redacted voice that are moved away or replaced."""
    replaced: float
    """Share of them that is replaced."""


def fit_gate(
    own: Tensor,
    kept: Sequence[Tensor],
    *,
    candidates: Sequence[int] | None = None,
    settings: GateSettings | None = None,
) -> FittedGate:
    """A gate that opens for one voice and for none of those who stay.

    Args:
        own: ``(n, variants, dim)`` embeddings of the redacted voice; the first variant is the condition as it is.
        kept: For each voice that stays ``(n, dim)``. The gate is shut for all of them.
        candidates: Which of ``kept`` may answer, see :func:`.reference.choose_reference`; default: all.
        settings: Default: those of :class:`GateSettings`.

    Raises:
        RedactError: Nothing is kept, or a kept embedding cannot be told from the redacted voice.
    """
    settings = settings or GateSettings()
    if not len(own) or not kept:
        raise RedactError(
            "A gate needs embeddings of the redacted voice and of voices that stay; give some of both."
        )
    mine = normalize(own.flatten(0, 1), dim=1)
    voice = _middle(own[:, 0])
    middles = torch.stack([_middle(x) for x in kept])
    reference = choose_reference(voice, middles, range(len(kept)) if candidates is None else candidates)
    answer = middles[reference] * kept[reference].norm(dim=1).mean()
    exact = normalize(torch.cat([*kept, answer[None]]), dim=1)
    room = 1 - (exact @ voice).max().item()
    if room < _LEAST_ROOM:
        raise RedactError(
            "Conditions that stay have the redacted voice's own embedding, so no gate can tell them apart; take "
            "out those that are of the same voice."
        )
    spare = settings.spare * room
    first = (middles @ voice).topk(min(len(middles), settings.landmarks)).indices
    start = Cell(
        voice,
        middles[first],
        middles[:0],
        middles[:0],
        settings.margin,
        1 - room + 2 * spare,
        0.0,
        settings.gain,
    )
    cell = _with_room(start, exact, spare)
    level = _level_of_others(cell, kept, middles, first, settings.sure)
    # nothing is moved by more than its own length: there it would be like nobody
    sure = max(0.0, min(level, cell.excess(mine).median().item(), cell.room))
    cell = replace(cell, sure=sure, gain=min(settings.gain, cell.room / sure) if sure else settings.gain)
    cell = _own_spikes(cell, normalize(own[:, 0], dim=1), exact, spare)
    gate = Gate(cell.network(), answer, cell.rate * voice, cell.sure).eval().requires_grad_(False)
    excess = cell.excess(mine)
    shares = ((excess > limit).float().mean().item() for limit in (0.0, cell.sure))
    return FittedGate(gate, cell, reference, *shares)


def answers_that_stay(earlier: Iterable[Gate], own: Tensor) -> list[Tensor]:
    """The answers of earlier gates as kept voices ``(1, dim)``, so that a later gate does not change them.

    Args:
        earlier: Gates in front of the one to be made.
        own: ``(n, variants, dim)`` of the voice to be redacted now. An answer as like it as its own clips are is
            of this voice; it is left out, and the new gate's answer takes its place.
    """
    middle = _middle(own[:, 0])
    level = torch.cosine_similarity(own[:, 0], middle[None]).median()
    answers = [gate.answer.cpu() for gate in earlier]
    return [a[None] for a in answers if torch.cosine_similarity(a, middle, dim=0) < level]


def _with_room(start: Cell, exact: Tensor, spare: float) -> Cell:
    """``start``, with a smaller margin if it must be, and with spikes, so that ``exact`` stays as it is."""
    for margin in (start.margin, *(m for m in _SMALLER if m < start.margin)):
        found = _spared(replace(start, margin=margin), exact, spare)
        if found is not None:
            return found
    raise RedactError(
        f"More than {MOST_SPIKES} conditions that stay are more like the redacted voice than like their own; take out "
        "those that are of the same voice."
    )


def _level_of_others(
    cell: Cell, kept: Sequence[Tensor], middles: Tensor, landmarks: Tensor, deviations: float
) -> float:
    """The excess ``deviations`` standard deviations above the mean of people whom the gate does not know.

    Those who stay stand in for them, with the largest cosine to *another* voice's landmark.
    """
    points = normalize(torch.cat([*kept]), dim=1)
    whose = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(voice) for voice in kept]))
    alike = points @ middles[landmarks].T
    alike[whose[:, None] == landmarks[None]] = -1.0
    found = points @ cell.voice - alike.amax(1) + cell.margin
    if len(kept) < 3:  # nobody, or one only, is left to compare with
        return float("inf")
    return (found.mean() + deviations * found.std()).item()


def _spared(cell: Cell, points: Tensor, spare: float) -> Cell | None:
    """``cell`` with spikes until the gate is shut for ``points``; ``None`` where one is not enough for a point."""
    likeness, near = cell.likeness(points), cell.near(points)
    added = list[Tensor]()
    while True:
        excess = likeness - (near - cell.margin).clamp(max=cell.high)
        worst = int(excess.argmax())
        if excess[worst] <= -spare:
            return replace(cell, spikes=torch.cat([cell.spikes, *[x[None] for x in added]]))
        if near[worst] > 1 - 1e-4 or len(added) == MOST_SPIKES:
            return None  # it has its own already: the margin is larger than what is between the two
        added.append(points[worst])
        near = torch.maximum(near, SPIKE * (points @ points[worst]) + 1 - SPIKE)


def _own_spikes(cell: Cell, own: Tensor, exact: Tensor, spare: float) -> Cell:
    """``cell`` that replaces the given conditions ``own`` of the voice too that are more like somebody else."""
    excess = cell.excess(own)
    for i in excess.argsort().tolist():
        if excess[i] > cell.sure or len(cell.own_spikes) == POOL - 1:
            break
        wider = replace(cell, own_spikes=torch.cat([cell.own_spikes, own[i][None]]))
        if wider.excess(exact).max() <= -spare:
            cell = wider
    return cell


def _middle(embeddings: Tensor) -> Tensor:
    """``(dim,)`` the mean direction of ``embeddings (n, dim)``, of length 1."""
    return normalize(normalize(embeddings, dim=1).mean(0), dim=0)
