"""The Lightning data module: a request or files of lessons become targets, computed once."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from lightning_modules.support.arguments import Names, names_in
from lightning_modules.training.lesson_files import load_lessons
from lightning_modules.training.module import RedactionModule
from redact_core import Adapter, Lesson, LessonLoader, RedactError, Request
from redact_core.artefacts.work import asked_for
from redact_core.objectives.base import Rows
from redact_core.training.run import lessons_of


class RedactionData(L.LightningDataModule):
    """What to redact and what to keep.

    Args:
        adapter: Linked to ``model.adapter`` on the command line.
        redact: What shall no longer work, as a person says it: a concept, a style, a voice, a file; or a list of these.
        reference: What is answered instead: one for all, one for each, or the adapter's default.
        retain: Where retained conditions come from: words that the adapter knows, or files.
        lessons: CSV or YAML file with ready rows; added to those of ``redact``.
        batch_size: Rows of a step on each process.
        seed: Of wordings, variants and order.
    """

    def __init__(
        self,
        adapter: Adapter,
        redact: Names | None = None,
        reference: Names | None = None,
        retain: Names | None = None,
        lessons: Path | None = None,
        batch_size: int = 64,
        seed: int = 0,
    ):
        super().__init__()
        self.adapter = adapter
        self.request = Request(names_in(redact), names_in(reference), names_in(retain), seed)
        self.file, self.batch_size, self.seed = lessons, batch_size, seed
        self.lessons: list[Lesson] = []
        self.key: Rows | None = None
        self._chosen_references: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, float]:
        """Numbers that a training depends on, beside the lessons."""
        return {"seed": self.seed, "rows of a step": self.batch_size}

    def setup(self, stage: str) -> None:
        """Expand and check the lessons, once; ``stage`` is Lightning's."""
        del stage
        if self.lessons:
            return
        if not self.request.redact and self.file is None:
            raise RedactError("Nothing to redact was named; give --data.redact WHAT or --data.lessons FILE.")
        rows = [] if self.file is None else load_lessons(self.file)
        request = self.request if self.request.redact else None
        self.lessons = lessons_of(self.adapter, request, rows)
        if request is not None:
            self._chosen_references = self.adapter.chosen_references
            for remark in self.adapter.remarks:
                rank_zero_info(remark)

    def train_dataloader(self) -> LessonLoader:
        """Walk over the rows; every process takes its share."""
        assert self.trainer is not None
        module = self.trainer.lightning_module
        assert isinstance(module, RedactionModule)
        rank, world = self.trainer.global_rank, self.trainer.world_size
        key = self.targets(module)
        return LessonLoader(key, self.batch_size, seed=self.seed, rank=rank, world=world)

    def targets(self, module: RedactionModule) -> Rows:
        """What the method makes of the lessons and its teacher, which is asked once and then let go."""
        if self.key is None:
            rank_zero_info(f"Preparing {len(self.lessons)} rows for {type(module.objective).__name__}.")
            self.key = module.run.targets(self.lessons, seed=self.seed, device=module.device)
        return self.key

    def asked_for(self) -> list[str]:
        """What the person asked for, in words, for the card."""
        pairs = asked_for(self.request, self._chosen_references)
        return pairs + ([f"lessons of {self.file.name}"] if self.file else [])
