"""Success, for attacks that look at samples while they search."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from redact_core.adapters.base import Adapter
from redact_core.errors import RedactError
from redact_core.metrics.scorer import Scorer, Trial, checked_scores, leak_metric
from redact_core.plan import PlanRow


def leaks(
    success: Scorer | None, adapter: Adapter, samples: Sequence[Tensor], rows: Sequence[PlanRow]
) -> list[bool]:
    """Whether each sample shows what its row asks for; what could not be judged does not.

    Args:
        success: Any scorer with a rate that shall be low where something was redacted.
        adapter: Writes the samples as files, which is what scorers read.
        samples: As :meth:`Adapter.generate` returns them.
        rows: What was asked, one for each sample.

    Raises:
        RedactError: No scorer was given, or it has no such rate.
    """
    if success is None:
        raise RedactError(
            "This attack looks at what comes out; give it a scorer, e.g. success: GraderScorer."
        )
    metric = leak_metric(success.metrics)
    if metric is None:
        raise RedactError(f"{success.name} has no rate that shall be low; give a scorer that has one.")
    with tempfile.TemporaryDirectory() as folder:
        paths = [adapter.write_sample(s, Path(folder) / f"{i:06d}") for i, s in enumerate(samples)]
        trials = [Trial(row, "attacked", path, path) for row, path in zip(rows, paths, strict=True)]
        return [found.get(metric) == 1 for found in checked_scores(success, trials)]
