"""Redaction by gates: an objective that trains nothing and leaves the encoder as it is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from redact_core.adapters.base import Adapter, to_device_of
from redact_core.adapters.capabilities import HasOneVector
from redact_core.errors import RedactError
from redact_core.gates.fit import FittedGate, GateSettings, answers_that_stay, fit_gate, middle_of
from redact_core.gates.gate import Gate
from redact_core.gates.gated import GatedEncoder, one_vector
from redact_core.gates.grouping import by_folder, voices_of
from redact_core.gates.measured import GateTargets
from redact_core.gates.sharing import share_of, shared
from redact_core.objectives.base import Objective, Rows
from redact_core.types import Condition, Lesson, Mean

_CHUNK = 64
_PAIRS = 1 << 20
_MEASURED = 64
"""Rows by which the card says how far embeddings moved; the encoder takes each twice."""
SAME = 0.9999
"""Cosine of two directions from which they are of the same conditions; those of two people are far below."""
TOGETHER = 0.95
"""Quantile of the cosines of kept conditions from which they share a landmark: most pairs are of two voices."""


class Gating(Objective):
    """A gate behind the encoder for each redacted voice, in closed form; see :class:`~redact_core.gates.Gate`.

    An embedding that belongs to a redacted voice is replaced by the reference's; one that may be of somebody else is moved
    away from the voice, just so far that somebody who stays is more like it; one that is more like the voice than most who stay
    is moved to the side; every other one goes through with all its bits.
    How like the voice *any* output can be is bounded: see :meth:`.geometry.Cell.bound`. Works for conditionings that are one vector. Redacted conditions that are files in one folder are of one voice and
    get one gate together; gates that are there already stay as they are, and so do their answers. A voice whose gate is there
    already, made from the same conditions, gets no second one. ``cap`` is that of
    a gate alone: where there are several, it rises with their number, see :mod:`.sharing`. A model with several vectors
    in parallel gets gates behind each.

    Where the reference of a row is the mean of several conditions, one of them answers, chosen at the level of
    strangers: the mean of many voices is like everybody.

    Args:
        margin: How much more like somebody who stays than like the redacted voice an embedding must be to stay as it is.
        sure: Standard deviations above people who are not the voice from which an embedding is replaced and not only
            moved away.
        gain: How far an embedding in between is moved, in units of the least that makes somebody who stays more like it.
        landmarks: Directions of those who stay that the gate holds at most, the nearest ones.
        cap: Standard deviations above the mean likeness to the voice of those who stay from which an embedding is moved to the
            side; infinity: never.

    Raises:
        RedactError: A setting is out of range; on solving, a conditioning of several vectors, nobody is kept,
            or kept conditions cannot be told from a redacted voice.
    """

    needs = (HasOneVector,)
    solvable = False
    solve_runs_encoder = True
    solved = "A gate was put behind the encoder for each redacted voice, without training."
    scope = (
        "Behind the encoder stands a gate that replaces embeddings of the redacted voices; the encoder's own "
        "weights are the stock ones. Whoever has the folder can take the gate away, and reads from it a "
        "direction of the voice. An embedding made by the stock encoder does not pass the gate."
    )

    def __init__(
        self,
        margin: float = GateSettings.margin,
        sure: float = GateSettings.sure,
        gain: float = GateSettings.gain,
        landmarks: int = GateSettings.landmarks,
        cap: float = GateSettings.cap,
    ):
        super().__init__()
        self.settings = GateSettings(margin, sure, gain, landmarks=landmarks, cap=cap)
        self.margin, self.sure, self.gain, self.landmarks, self.cap = margin, sure, gain, landmarks, cap
        self.fitted: list[FittedGate] = []
        """Gates that were added, in order."""
        self.fitted_for: dict[Condition, FittedGate] = {}
        """Redacted condition -> the gate that was added for it, behind the last vector; those that had one already are left out."""
        self._answers: dict[tuple[Condition, Condition | Mean], Condition] = {}
        self._replaced: set[Condition] = set()

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder, with room for gates behind each of its vectors."""
        for one in _vectors(adapter):
            if not isinstance(one.encoder, GatedEncoder):
                one.encoder = GatedEncoder(one.encoder)
        return adapter.encoder

    @torch.no_grad()
    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Fit one gate for each redacted voice, behind each vector of the model; True."""
        self.prepare(adapter)
        answers: dict[tuple[Condition, Condition | Mean], Condition] = {}
        for one in _vectors(adapter):
            self._fit(one, lessons, seed, answers)
        self._answers |= answers
        return True

    def _fit(
        self,
        adapter: Adapter,
        lessons: Sequence[Lesson],
        seed: int,
        answers: dict[tuple[Condition, Condition | Mean], Condition],
    ) -> None:
        """Fit the gates of one vector.

        Args:
            adapter: With that vector.
            lessons: Of the request.
            seed: Of the variants.
            answers: Row -> who answers it, if that is known from another vector; added to.
        """
        encoder = cast(GatedEncoder, adapter.encoder)
        redacted = {row.asked: row.answer for row in lessons if row.redacted}
        kept = list(dict.fromkeys(row.asked for row in lessons if not row.redacted))
        if not kept:
            raise RedactError("Nothing is retained; a gate needs conditions that stay, give some.")
        generator = torch.Generator().manual_seed(seed)
        device = adapter.device
        own, answered = _embed(adapter, list(redacted), generator)
        embedded, replaced = _embed(adapter, kept, None)
        references = list(dict.fromkeys(_members(answer) for answer in redacted.values()))
        for group in references:
            more, gone = _embed(adapter, [c for c in group if c not in embedded], None)
            embedded, replaced = embedded | more, replaced | gone
        self._replaced |= answered | replaced
        # what an earlier gate replaces is not of somebody who stays; its answer is, see answers_that_stay
        stays = {c: x[0] for c, x in embedded.items() if c not in replaced}
        conditions = list(stays)
        plain = normalize(torch.stack(list(stays.values())), dim=1)
        voices = voices_of(conditions, plain, (plain @ plain.T).flatten()[:_PAIRS].quantile(TOGETHER).item())
        embeddings = [torch.stack([stays[conditions[i]] for i in rows]) for rows in voices]
        earlier = [gate for gate in encoder.gates if isinstance(gate, Gate)]
        groups = [group for group in _groups(redacted) if not _is_gated(earlier, own, group[1], answered)]
        there = len(_groups(redacted)) - len(groups)
        if there:
            warnings.warn(
                f"{there} of the redacted voices {'have gates that replace' if there > 1 else 'has a gate that replaces'} all that "
                "was given of them already; none was added. For other settings, redact the encoder without gates.",
                stacklevel=2,
            )
        settings = shared(self.settings, share_of(len(encoder.gates), len(groups)))
        for answer, asked in groups:
            # the voice that answers is the same for all vectors
            known = {answers[condition, answer] for condition in asked if (condition, answer) in answers}
            members = (known & stays.keys()) or set(_members(answer))
            pool = [k for k, rows in enumerate(voices) if any(conditions[i] in members for i in rows)]
            if not pool:
                raise RedactError(
                    f"Every condition of the reference of {asked[0]} is replaced by a gate that is there; give a "
                    "reference who stays."
                )
            mine = torch.stack([own[condition] for condition in asked])
            stay = embeddings + answers_that_stay(earlier, mine)
            found = fit_gate(mine, stay, candidates=pool, settings=settings)
            self.fitted.append(found)
            self.fitted_for |= dict.fromkeys(asked, found)
            encoder.gates.append(found.gate.to(device))
            spoken = next(conditions[i] for i in voices[found.reference] if conditions[i] in members)
            answers |= {(condition, answer): spoken for condition in asked}

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Rows:
        """Targets with the references that were chosen, of a sample of the rows: they are measured, for the card, not trained on.

        Rows that an earlier gate replaced are left out: what answers them does not change.
        """
        chosen = [
            replace(row, answer=self._answers.get((row.asked, row.answer), row.answer))
            if row.redacted
            else row
            for row in lessons
            if row.asked not in self._replaced
        ]
        step = max(1, len(chosen) * adapter.variants // _MEASURED)
        groups = [[row for row in chosen if row.redacted is gone] for gone in (True, False)]
        sample = [row for group in groups for row in group[::step]]
        return GateTargets(adapter, self, teacher, sample, seed=seed)

    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Always refused."""
        raise RedactError("Gating has no loss: it is solved in closed form, by redact() or redact fit.")


