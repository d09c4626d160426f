"""Distillation that also holds where somebody with gradients moves the inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import (
    Capability,
    HasInputPerturbation,
    HasNameReplacement,
    require,
)
from redact_core.adapters.disturbance import Disturbable
from redact_core.errors import RedactError
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.objectives._parts.name_replacement import NameReplacement
from redact_core.objectives.base import Objective, Rows, frozen_copy
from redact_core.objectives.distances import conditioning_distance, group_mean
from redact_core.objectives.distillation import Distillation
from redact_core.types import Batch, Conditioning, Lesson

_MOST_PLACES = 4
"""Most places of what stands in place of a condition, where nothing else is said."""


@dataclass(frozen=True)
class _Untouched:
    """What attacks aim at; in a class of its own, so that it is no module of the method and in no checkpoint."""

    adapter: Adapter
    teacher: nn.Module


class RobustDistillation(Distillation):
    """Distillation with a short attack on the inputs of some rows in every step.

    Adversarial training (Madry et al., arXiv 1706.06083) of the conditioning network alone::

        L(H') = distillation(H') + attack_weight * (redact_weight * E_redact |H'(c + d) - H(ref(c))|^2
                                                    + retain_weight * E_keep |H'(c + d) - H(c)|^2)
        d = argmin_{|d| <= radius} |H'(c + d) - H(v)|^2

    The attack moves the student's answer towards the *untouched* teacher's answer H(v) to a redacted
    condition v, found by projected gradient descent: for a redacted row v is the row itself, for a
    retained row a random redacted row of the batch. What shall be answered stays. Without a weight or
    without steps this is :class:`~redact_core.objectives.distillation.Distillation` bit for bit.

    Who leaves the condition's name away and looks for other words that the student takes for it is met by
    ``name_replacement``: see :class:`~redact_core.objectives._parts.name_replacement.NameReplacement`.

    The defaults suit an input that has a norm, such as a waveform. On prompts they are weak; a modality may have a
    subclass with settings of its own, as that of prompts has.

    Args:
        redact_weight: Of redacted rows.
        retain_weight: Of retained rows.
        attack_weight: Of the attacked rows, beside the same rows as they are.
        steps: Of the attack, from a random start; each costs a forward and a backward pass of its rows.
        radius: Largest disturbance in the adapter's unit: of a waveform its own norm (0.1 is 20 dB), of
            a soft token the mean norm of the token embeddings.
        share: Of the redacted rows of a batch that are attacked, in (0, 1].
        retained_share: Of the retained rows, in [0, 1]; default: ``share``. With 0 who starts from a condition that
            is not redacted is not trained against. Above 0 the student learns to pass over what stands in front of a
            retained condition, also where that asks for something.
        words: Of the attacked rows whose search starts at random words and ends at the words nearest to what
            it found, whatever their distance, in [0, 1]: discrete attacks in place of continuous ones.
        places: Most places of an attack where there can be any number of them, as in front of a prompt; the
            steps take from one to so many in turn. Searches differ in how many they put there, and what
            was trained with one number holds against another badly. Default: the adapter's own number,
            always.
        name_replacement: Rows a step with something else in place of what is redacted: half of them as the attack
            finds it, half with random words. They take one, two, four and so on up to ``places`` places (four
            where that is none). Each costs a pass of the teacher besides.
        seed: Of the rows chosen and of where attacks start.
        start: As for :class:`~redact_core.objectives.distillation.Distillation`.

    Raises:
        RedactError: A setting is out of range; on preparing, the adapter has no continuous input.
    """

    needs = (HasInputPerturbation,)
    draws: Tensor

    def __init__(
        self,
        redact_weight: float = 1.0,
        retain_weight: float = 1.0,
        attack_weight: float = 1.0,
        steps: int = 4,
        radius: float = 0.1,
        share: float = 0.5,
        retained_share: float | None = None,
        words: float = 0.0,
        places: int | None = None,
        name_replacement: int = 0,
        seed: int = 0,
        start: Objective | None = None,
    ):
        super().__init__(redact_weight, retain_weight, start)
        self.attack = InputAttack(steps, radius, words)
        if not 0 <= attack_weight < float("inf"):
            raise RedactError(f"attack_weight is {attack_weight}; give a finite number of at least 0.")
        if not 0 < share <= 1:
            raise RedactError(f"share is {share}; give a part of the rows above 0, at most 1.")
        retained_share = share if retained_share is None else retained_share
        if not 0 <= retained_share <= 1:
            raise RedactError(f"retained_share is {retained_share}; give a part of the rows, 0 to 1.")
        # plain numbers as well, for the card
        self.attack_weight, self.steps, self.radius = attack_weight, steps, radius
        if places is not None and places < 1:
            raise RedactError(f"places is {places}; give at least 1, or none for the adapter's own number.")
        if name_replacement < 0:
            raise RedactError(
                f"name_replacement is {name_replacement}; give a number of rows, or 0 for none."
            )
        self.share, self.retained_share, self.name_replacement = share, retained_share, name_replacement
        self.words, self.places, self.seed = words, places, seed
        self._against: _Untouched | None = None
        self._replaced: NameReplacement | None = None
        # in the checkpoint, so that an interrupted run draws what it would have drawn
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def needed(self) -> Sequence[type[Capability]]:
        """Nothing where nothing is attacked; words too, where names are replaced."""
        if not self.attacks:
            return ()
        return (*self.needs, HasNameReplacement) if self.name_replacement else self.needs

    @property
    def attacks(self) -> bool:
        """Whether anything is attacked at all."""
        return self.attack_weight > 0 and self.steps > 0

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder; a frozen copy of it is kept, for attacks aim at what it answered."""
        student = super().prepare(adapter)
        if self.attacks:
            self._against = _Untouched(adapter, frozen_copy(student))
        return student

    @property
    def _prepared(self) -> _Untouched:
        if self._against is None:
            raise RedactError("RobustDistillation was not prepared; call prepare(adapter) before any step.")
        return self._against

    @property
    def teacher(self) -> nn.Module:
        """The untouched encoder, frozen; no part of the checkpoint."""
        return self._prepared.teacher

    def peak_rate(self, adapter: Adapter) -> float:
        """All of what suits the adapter, from a start as well: attacks go on moving the aim."""
        return Objective.peak_rate(self, adapter)

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Rows:
        """Those of distillation; what is put in place of redacted conditions is made ready."""
        if self.attacks and self.name_replacement:
            self._replaced = NameReplacement(adapter, self.teacher, lessons, seed=seed)
        return super().rows(adapter, teacher, lessons, seed=seed)

    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of distillation, ``attacked_redact`` and ``attacked_retain``, and, if wanted, ``name_replacement``."""
        terms = super().forward(student, batch)
        if not self.attacks:
            return terms
        against = self._prepared
        if self.name_replacement and self._replaced is None:
            raise RedactError(
                "RobustDistillation with name_replacement knows no rows; call rows(...) before any step."
            )
        turn = int(self.draws)
        seed = self.seed * 1_000_003 + turn
        generator = torch.Generator().manual_seed(seed)
        # in turn, so that every number comes equally often
        places = None if self.places is None else 1 + turn % self.places
        self.draws += 1
        if self._replaced is not None:
            # one, two, four, ...: a single learnt embedding in place of a name is as common as many words
            doublings = (_MOST_PLACES if self.places is None else self.places).bit_length()
            distance = self._replaced(
                student,
                self.name_replacement,
                2 ** (turn % doublings),
                self.attack,
                seed,
            )
            terms["name_replacement"] = self.attack_weight * distance
        rows, victims_of = self._chosen(batch.redacted.cpu(), generator)
        if not len(rows):
            return terms
        rows = rows.to(batch.redacted.device)
        soft = require(against.adapter, HasInputPerturbation, type(self).__name__).disturb(
            _take(batch.asked, rows), places
        )
        target = soft.arranged(batch.target[rows])
        victims = self._victims(soft, target, victims_of)
        change = input_pgd(student, soft, victims, self.attack, generator)
        distance = self.attack_weight * conditioning_distance(student(soft.moved(change)), target)
        redacted, weight = batch.redacted[rows], batch.weight[rows]
        return terms | {
            "attacked_redact": self.redact_weight * group_mean(distance, redacted, weight),
            "attacked_retain": self.retain_weight * group_mean(distance, ~redacted, weight),
        }

    def _chosen(self, redacted: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Numbers of the attacked rows, redacted ones first, and which of these each is moved towards."""
        groups = []
        for group, share in ((redacted, self.share), (~redacted, self.retained_share)):
            found = group.nonzero().flatten()
            count = math.ceil(share * len(found))  # a group of one is attacked too
            groups.append(found[torch.randperm(len(found), generator=generator)[:count]])
        gone, kept = groups
        if not len(gone):
            return gone, gone  # nothing to bring back in this batch
        towards = torch.randint(len(gone), (len(kept),), generator=generator)
        return torch.cat([gone, kept]), torch.cat([torch.arange(len(gone)), towards])

    @torch.no_grad()
    def _victims(self, soft: Disturbable, target: Conditioning, victims_of: Tensor) -> Conditioning:
        """What the teacher answered to the redacted rows, at the positions that count."""
        teacher = self.teacher.to(soft.unit.device)
        count = int(victims_of.max()) + 1
        inputs = {key: value[:count] for key, value in soft.moved(soft.zeros()).items()}
        conditioning = teacher(inputs)[victims_of.to(soft.unit.device)]
        return replace(conditioning, mask=target.mask)


def _take(inputs: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {key: value[rows] for key, value in inputs.items()}
