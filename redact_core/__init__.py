"""The modality-agnostic core: torch and the standard library; matplotlib for the plots of reports."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy
from redact_core.version import __version__

if TYPE_CHECKING:
    from redact_core.adapters.base import Adapter, Origin, check_seeds
    from redact_core.adapters.disturbance import Disturbable
    from redact_core.adapters.guard import Guard
    from redact_core.adapters.last_linear import LastLinear
    from redact_core.adapters.stage import Stage
    from redact_core.artefacts.card import RedactionCard
    from redact_core.attacks.base import Access, Attack, Attempt
    from redact_core.errors import RedactError
    from redact_core.evaluation.plan_source import PlanSource
    from redact_core.lessons.rules import check_lessons, read_lessons
    from redact_core.metrics.scorer import Metric, Scorer, Trial
    from redact_core.metrics.set_scorer import Group, Pair, SetScorer
    from redact_core.objectives.base import Objective
    from redact_core.objectives.closed_form import ClosedForm
    from redact_core.objectives.distances import conditioning_distance, group_mean
    from redact_core.objectives.distillation import Distillation
    from redact_core.objectives.from_folder import FromFolder
    from redact_core.objectives.robust import RobustDistillation
    from redact_core.objectives.robust_amnesia import RobustAmnesia
    from redact_core.objectives.selective_amnesia import SelectiveAmnesia
    from redact_core.objectives.sequential import SequentialDistillation
    from redact_core.objectives.targets import LessonLoader, Targets
    from redact_core.plan import PlanRow, read_plan
    from redact_core.training.loop import redact
    from redact_core.training.result import Redaction
    from redact_core.types import Batch, Condition, Conditioning, Lesson, Mean, Request
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "Access",
    "Adapter",
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
    "LastLinear",
    "Lesson",
    "LessonLoader",
    "Mean",
    "Metric",
    "Objective",
    "Origin",
    "Pair",
    "PlanRow",
    "PlanSource",
    "RedactError",
    "Redaction",
    "RedactionCard",
    "Request",
    "RobustAmnesia",
    "RobustDistillation",
    "Scorer",
    "SelectiveAmnesia",
    "SequentialDistillation",
    "SetScorer",
    "Stage",
    "Targets",
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