def _is_gated(
    gates: Sequence[Gate], own: dict[Condition, Tensor], asked: Sequence[Condition], replaced: set[Condition]
) -> bool:
    """Whether all of a voice's conditions are replaced, and one of the ``gates`` is of the very direction that they have."""
    if not replaced.issuperset(asked):
        return False
    middle = middle_of(torch.stack([own[condition][0] for condition in asked]))
    return any(torch.cosine_similarity(gate.away.cpu(), middle, dim=0) > SAME for gate in gates)


def _groups(
    redacted: dict[Condition, Condition | Mean],
) -> list[tuple[Condition | Mean, list[Condition]]]:
    """Answer and conditions of each gate: those that have an answer and a folder together."""
    found: list[tuple[Condition | Mean, list[Condition]]] = []
    for answer in dict.fromkeys(redacted.values()):
        asked = [condition for condition, its in redacted.items() if its == answer]
        found += [(answer, [asked[i] for i in rows]) for rows in by_folder(asked)]
    return found


def _vectors(adapter: Adapter) -> Sequence[Adapter]:
    found = adapter.offers(HasOneVector)
    return [adapter] if found is None else found.vectors()


def _members(answer: Condition | Mean) -> tuple[Condition, ...]:
    return answer.conditions if isinstance(answer, Mean) else (answer,)


def _embed(
    adapter: Adapter, conditions: Sequence[Condition], generator: torch.Generator | None
) -> tuple[dict[Condition, Tensor], set[Condition]]:
    """Condition -> ``(variants, dim)`` as one more gate sees it, on the CPU, and conditions that a gate replaces.

    Without ``generator`` of one variant.
    """
    encoder = cast(GatedEncoder, adapter.encoder)
    parts: dict[Condition, Tensor] = {}
    replaced: set[Condition] = set()
    for start in range(0, len(conditions), _CHUNK):
        some = list(conditions[start : start + _CHUNK])
        inputs = adapter.collate(some)
        versions = [inputs]
        if generator is not None:
            versions += [adapter.augment(inputs, generator) for _ in range(1, adapter.variants)]
        seen = [encoder.seen(one_vector(encoder.encoder(to_device_of(encoder, x))).hidden) for x in versions]
        found = torch.stack([hidden[:, 0].float().cpu() for hidden, _ in seen], 1)
        parts |= dict(zip(some, found, strict=True))
        replaced |= {c for c, gone in zip(some, seen[0][1].tolist(), strict=True) if gone}
    return parts, replaced
