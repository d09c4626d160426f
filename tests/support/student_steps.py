"""A guard that only passes on, and the batch that an objective is given."""

import torch

from redact_core import Adapter, Batch, Guard
from redact_core.types import Lesson


class Through(Guard):
    def generate(self, conditions, *, seeds):
        return self.inner.generate(conditions, seeds=seeds)


def batch_of(adapter: Adapter, rows: list[Lesson]) -> Batch:
    with torch.no_grad():
        target = adapter.encoder(adapter.collate([row.answer for row in rows]))
    redacted = torch.tensor([row.redacted for row in rows])
    return Batch(adapter.collate([row.asked for row in rows]), target, redacted, torch.ones(len(rows)))
