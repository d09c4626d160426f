"""Redaction in closed form: the encoder's last linear map is solved for, nothing is trained."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import (
    Capability,
    HasInputPerturbation,
    HasLastLinear,
    SolvesExactly,
    require,
)
from redact_core.adapters.disturbance import Disturbable
from redact_core.adapters.last_linear import LastLinear, LastPass, Ridge
from redact_core.errors import RedactError
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.objectives.distillation import Distillation
from redact_core.objectives.targets import Targets
from redact_core.types import Condition, Conditioning, Lesson, Mean

_KEPT, _GONE = "retain", "redact"
_CHUNK = 128
WEIGHT = 0.3
"""Of redacted rows where none is given."""
HEAVIER = (1.0, 3.0)
"""What it is raised to, one after the other, where it leaves too much."""
MOST_LEFT = 0.4
"""Share of the squared distance to the wanted outputs above which redacted rows get a heavier weight. On the bundled model one concept
leaves 0.15 and ten leave 0.39, and both are gone; twenty leave 0.48 and fifty 0.55 (docs/results/many.md)."""


class ClosedForm(Distillation):
    """The terms of distillation, minimised over the encoder's last linear map by ridge regression.

    With ``h`` the features that the map reads and ``d`` how its result would have to change for the
    wanted answer, the change ``B`` of the map minimises ::

        retain_weight * E_keep |B h|^2 + redact_weight * E_redact |B h - d|^2 + ridge * |B|^2

    as concept editing does with the generator's projections (Gandikota et al. 2024, UCE, arXiv
    2308.14761), but in the encoder, so that the generator stays as it is. Every row also comes
    ``disturbed`` times with random words in front, or a random disturbance, so that more is answered than
    the known wordings. If wanted, ``rounds`` times some redacted rows are attacked as
    :class:`~redact_core.objectives.robust.RobustDistillation` attacks them; what was found goes into the same sums,
    which forget no attack, and the map is solved for again. The features do not depend on the map, so
    nothing has to be asked twice. Distances are those of the last linear map's output: before the final norm,
    where an encoder has one.

    The terms are means over rows, so a name among many has a small share of the redacted one. Where no ``redact_weight`` is
    given, it is 0.3, and 1 or even 3 where more than two fifths of the squared distance that redacted rows had to go would be
    left. What is near them pays for that, and a warning says so.

    Args:
        redact_weight: Of redacted rows, attacked ones included; default: as above.
        retain_weight: Of retained rows.
        ridge: Relative to the mean second moment of the features; more changes less. Below 1e-5, rounding of the encoder's
            float32 may undo what it gains.
        disturbed: How often each row comes with a random disturbance.
        rounds: Of attacks. They lower the leak further, and the nearest retained conditions pay for it.
        attacked: Redacted rows attacked in a round.
        steps: Of an attack.
        places: Most words in front; from one to so many are drawn each time. Searches differ in how
            many they put there, and every later word moves with them.
        radius: Largest disturbance in the adapter's unit, where the input has no words.
        seed: Of disturbances and attacks.

    Raises:
        RedactError: A setting is out of range; on solving, the adapter offers no last linear map.
    """

    solve_runs_encoder = True

    needs = (HasLastLinear,)

    def __init__(
        self,
        redact_weight: float | None = None,
        retain_weight: float = 1.0,
        ridge: float = 1e-4,
        disturbed: int = 2,
        rounds: int = 0,
        attacked: int = 32,
        steps: int = 4,
        places: int = 8,
        radius: float = 0.1,
        seed: int = 0,
    ):
        super().__init__(WEIGHT if redact_weight is None else redact_weight, retain_weight)
        self.automatic = redact_weight is None
        if not 0 < ridge < float("inf"):
            raise RedactError(f"ridge is {ridge}; give a finite number above 0.")
        self.attack = InputAttack(steps, radius)
        if min(disturbed, rounds) < 0:
            raise RedactError(f"disturbed is {disturbed} and rounds {rounds}; give at least 0 of each.")
        if min(attacked, places) < 1:
            raise RedactError(f"attacked is {attacked} and places {places}; give at least 1 of each.")
        self.ridge, self.disturbed, self.rounds = ridge, disturbed, rounds
        self.attacked, self.steps, self.places, self.radius, self.seed = attacked, steps, places, radius, seed

    def needed(self) -> Sequence[type[Capability]]:
        """Inputs that can be moved as well, where any are."""
        return (*self.needs, HasInputPerturbation) if self.disturbed or self.rounds else self.needs

    def check(self, adapter: Adapter) -> None:
        """Nothing is missing where the model solves exactly; where it does not after all, :meth:`solve` checks."""
        if adapter.offers(SolvesExactly) is None:
            super().check(adapter)

    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Change ``adapter.encoder`` in place; True, for it always does.

        Raises:
            RedactError: The adapter offers no last linear map.
        """
        if super().solve(adapter, lessons, seed=seed):
            return True  # exactly
        super().check(adapter)
        places = require(adapter, HasLastLinear, "ClosedForm").closed_form_views()
        weights: list[float] = []
        for place in places:
            solution = _Solution(self, place, lessons, seed)
            solution.carry_out()
            weights.append(solution.redact_weight)
        what = "The encoder's last linear map was" if len(places) == 1 else f"{len(places)} linear maps were"
        self.solved = f"{what} solved for in closed form; nothing was trained."
        if max(weights) > self.redact_weight:
            raised = (
                f"So much is redacted at once that its weight was raised from {self.redact_weight:g} to {max(weights):g}: look at "
                "what is nearest to it."
            )
            self.solved += f" {raised}"
            warnings.warn(raised, stacklevel=2)  # a training that starts here has a note of its own
        return True

    def measured_rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> Targets:
        """Of the targets those that are measured; no other is asked for."""
        return Targets(adapter, self, teacher, lessons, seed=seed, measured_only=True)


