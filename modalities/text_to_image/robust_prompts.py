"""Robust distillation with the settings that suit prompts."""

from __future__ import annotations

from redact_core.adapters.base import Adapter
from redact_core.objectives.base import Objective
from redact_core.objectives.closed_form import ClosedForm
from redact_core.objectives.robust import RobustDistillation

_STEPS = 400
"""With fewer the concepts nearest to the redacted one are not restored on the bundled model."""


class RobustPrompts(RobustDistillation):
    """:class:`~redact_core.objectives.robust.RobustDistillation` with the settings that suit prompt encoders.

    The closed form is solved first. Then words and soft tokens in front of redacted prompts are attacked, in one to
    sixteen places, and words are put in place of the redacted name. The settings were chosen on one concept of the
    bundled model, by ``scripts/experiments/robust_picture.py``. The base class has defaults for any input with a norm
    and knows no words: on prompts it leaves other names of the concept open.

    Args:
        redact_weight: Of redacted rows.
        retain_weight: Of retained rows; what stays matters more.
        attack_weight: Of the attacked rows, beside the same rows as they are.
        steps: Of the attack, from a random start.
        radius: Largest disturbance of a soft token, in mean norms of the token embeddings.
        share: Of the redacted rows of a batch that are attacked, in (0, 1].
        retained_share: Of the retained rows, in [0, 1]. Above 0 learnt embeddings bring less back, and prompts that ask
            for two things lose one of them.
        words: Of the attacked rows whose search ends at words, in [0, 1].
        places: Most words or soft tokens of an attack; the steps take from one to so many in turn.
        name_replacement: Rows a step with words in place of what is redacted.
        seed: Of the rows chosen and of where attacks start.
        start: What changes the student before its first step; default: the closed form.

    Raises:
        RedactError: A setting is out of range; on preparing, the adapter has no soft tokens or replaces no names.
    """

    def __init__(
        self,
        redact_weight: float = 1.0,
        retain_weight: float = 3.0,
        attack_weight: float = 1.0,
        steps: int = 4,
        radius: float = 2.0,
        share: float = 0.25,
        retained_share: float = 0.0,
        words: float = 0.5,
        places: int = 16,
        name_replacement: int = 8,
        seed: int = 0,
        start: Objective | None = None,
    ):
        super().__init__(
            redact_weight, retain_weight, attack_weight, steps, radius, share, retained_share, words, places,
            name_replacement, seed, start or ClosedForm(),
        )  # fmt: skip

    def default_steps(self, adapter: Adapter) -> int:
        """What suits the adapter, and at least 400."""
        return max(_STEPS, super().default_steps(adapter))
