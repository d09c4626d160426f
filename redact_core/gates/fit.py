"""A gate in closed form, from embeddings alone: nothing is trained, and everything about it can be bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core.errors import RedactError
from redact_core.gates.capping import aside_of, steps_to
from redact_core.gates.gate import Gate
from redact_core.gates.geometry import POOL, SPIKE, Cell
from redact_core.gates.reference import choose_reference
from redact_core.support.whole_numbers import WholeNumbers

_SMALLER = (0.01, 0.0)
"""Margins that are tried where the wished one leaves no room for conditions that stay."""
MOST_SPIKES = 64
"""Conditions that stay although they are more like the redacted voice than like anybody else."""
_LEAST_ROOM = 1e-4
_MOST_ASIDE = 0.5
"""Of its own length that an embedding is moved to the side."""
_BESIDE = 16
"""Conditions that stay, the nearest ones, by which it is told how far what is above the cap must be moved."""


@dataclass(frozen=True)
class GateSettings(WholeNumbers):
    """Of :func:`fit_gate`; docs/results/voice_gates.md has what each costs and brings.

    Args:
        margin: How much more like somebody who stays than like the redacted voice an embedding must be to stay as it
            is, in cosine.
        sure: An embedding is replaced, and not only moved away, where its excess is so many standard deviations above the mean
            of people who are not the voice; those who stay stand in for them, each with the own
            landmark left out. At least half of the given embeddings of the voice are replaced, whatever that costs, and so
            are those that would have to be moved by more than their own length.
        gain: How far an embedding in between is moved, in units of the least that makes somebody who stays more like it; less
            where it would be more than its own length.
        cap: Standard deviations above the mean likeness of those who stay from which an embedding is moved to the side until its
            likeness is that, whoever else is like it; infinity: never.
        spare: By which what stays keeps away from the threshold, as a share of the room between the voice and the
            nearest of them.
        landmarks: At most so many directions of those who stay are stored, the nearest ones, fewer by what exceptions
            from the cap need.

    Raises:
        RedactError: A setting is out of range.
    """

    margin: float = 0.02
    sure: float = 3.5
    gain: float = 1.0
    spare: float = 0.05
    landmarks: int = 168
    cap: float = 1.5

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
        if not self.cap >= 0:
            raise RedactError(f"cap is {self.cap}; give at least 0.")


@dataclass(frozen=True)
class FittedGate:
    """A gate with what it was made from."""

    gate: Gate
    cell: Cell
    reference: int
    """Which of the kept voices answers."""
    changed: float
    """Share of the given embeddings of the redacted voice that are moved or replaced."""
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
    voice = middle_of(own[:, 0])
    middles = torch.stack([middle_of(x) for x in kept])
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
    high = 1 - room + 2 * spare
    cap, exceptions = _capped(voice, exact, settings.cap, spare)
    count = max(settings.landmarks - len(exceptions), 1)
    first = (middles @ voice).topk(min(len(middles), count)).indices
    start = Cell(
        voice, middles[first], exceptions, middles[:0], settings.margin, high, 0.0, settings.gain, cap,
        torch.zeros_like(voice),
    )  # fmt: skip
    cell = _with_room(start, exact, spare)
    level = _level_of_others(cell, kept, middles, first, settings.sure)
    sure = max(0.0, min(level, cell.excess(mine).median().item(), cell.room))
    aside = aside_of(voice, middles, exact, high)
    reach = max(0.0, high + sure - cap)
    steps = _steps(voice, aside, exact, cap, high)
    # nothing is moved by more than its own length, which would leave it like nobody: half of it to the side, or less
    steps = min(steps, _MOST_ASIDE / (reach * aside.norm().item())) if reach else 0.0
    left = cell.room * (1 - steps * reach * aside.norm().item())
    sure = min(sure, left)
    cell = replace(
        cell, sure=sure, gain=min(settings.gain, left / sure) if sure else settings.gain, aside=steps * aside
    )
    cell = _own_spikes(cell, normalize(own[:, 0], dim=1), exact, spare)
    gate = Gate(cell.network(), answer, cell.rate * voice, cell.aside, cell.sure).eval().requires_grad_(False)
    excess, over = cell.excess(mine), cell.over(mine)
    changed = ((excess > 0) | ((over > 0) & cell.aside.any())).float().mean().item()
    return FittedGate(gate, cell, reference, changed, (excess > cell.sure).float().mean().item())


def answers_that_stay(earlier: Iterable[Gate], own: Tensor) -> list[Tensor]:
    """The answers of earlier gates as kept voices ``(1, dim)``, so that a later gate does not change them.

    Args:
        earlier: Gates in front of the one to be made.
        own: ``(n, variants, dim)`` of the voice to be redacted now. An answer as like it as its own clips are is
            of this voice; it is left out, and the new gate's answer takes its place.
    """
    middle = middle_of(own[:, 0])
    level = torch.cosine_similarity(own[:, 0], middle[None]).median()
    answers = [gate.answer.cpu() for gate in earlier]
    return [a[None] for a in answers if torch.cosine_similarity(a, middle, dim=0) < level]


def _capped(voice: Tensor, exact: Tensor, deviations: float, spare: float) -> tuple[float, Tensor]:
    """The cap, and those of ``exact`` that lie above it: each needs a spike. At most :data:`MOST_SPIKES` do."""
    likeness = exact @ voice
    cap = 1.0
    if deviations != float("inf") and len(exact) > 2:
        cap = min(cap, (likeness.mean() + deviations * likeness.std()).item())
    if len(exact) > MOST_SPIKES:
        cap = max(cap, likeness.topk(MOST_SPIKES + 1).values[-1].item() + 2 * spare)
    return cap, exact[likeness > cap - spare]


def _steps(voice: Tensor, aside: Tensor, exact: Tensor, cap: float, high: float) -> float:
    """How many of ``aside`` for each unit above the cap bring those who stay, and who is as near as ``high`` beside them, down to it."""
    if cap >= high:
        return 0.0
    near = exact[(exact @ voice).topk(min(len(exact), _BESIDE)).indices]
    c = (near @ voice)[:, None]
    nearer = high * voice + (1 - high**2) ** 0.5 * normalize(near - c * voice, dim=1)
    points = torch.cat([near[c[:, 0] > cap + _LEAST_ROOM], nearer])
    return (steps_to(points, voice, aside, cap) / (points @ voice - cap)).max().item()


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
    """``cell`` with more spikes until the gate is shut for ``points``; ``None`` where one is not enough for a point."""
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


def middle_of(embeddings: Tensor) -> Tensor:
    """``(dim,)`` the mean direction of ``embeddings (n, dim)``, of length 1."""
    return normalize(normalize(embeddings, dim=1).mean(0), dim=0)