class _Solution:
    """One run of :class:`ClosedForm`; all outputs are those of the untouched map."""

    def __init__(self, settings: ClosedForm, adapter: Adapter, lessons: Sequence[Lesson], seed: int):
        self.settings, self.adapter, self.lessons = settings, adapter, lessons
        self.student: nn.Module = adapter.encoder.eval()
        self.last_linear: LastLinear = require(adapter, HasLastLinear, "ClosedForm").last_linear()
        self.before = self.last_linear.get()
        self.changed = False
        self.redact_weight = settings.redact_weight
        self.heavier = HEAVIER if settings.automatic else ()
        self.device = self.before.device
        dim, features = self.before.shape
        self.ridge = Ridge(features, dim, self.device)
        self.variants, self.generator = (torch.Generator().manual_seed(s) for s in (seed, settings.seed))

    @cached_property
    def moving(self) -> HasInputPerturbation:
        return require(self.adapter, HasInputPerturbation, "ClosedForm")

    def carry_out(self) -> None:
        with self.last_linear.last_pass() as last_pass:
            answers = self._answers(last_pass)
            parts = [self.lessons[i : i + _CHUNK] for i in range(0, len(self.lessons), _CHUNK)]
            masks = [self._add(last_pass, part, answers, 0) for part in parts]
            for variant in range(1, self.adapter.variants):
                for part in parts:
                    self._add(last_pass, part, answers, variant)
            for _ in range(self.settings.disturbed):
                for part, mask in zip(parts, masks, strict=True):
                    self._add_disturbed(last_pass, part, answers, mask)
            self._update()
            gone = [x for x in self.lessons if x.redacted]
            for _ in range(self.settings.rounds if gone else 0):
                chosen = torch.randperm(len(gone), generator=self.generator)[: self.settings.attacked]
                self._add_attacked(last_pass, [gone[i] for i in chosen.tolist()], answers)
                self._update()

    def _update(self) -> None:
        change = self._solved(self.redact_weight)
        for heavier in self.heavier:
            if self.ridge.left(_GONE, change) <= MOST_LEFT:
                break
            self.redact_weight, change = heavier, self._solved(heavier)
        self.heavier = ()  # attacks that are found later do not change it
        self.last_linear.set(self.before + change.to(self.before))
        self.changed = True

    def _solved(self, redact_weight: float) -> Tensor:
        """``(dim, features)`` the change of the map."""
        share = {_KEPT: self.settings.retain_weight, _GONE: redact_weight}
        return self.ridge.solve(share, self.settings.ridge)

    def _answers(self, last_pass: LastPass) -> dict[Condition | Mean, Tensor]:
        """``(1, length, dim)`` the output of every answer that another condition shall get."""
        found: dict[Condition | Mean, Tensor] = {}
        distinct = list(dict.fromkeys(x.answer for x in self.lessons if x.asked != x.answer))
        single = [answer for answer in distinct if not isinstance(answer, Mean)]
        for start in range(0, len(single), _CHUNK):
            part = single[start : start + _CHUNK]
            self._forward(last_pass, self.adapter.collated(part))
            found |= dict(zip(part, last_pass.output.split(1), strict=True))
        for answer in distinct:
            if isinstance(answer, Mean):
                self._forward(last_pass, self.adapter.collated(answer.conditions))
                found[answer] = last_pass.output.mean(0, keepdim=True)
        return found

    def _add(
        self,
        last_pass: LastPass,
        lessons: Sequence[Lesson],
        answers: Mapping[Condition | Mean, Tensor],
        variant: int,
    ) -> Tensor:
        """Rows as they are, or a variant of them; their mask ``(batch, length)``."""
        inputs = self.adapter.collated([x.asked for x in lessons])
        if variant:
            inputs = self.adapter.augment(inputs, self.variants)
        conditioning = self._forward(last_pass, inputs)
        self._note(last_pass, lessons, _wanted(last_pass.output, lessons, answers), conditioning.mask)
        return conditioning.mask

    def _add_disturbed(
        self,
        last_pass: LastPass,
        lessons: Sequence[Lesson],
        answers: Mapping[Condition | Mean, Tensor],
        mask: Tensor,
    ) -> None:
        """Rows, whose mask as they are is ``mask``, with a random disturbance; behind random words, an answer is that behind them."""
        places = self._places()
        inputs = self.adapter.collated([x.asked for x in lessons])
        soft = self.moving.disturb(inputs, places)
        if soft.points is None:
            change = soft.random(self.settings.radius, self.generator)
            self._add_moved(last_pass, lessons, soft, change, answers, mask)
            return
        if any(isinstance(x.answer, Mean) for x in lessons):  # a mean has no words
            lessons = [x for x in lessons if not isinstance(x.answer, Mean)]
            if not lessons:
                return
            soft = self.moving.disturb(self.adapter.collated([x.asked for x in lessons]), places)
        change = soft.at_points(self.generator)
        conditioning = self._forward(last_pass, soft.moved(change))
        features, output = last_pass.features, last_pass.output
        wanted = output.clone()
        # only these want something else than their own output
        others = [i for i, x in enumerate(lessons) if x.asked != x.answer]
        if others:
            answers_too = [cast(Condition, lessons[i].answer) for i in others]
            answer = self.moving.disturb(self.adapter.collated(answers_too), places)
            self._forward(last_pass, answer.moved(change[others] * (answer.unit > 0).unsqueeze(-1)))
            wanted[others] = last_pass.output
        last_pass.features, last_pass.output = features, output
        self._note(last_pass, lessons, wanted, conditioning.mask)

    def _add_attacked(
        self, last_pass: LastPass, lessons: Sequence[Lesson], answers: Mapping[Condition | Mean, Tensor]
    ) -> None:
        """Rows moved so that the student answers them as the teacher answered them unmoved."""
        inputs = self.adapter.collated([x.asked for x in lessons])
        soft, settings = self.moving.disturb(inputs, self._places()), self.settings
        conditioning = self._as_it_was(inputs)
        attack = replace(settings.attack, words=0.0 if soft.points is None else 1.0)
        change = input_pgd(self.student, soft, soft.arranged(conditioning), attack, self.generator)
        self._add_moved(last_pass, lessons, soft, change, answers, conditioning.mask)

    def _add_moved(
        self, last_pass: LastPass, lessons: Sequence[Lesson], soft: Disturbable, change: Tensor,
        answers: Mapping[Condition | Mean, Tensor], mask: Tensor,
    ) -> None:  # fmt: skip
        """Moved rows that want what they would want unmoved, where ``mask (batch, length)`` is theirs."""
        self._forward(last_pass, soft.moved(change))
        wanted = soft.arranged(Conditioning(_wanted(last_pass.output, lessons, answers), mask))
        # what is retained stays as it is where it was moved to
        kept = torch.tensor([x.asked == x.answer for x in lessons], device=self.device).view(-1, 1, 1)
        self._note(last_pass, lessons, torch.where(kept, last_pass.output, wanted.hidden), wanted.mask)

    def _places(self) -> int:
        return int(torch.randint(1, self.settings.places + 1, (), generator=self.generator))

    @torch.no_grad()
    def _forward(self, last_pass: LastPass, inputs: dict[str, Tensor]) -> Conditioning:
        """Leaves features, and the output as the untouched map would have it."""
        conditioning = self.student(inputs)
        if self.changed:
            moved = self.before - self.last_linear.get()
            last_pass.output = last_pass.output + last_pass.features @ moved.T
        return conditioning

    @torch.no_grad()
    def _as_it_was(self, inputs: dict[str, Tensor]) -> Conditioning:
        """The answer of the untouched encoder: only the map differs, so no copy of the rest is kept."""
        now = self.last_linear.get()
        self.last_linear.set(self.before)
        try:
            return self.student(inputs)
        finally:
            self.last_linear.set(now)

    def _note(self, last_pass: LastPass, lessons: Sequence[Lesson], wanted: Tensor, mask: Tensor) -> None:
        own = torch.tensor([float(x.weight) for x in lessons], device=self.device).unsqueeze(1)
        weight = mask / mask.sum(1, keepdim=True).clamp(min=1) * own
        gone = torch.tensor([x.redacted for x in lessons], device=self.device)
        # most rows want what they have: for them there is nothing to multiply
        stays = all(x.asked == x.answer for x in lessons if not x.redacted)
        for name, group in ((_KEPT, ~gone), (_GONE, gone)):
            if group.any():
                nothing = stays and name == _KEPT
                change = None if nothing else wanted[group] - last_pass.output[group]
                self.ridge.add(name, last_pass.features[group], change, weight[group])


def _wanted(output: Tensor, lessons: Sequence[Lesson], answers: Mapping[Condition | Mean, Tensor]) -> Tensor:
    """``output`` with the rows of other conditions' answers replaced."""
    rows = [output[i : i + 1] if x.asked == x.answer else answers[x.answer] for i, x in enumerate(lessons)]
    return torch.cat(rows)
