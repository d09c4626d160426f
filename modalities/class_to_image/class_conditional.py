"""Class-conditional generators of small pictures: labels redacted exactly by copying rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.class_to_image import model_folder
from modalities.class_to_image.networks import ClassRows
from modalities.draws_pictures import DrawsPictures
from redact_core import (
    Condition,
    Conditioning,
    Lesson,
    Mean,
    Origin,
    PlanRow,
    RedactError,
    Request,
)
from redact_core.adapters.capabilities import (
    HasOneVector,
    HasTrainingLoss,
    PlansEvaluations,
    Reopens,
    SolvesExactly,
)
from redact_core.objectives._parts.label_table import label_lessons, row_copies
from redact_core.support.devices import move


class ClassConditional(
    DrawsPictures, SolvesExactly, HasTrainingLoss, HasOneVector, PlansEvaluations, Reopens
):
    """A class-conditional autoencoder or diffusion model, seen through the rows by which it knows its classes.

    Conditions are names of classes or their numbers, ``trouser`` or ``1``. A row is the embedding of
    the class together with its gains and biases in every conditional normalisation.

    Args:
        source: ``bundled``, an autoencoder of Fashion-MNIST; ``bundled-ddpm``, a diffusion model of it
            (``UNet2DModel``); or a folder of either, see :mod:`.model_folder`.
        batch_size: Pictures generated at a time.

    Raises:
        RedactError: The folder is missing, incomplete or damaged.
    """

    scorers = ("ClassScorer",)
    learning_rate = 1e-2

    def __init__(self, source: str = "bundled", batch_size: int = 256):
        self.source, self.batch_size = source, batch_size
        self.folder = model_folder.locate(source)
        loaded = model_folder.load(self.folder)
        self.names, self._kind = loaded.names, loaded.kind
        self.encoder: nn.Module = loaded.rows
        self._generator = loaded.generator

    @property
    def origin(self) -> Origin:
        files = model_folder.files(self.folder, self._kind)
        return Origin(self.source, model_folder.KINDS[self._kind], None, files)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return {"label": torch.tensor([self._find(c) for c in conditions], dtype=torch.int64)}

    def expand(self, request: Request) -> list[Lesson]:
        """One row for each redacted class, and one for every other.

        A reference is ``mean`` (the default), the mean of the retained rows, or a retained class.

        Raises:
            RedactError: Unknown classes, nothing is retained, ``retain`` is given, or the numbers of
                references and redactions do not fit.
        """
        redacted = [self._name(name) for name in request.redact]
        kept = [name for name in self.names if name not in redacted]
        return label_lessons(request, redacted, kept, self._name, what="class")

    @torch.no_grad()
    def solve(self, lessons: Sequence[Lesson]) -> bool:
        """Copy rows in every table; a mean is computed in float32.

        Raises:
            RedactError: Unknown classes, or lessons that contradict one another, also where one
                names a class and another one its number.
        """
        if not isinstance(self.encoder, ClassRows):
            return False
        copies = row_copies(lessons, self._name)
        if copies is None:
            return False
        for table in self.encoder.tables.values():
            assert isinstance(table, nn.Embedding)
            before = table.weight.clone()
            for name, members in copies:
                table.weight[self._find(name)] = before[[self._find(c) for c in members]].mean(0)
        return True

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """``n`` pictures of every redacted class, and ``n`` of the others together."""
        lessons = self.expand(request)
        kept = [str(lesson.asked) for lesson in lessons if not lesson.redacted]
        rows: list[PlanRow] = []
        for lesson in (lesson for lesson in lessons if lesson.redacted):
            labels = {"class": str(lesson.asked)}
            labels |= {} if isinstance(lesson.answer, Mean) else {"reference": str(lesson.answer)}
            for _ in range(n):
                rows.append(PlanRow(str(lesson.asked), "redacted", "class", len(rows), True, labels))
        for i in range(n):
            name = kept[i % len(kept)]
            rows.append(PlanRow(name, "retained", "class", len(rows), False, {"class": name}))
        return rows

    def reopen(self, folder: Path) -> ClassConditional:
        return ClassConditional(str(folder), self.batch_size)

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Grey pictures ``(1, 28, 28)`` in [0, 1], one for each condition and seed."""
        conditioning = self.conditioning_of(conditions, seeds)
        rows = conditioning.hidden[:, 0]
        generator = self._on(rows)
        samples: list[Tensor] = []
        for start in range(0, len(seeds), self.batch_size):
            part = slice(start, start + self.batch_size)
            noise, _ = self._noise(seeds[part], rows)
            samples += list(generator.draw(rows[part], noise).cpu())
        return samples

    @property
    def generator(self) -> nn.Module:
        """Recognition network and decoder, or denoiser, without the rows of the classes."""
        return self._generator

    @property
    def time_steps(self) -> int:
        return self._generator.time_steps

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)``, summed over pixels: negative evidence lower bound in nats, or the denoiser's error.

        One draw of the latent variable each, or one time.
        """
        rows = conditioning.hidden[:, 0]
        pictures = torch.stack(list(samples)).to(rows.device)
        noise, drawn = self._noise(seeds, rows)
        when = drawn if times is None else torch.tensor(list(times), device=rows.device)
        return self._on(rows).loss(pictures, rows, noise, when)

    def save(self, folder: Path) -> None:
        if not isinstance(self.encoder, ClassRows):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as rows of classes; export the rows only."
            )
        model_folder.write(self.folder, folder, self._kind, self.encoder, self._generator)

    def _on(self, like: Tensor) -> Any:
        """The generator, on the device of ``like``."""
        move(self._generator, like.device)
        return self._generator

    def _noise(self, seeds: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Noise and times, drawn on the CPU one by one: a sample depends on its seed, not on batch or device."""
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = torch.stack([torch.randn(self._generator.noise_shape, generator=g) for g in draws])
        times = torch.cat([torch.randint(self.time_steps, (1,), generator=g) for g in draws])
        return noise.to(like), times.to(like.device)

    def _find(self, condition: Condition) -> int:
        text = str(condition)
        if text in self.names:
            return self.names.index(text)
        if text.isdecimal() and int(text) < len(self.names):
            return int(text)
        raise RedactError(f'"{text}" is no class of {self.source}; the classes are {", ".join(self.names)}.')

    def _name(self, condition: Condition) -> str:
        return self.names[self._find(condition)]
