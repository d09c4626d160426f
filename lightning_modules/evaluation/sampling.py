"""Samples by ``Trainer.predict``: batches of a plan, spread over processes, written as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from torch import Tensor

from redact_core import Adapter, RedactError
from redact_core.evaluation.cost import Meter, note_sampling
from redact_core.evaluation.evidence import Evidence, SampleWriter


class Sampler(L.LightningModule):
    """Generates the plan's rows; a batch is a list of plan indices.

    Args:
        adapter: The model; its encoder is moved to the trainer's device, the generator follows it.
        evidence: Holds the plan.
        name: Of the model in the evidence.
    """

    adapter: Adapter

    def __init__(self, adapter: Adapter, evidence: Evidence, name: str):
        super().__init__()
        self.__dict__["adapter"] = adapter
        self.encoder = adapter.encoder
        self.evidence, self.plan, self.name = evidence, evidence.plan, name

    def predict_dataloader(self) -> PlanLoader:
        """Made in the process that walks over it: only there its rank is known for sure."""
        return PlanLoader(self.evidence, self.name, self.trainer.global_rank, self.trainer.world_size)

    def on_predict_start(self) -> None:
        """The trainer moves the encoder alone; guards run networks of their own."""
        self.adapter.to(self.device)

    def predict_step(self, batch: list[int], batch_idx: int) -> list[Tensor]:
        del batch_idx
        if not batch:
            return []
        samples = self.adapter.generate_rows([self.plan[i] for i in batch])
        return [sample.float().cpu() for sample in samples]


class PlanLoader:
    """This process's share of the plan's chunks, always the same chunks whatever is done already.

    A sample may depend in its last bits on its batch, so a chunk is made whole or not at all. What
    is done, and what fills up the last round of the processes, is an empty batch.
    """

    def __init__(self, evidence: Evidence, model: str, rank: int, world: int):
        done = evidence.samples(model).keys()
        chunks = [[] if done >= set(chunk) else chunk for chunk in evidence.chunks()]
        chunks += [[]] * (-len(chunks) % world)
        self._own = chunks[rank::world]

    def __len__(self) -> int:
        return len(self._own)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._own)


class WriteSamples(L.Callback):
    """Writes every batch into the evidence folder when it is there."""

    def __init__(self, evidence: Evidence, adapter: Adapter, model: str):
        self.evidence, self.adapter, self.model = evidence, adapter, model
        self._writer: SampleWriter | None = None
        self._done: Mapping[int, Any] = {}
        self._meter, self._made = Meter(), 0

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        del pl_module
        self._done = self.evidence.samples(self.model)
        # two trainers of one rank must not write one file
        self._writer = self.evidence.writer(self.adapter, self.model, trainer.global_rank)
        self._writer.__enter__()
        self._meter = Meter(trainer.strategy.root_device.type).__enter__()

    def on_predict_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        del trainer, pl_module, batch_idx, dataloader_idx
        self._made += len(batch)
        missing = [(i, sample) for i, sample in zip(batch, outputs, strict=True) if i not in self._done]
        if missing:
            assert self._writer is not None
            self._writer.write(*zip(*missing, strict=True))

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._meter.__exit__(None, None, None)
        note_sampling(self.evidence, self.model, trainer.global_rank, self._made, self._meter)
        self._close()
        trainer.strategy.barrier("samples written")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.__exit__()
            self._writer = None


def draw(trainer: L.Trainer, evidence: Evidence, adapter: Adapter, model: str) -> None:
    """Make the samples of ``model`` that are missing; returns when every process has written its own.

    Raises:
        RedactError: Some are still missing, because the trainer was limited.
    """
    writer = WriteSamples(evidence, adapter, model)
    callbacks: list[Any] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    callbacks.append(writer)
    try:
        trainer.predict(Sampler(adapter, evidence, model), return_predictions=False)
    finally:
        callbacks.remove(writer)
    missing = len(evidence.plan) - len(evidence.samples(model))
    if missing:
        raise RedactError(
            f"{missing} of {len(evidence.plan)} samples of {model} are missing in {evidence.folder}; "
            "run the same command again, without --trainer.limit_predict_batches."
        )
