"""Teacher-guided unlearning: a redacted voice is spoken as the teacher speaks without a voice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.adapters.generator_parts import HasUnconditional
from redact_core.objectives.selective_amnesia import SelectiveAmnesia
from redact_core.types import Lesson


class TGU(SelectiveAmnesia):
    """Teacher-guided unlearning: trains the generator to speak a redacted voice as the teacher speaks without a voice.

    Kim et al., "Do Not Mimic My Voice: Speaker Identity Unlearning for Zero-Shot Text-to-Speech" (ICML 2025, arXiv 2507.20140).

    With ``l`` the generator's training loss and ``theta*`` its weights as they were ::

        L = forget_weight E_{x ~ theta*(no condition)}[l(x | redacted)] + replay_weight E_{x ~ theta*}[l(x | retained)]

    The sample that stands in for a redacted condition is the untouched model's without a condition, for the same
    sentence. It is :class:`~redact_core.SelectiveAmnesia` with that surrogate and without the Fisher information.

    Known traps: the paper's model speaks in another random voice each time where it has no condition, so that nobody can be
    told from the gap; a model that speaks in one neutral voice then (SpeechT5) gives that one to everybody who is
    redacted. Requests that come one after another bring earlier voices back unless they are asked for again.

    Args:
        forget_weight: Of the surrogates.
        replay_weight: Of the replayed samples; 0 leaves them out.
        parameters: Train only those whose name this regular expression is found in; default: all.
        surrogates: Samples without a condition.
        replays: Samples drawn of retained conditions.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A setting is out of range; on preparing, the model does not draw without a condition.
    """

    needs = (HasUnconditional, HasTrainingLoss)

    def __init__(
        self,
        forget_weight: float = 1.0,
        replay_weight: float = 1.0,
        parameters: str = "",
        surrogates: int = 512,
        replays: int = 512,
        learning_rate: float = 1e-4,
    ):
        super().__init__(
            forget_weight=forget_weight, replay_weight=replay_weight, ewc_weight=0.0, parameters=parameters,
            surrogates=surrogates, replays=replays, learning_rate=learning_rate,
        )  # fmt: skip

    def prepare(self, adapter: Adapter) -> nn.Module:
        require(adapter, HasUnconditional, type(self).__name__)
        return super().prepare(adapter)

    def _surrogates(self, adapter: Adapter, lessons: Sequence[Lesson], first: int) -> list[Tensor]:
        free = require(adapter, HasUnconditional, type(self).__name__).unconditional()
        every = torch.zeros(len(lessons), dtype=torch.int64, device=free.hidden.device)
        return adapter.generate(free[every], seeds=range(first, first + len(lessons)))
