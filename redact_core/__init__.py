"""The modality-agnostic core: torch and the standard library, nothing else."""

from typing import TYPE_CHECKING

from redact_core.lazy_names import lazy
from redact_core.version import __version__

if TYPE_CHECKING:
    from redact_core.adapter import Adapter, Origin, check_seeds
    from redact_core.answer_key import AnswerKey, LessonLoader
    from redact_core.attack import Access, Attack, Attempt
    from redact_core.card import RedactionCard
    from redact_core.closed_form import ClosedForm
    from redact_core.distill import Distillation, conditioning_distance, group_mean
    from redact_core.disturbance import Disturbable
    from redact_core.errors import RedactError
    from redact_core.from_folder import FromFolder
    from redact_core.guard import Guard
    from redact_core.lessons import check_lessons, read_lessons
    from redact_core.loop import redact
    from redact_core.objective import Objective
    from redact_core.plan import PlanRow, read_plan
    from redact_core.plan_source import PlanSource
    from redact_core.readout import Readout
    from redact_core.robust import RobustDistillation
    from redact_core.scorer import Metric, Scorer, Trial
    from redact_core.selective_amnesia import SelectiveAmnesia
    from redact_core.sequential import SequentialDistillation
    from redact_core.set_scorer import Group, Pair, SetScorer
    from redact_core.stage import Stage
    from redact_core.types import Batch, Condition, Conditioning, Lesson, Mean, Request
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "Access",
    "Adapter",
    "AnswerKey",
    "Attack",
    "Attempt",
    "Batch",
    "ClosedForm",
    "Condition",
    "Conditioning",
    "Distillation",
    "Disturbable",
    "FromFolder",
    "Group",
    "Guard",
    "Lesson",
    "LessonLoader",
    "Mean",
    "Metric",
    "Objective",
    "Origin",
    "Pair",
    "PlanRow",
    "PlanSource",
    "Readout",
    "RedactError",
    "RedactionCard",
    "Request",
    "RobustDistillation",
    "Scorer",
    "SelectiveAmnesia",
    "SequentialDistillation",
    "SetScorer",
    "Stage",
    "Trial",
    "__version__",
    "check_lessons",
    "check_seeds",
    "conditioning_distance",
    "group_mean",
    "read_lessons",
    "read_plan",
    "redact",
]
