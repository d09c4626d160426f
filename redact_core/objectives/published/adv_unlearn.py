"""AdvUnlearn: the text encoder learns ESD's target under an adversarial embedding in front of the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasInputPerturbation, HasTrainingLoss, require
from redact_core.adapters.generator_parts import HasDenoiser, ReadsText, generator_of
from redact_core.errors import RedactError
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives._parts.denoiser_rows import (
    half_finished,
    in_parts,
    mean_distances,
    without_condition,
)
from redact_core.objectives._parts.replay import draw, encode
from redact_core.objectives._parts.spread_rows import spread_rows
from redact_core.objectives.base import Objective
from redact_core.objectives.distances import group_mean
from redact_core.types import Conditioning, Lesson


@dataclass(frozen=True)
class DenoisedPrompts:
    """Prompts with half-finished drawings and what the denoiser shall say of them."""

    asked: Mapping[str, Tensor]
    latents: Tensor  # (batch, channels, height, width)
    times: Tensor  # (batch,)
    target: Tensor  # as latents
    base: Tensor  # as latents: what the untouched model says, which the attack is after
    redacted: Tensor  # (batch,) bool
    weight: Tensor  # (batch,) float

    def to(self, device: torch.device | str) -> DenoisedPrompts:
        """The same rows on ``device``."""
        asked = {key: value.to(device) for key, value in self.asked.items()}
        rest = (
            x.to(device)
            for x in (self.latents, self.times, self.target, self.base, self.redacted, self.weight)
        )
        return DenoisedPrompts(asked, *rest)

    def __getitem__(self, rows: Tensor) -> DenoisedPrompts:
        asked = {key: value[rows] for key, value in self.asked.items()}
        rest = (
            x[rows] for x in (self.latents, self.times, self.target, self.base, self.redacted, self.weight)
        )
        return DenoisedPrompts(asked, *rest)

    def __len__(self) -> int:
        return len(self.weight)


class AdvUnlearn(Objective):
    """AdvUnlearn: trains the text encoder towards ESD's target, with an adversarial embedding in front of the prompt.

    Zhang et al., "Defensive Unlearning with Adversarial Training" (NeurIPS 2024, arXiv 2405.15234), eq. 5 and 6.

    With ``e`` the denoiser, ``E'`` the encoder in training, ``c`` a redacted name, ``r`` retained prompts and ``d`` soft
    embeddings in front of the prompt that make the edited model say what the untouched one says::

        L = |e(z, t, E'(d + c)) - [e(z, t, nothing) - strength (e(z, t, c) - e(z, t, nothing))]|^2
            + retain_weight |e(z, t, E'(r)) - e(z, t, E(r))|^2

    The denoiser is run, not trained. The first ``warmup`` steps are without attack.

    Known traps: the released attack never zeroes its gradients, so that its steps add up; here they are zeroed. Its
    default mode leaves the weight of the retain term unused; here it counts. Its strength counts from the answer to nothing, as in
    the paper of ESD: 1 here is 2 in :class:`~.esd.ESD`. The cost is that of the attack: each step runs the denoiser
    ``2 attack_steps`` times for each redacted row, so take small batches: the authors' hold one name and five prompts.

    Args:
        strength: eta.
        retain_weight: lambda.
        places: Soft embeddings in front.
        attack_steps: Of Adam; 0 trains without an attack.
        attack_rate: Its learning rate.
        warmup: Steps without an attack.
        samples: Half-finished drawings of redacted names.
        retained: The same of retained prompts.
        roll_steps: Of a whole drawing.
        roll_guidance: Scale of classifier-free guidance while drawing them.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A number is out of range; on preparing, the model has no denoiser or its conditions are no texts.
    """

    needs = (ReadsText, HasInputPerturbation, HasDenoiser, HasTrainingLoss)
    solvable = False
    taken: Tensor

    def __init__(
        self,
        strength: float = 1.0,
        retain_weight: float = 0.3,
        places: int = 1,
        attack_steps: int = 30,
        attack_rate: float = 1e-3,
        warmup: int = 200,
        samples: int = 100,
        retained: int = 500,
        roll_steps: int = 50,
        roll_guidance: float = 3.0,
        learning_rate: float = 1e-5,
    ):
        super().__init__()
        numbers = {
            "strength": strength, "retain_weight": retain_weight, "attack_rate": attack_rate,
            "roll_guidance": roll_guidance,
        }  # fmt: skip
        for name, value in numbers.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        for name, value, least in (
            ("places", places, 1), ("attack_steps", attack_steps, 0), ("warmup", warmup, 0),
            ("samples", samples, 1), ("retained", retained, 1), ("roll_steps", roll_steps, 1),
        ):  # fmt: skip
            if value < least:
                raise RedactError(f"{name} is {value}; give at least {least}.")
        self.strength, self.retain_weight, self.places = strength, retain_weight, places
        self.attack_steps, self.attack_rate, self.warmup = attack_steps, attack_rate, warmup
        self.samples, self.retained = samples, retained
        self.roll_steps, self.roll_guidance, self.learning_rate = roll_steps, roll_guidance, learning_rate
        self._models: tuple[HasInputPerturbation, HasDenoiser] | None = None
        # in the checkpoint, so that an interrupted run knows how long it has warmed up
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))

    def default_steps(self, adapter: Adapter) -> int:
        """1000, as the authors have it."""
        del adapter
        return 1000

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder; the denoiser takes no gradients.

        Raises:
            RedactError: The model has no denoiser, or its conditions are no texts.
        """
        moving = require(adapter, HasInputPerturbation, type(self).__name__)
        self._models = moving, require(adapter, HasDenoiser, type(self).__name__)
        generator_of(adapter, type(self).__name__).requires_grad_(False)
        return adapter.encoder

    @torch.no_grad()
    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> PromptRows:
        """Half-finished drawings of names and of retained prompts, with what the denoiser shall say of them.

        Raises:
            RedactError: Nothing is retained, and ``retain_weight`` is not 0.
        """
        denoiser = require(adapter, HasDenoiser, type(self).__name__)
        gone, _ = bare_rows(lessons)
        kept = [row for row in lessons if not row.redacted]
        if self.retain_weight and not kept:
            raise RedactError("No lesson is retained; retain some, or set retain_weight to 0.")
        chosen = draw(gone, self.samples, seed)
        chosen += draw(kept, self.retained, seed + 1) if self.retain_weight else []
        student, adapter.encoder = adapter.encoder, teacher  # the drawings are the untouched model's
        try:
            conditioning = encode(adapter, [row.asked for row in chosen])
            latents, times = half_finished(denoiser, conditioning, seed, self.roll_steps, self.roll_guidance)
            base = in_parts(denoiser.predict, latents, times, conditioning)
            free = without_condition(denoiser, latents, times)
        finally:
            adapter.encoder = student
        group = torch.tensor([row.redacted for row in chosen])
        wanted = free - self.strength * (base - free)
        target = torch.where(group.to(base.device).view(-1, *[1] * (base.ndim - 1)), wanted, base)
        asked = adapter.collate([row.asked for row in chosen])
        found = DenoisedPrompts(asked, latents, times, target, base, group, torch.ones(len(chosen)))
        return PromptRows(self, found.to("cpu"))

    def forward(self, student: nn.Module, batch: DenoisedPrompts) -> dict[str, Tensor]:
        """``redact``, after an attack on the redacted rows, and ``retain``."""
        attacked = bool(self.attack_steps) and self.taken.item() >= self.warmup
        if torch.is_grad_enabled():
            self.taken += 1
        gone = batch.redacted.nonzero().flatten()
        found = self.distances(student, batch.asked, batch, batch.target)
        if attacked and len(gone):
            part = batch[gone]
            inputs = self.attack(student, part)
            moved = self.distances(student, inputs, part, part.target)
            found = found.index_copy(0, gone, moved)
        terms = {"redact": group_mean(found, batch.redacted, batch.weight)}
        if self.retain_weight:
            terms["retain"] = self.retain_weight * group_mean(found, ~batch.redacted, batch.weight)
        return terms

    def attack(self, student: nn.Module, batch: DenoisedPrompts) -> dict[str, Tensor]:
        """Inputs with soft embeddings in front that bring the edited model to what the untouched one says."""
        assert self._models is not None, "prepare() comes first"
        soft = self._models[0].disturb(batch.asked, self.places)
        change = soft.zeros().requires_grad_()
        optimizer = torch.optim.Adam([change], lr=self.attack_rate)
        for _ in range(self.attack_steps):
            with torch.enable_grad():
                loss = self.distances(student, soft.moved(change), batch, batch.base).sum()
            change.grad = torch.autograd.grad(loss, change)[0]
            optimizer.step()
        return soft.moved((change.detach()) * (soft.unit > 0).unsqueeze(-1))

    def distances(
        self, student: nn.Module, asked: Mapping[str, Tensor], batch: DenoisedPrompts, wanted: Tensor
    ) -> Tensor:
        """``(batch,)`` mean squared distance of what the denoiser says from ``wanted``."""
        assert self._models is not None, "prepare() comes first"
        conditioning: Conditioning = student(asked)
        found = self._models[1].predict(batch.latents, batch.times, conditioning)
        return (found - wanted).square().flatten(1).mean(1)


class PromptRows:
    """Rows on the CPU, the same in every pass."""

    def __init__(self, method: AdvUnlearn, found: DenoisedPrompts):
        self._method, self.found, self.weight = method, found, found.weight

    def __len__(self) -> int:
        return len(self.weight)

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> DenoisedPrompts:
        """The rows ``rows`` (int64); ``weight`` replaces their own."""
        del turn
        part = self.found[rows]
        asked, rest = part.asked, (part.latents, part.times, part.target, part.base, part.redacted)
        return DenoisedPrompts(asked, *rest, part.weight if weight is None else weight)

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = 64) -> dict[str, float]:
        """Mean squared distances of what the denoiser says, without an attack, over at most ``limit`` rows."""
        device = next(student.parameters()).device
        rows = spread_rows(len(self), limit)
        parts = [self.batch(part).to(device) for part in rows.split(32)]
        found = torch.cat([self._method.distances(student, p.asked, p, p.target) for p in parts]).cpu()
        return mean_distances(found, self.found.redacted[rows])
