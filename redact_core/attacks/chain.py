"""Two attacks on one model, the second on what the first leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from redact_core.adapters.base import Adapter
from redact_core.attacks.base import Access, Attack, Attempt
from redact_core.attacks.encoder_swap import EncoderSwap
from redact_core.errors import RedactError
from redact_core.plan import PlanRow


class Chain(Attack):
    """Changes the model by one attack, then carries out another on the changed model.

    Where the encoder and the generator were both redacted, an attack on the folder as it is meets both. Whoever
    has the folder need not: ``Chain(then=Relearning(part="generator"))`` puts the public encoder back first, and
    what is left to overcome is the generator's part alone.

    Args:
        then: The attack that follows, and that makes the attempts.
        first: An attack that changes the model, as :class:`EncoderSwap`, :class:`WeightInterpolation` and
            :class:`Relearning` do; default: the whole stock encoder.

    Raises:
        RedactError: ``first`` leaves the model as it is, so that it would do nothing here.
    """

    access: ClassVar[Access] = "weights"
    adaptive = True

    def __init__(self, then: Attack, first: Attack | None = None):
        first = EncoderSwap() if first is None else first
        if type(first).subvert is Attack.subvert:
            raise RedactError(
                f"{first.name} does not change the model, so nothing of it would reach {then.name}; give an attack that "
                "does as the first, such as EncoderSwap, WeightInterpolation or Relearning."
            )
        self.first, self.then = first, then
        self.adaptive = first.adaptive or then.adaptive  # type: ignore[misc]

    @property
    def name(self) -> str:
        return f"Chain-{self.first.name}+{self.then.name}"

    @property
    def budget(self) -> str:
        return f"{self.first.budget}; then {self.then.budget}"

    def check(self, model: Adapter) -> None:
        """Both attacks must fit the model."""
        self.first.check(model)
        self.then.check(model)

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        changed = self.first.subvert(model, base, rows, seed=seed)
        return self._second().subvert(changed, base, rows, seed=seed)

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        return self._second()(model, base, rows, seed=seed)

    def _second(self) -> Attack:
        """The attack that looks at samples, with what counts as success here."""
        self.then.success = self.then.success or self.success
        return self.then
