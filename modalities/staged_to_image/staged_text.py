"""A generator with several conditioning stages: captions in, small grey pictures out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from modalities.draws_pictures import DrawsPictures
from modalities.staged_to_image import model_folder
from modalities.staged_to_image.captions import compose, every, read_words
from modalities.staged_to_image.conditioner import LENGTH, STAGES, StagedConditioner
from modalities.staged_to_image.generator import StagedGenerator
from modalities.weight_files import CONFIG, WEIGHTS
from redact_core import Condition, Conditioning, Lesson, Origin, PlanRow, RedactError, Request, Stage
from redact_core.adapters.capabilities import HasStages, HasTrainingLoss, PlansEvaluations, Reopens


class StagedText(DrawsPictures, HasStages, HasTrainingLoss, PlansEvaluations, Reopens):
    """Text-to-image of DM-GAN's shape, seen through the network that feeds all of its stages.

    Conditions are captions in the words that the model knows, ``a photo of a dark sneaker``. What is
    trained are text encoder, conditioning augmentation and the writers of the two memories; the
    generator, which reads the code and the memories, is left alone.

    Args:
        source: ``bundled``, a model of Fashion-MNIST, or a folder with ``config.json`` and
            ``model.safetensors``.
        student: ``equal`` trains the conditioning network itself, ``greater`` one with a second
            recurrent layer and a wider branch in every stage, which starts as the same function.
            A folder that is greater stays so.
        batch_size: Pictures generated at a time.

    Raises:
        RedactError: The folder is missing, incomplete or damaged.
    """

    scorers = ("ClassScorer",)
    learning_rate = 3e-3

    def __init__(
        self,
        source: str = "bundled",
        student: Literal["equal", "greater"] = "equal",
        batch_size: int = 256,
    ):
        self.source, self.batch_size = source, batch_size
        self.student: Literal["equal", "greater"] = student
        self.folder = model_folder.locate(source)
        loaded = model_folder.load(self.folder)
        self.config = loaded.config
        self.encoder: nn.Module = loaded.conditioner
        if student == "greater" and not self.config["extra"]:
            self.config = {**self.config, "extra": 2 * self.config["dim"]}
            self.encoder = loaded.conditioner.widened(self.config["extra"]).eval()
        self._generator = loaded.generator

    @property
    def names(self) -> dict[str, str]:
        """Every noun that the model knows -> its class."""
        classes: dict[str, str] = self.config["classes"]
        return {name: name for name in classes} | {other: name for name, other in classes.items()}

    @property
    def origin(self) -> Origin:
        files = {name: self.folder / name for name in (CONFIG, WEIGHTS)}
        return Origin(self.source, "staged text-to-image VAE", None, files)

    def stages(self) -> Sequence[Stage]:
        """The code of the first stage, and the memories of the second and third."""
        return STAGES

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return {"words": numbers([str(condition) for condition in conditions], self.config["words"])}

    def expand(self, request: Request) -> list[Lesson]:
        """Every seen wording of each redacted noun, and random ones of all nouns that stay.

        A redacted class's other name, if it is not redacted too, is in no row.

        Raises:
            RedactError: Unknown nouns, a reference is missing or itself redacted, ``retain`` is given,
                or the numbers of references and redactions do not fit.
        """
        pairs = self._pairs(request)
        rows = [Lesson.redact(asked, answer) for pair in pairs for asked, answer in every("seen", pair)]
        rng = random.Random(f"expand:{request.seed}")
        for noun in self._kept(pairs):
            rows += [Lesson.retain(text) for (text,) in dict.fromkeys(compose("seen", (noun,), 24, rng))]
        return rows

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Groups ``redacted``, ``reworded`` (held-out wordings), ``synonyms`` (never redacted), ``retained``."""
        pairs, rng = self._pairs(request), random.Random(f"plan:{request.seed}")
        rows: list[PlanRow] = []

        def add(group: str, noun: str, split: Literal["seen", "heldout"], reference: str = "") -> None:
            ((text,),) = compose(split, (noun,), 1, rng)
            labels = {"class": self.names[noun]}
            labels |= {"reference": self.names[reference]} if reference else {}
            rows.append(PlanRow(text, group, "noun", len(rows), group != "retained", labels))

        gone = {asked for asked, _ in pairs}
        for asked, reference in pairs:
            others = [o for o, name in self.names.items() if name == self.names[asked] and o not in gone]
            for _ in range(n):
                add("redacted", asked, "seen", reference)
            for _ in range(n):
                add("reworded", asked, "heldout", reference)
            for k in range(n if others else 0):
                add("synonyms", others[k % len(others)], "seen", reference)
        kept = [name for name in self.config["classes"] if name in self._kept(pairs)]
        for k in range(n):
            add("retained", kept[k % len(kept)], "heldout")
        return rows

    def reopen(self, folder: Path) -> StagedText:
        return StagedText(str(folder), self.student, self.batch_size)

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Grey pictures ``(1, 28, 28)`` in [0, 1], one for each condition and seed."""
        conditioning = self.conditioning_of(conditions, seeds)
        samples: list[Tensor] = []
        for start in range(0, len(seeds), self.batch_size):
            part = slice(start, start + self.batch_size)
            noise = self._drawn(seeds[part], conditioning.hidden)
            samples += list(self._on(conditioning.hidden).draw(conditioning.hidden[part], *noise).cpu())
        return samples

    @property
    def generator(self) -> nn.Module:
        """Recognition network and decoder, without the conditioning network."""
        return self._generator

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)`` nats, see :meth:`StagedGenerator.loss`; one draw of latent variable and code each."""
        del times
        hidden = conditioning.hidden
        pictures = torch.stack(list(samples)).to(hidden)
        return self._on(hidden).loss(pictures, hidden, *self._drawn(seeds, hidden))

    def save(self, folder: Path) -> None:
        if not isinstance(self.encoder, StagedConditioner):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as a staged conditioner; "
                "export the student only."
            )
        model_folder.write(folder, self.config, self.encoder, self._generator, self.folder)

    def _pairs(self, request: Request) -> list[tuple[str, str]]:
        """Each redacted noun with its reference."""
        if request.retain:
            raise RedactError("Every noun that is not redacted is retained; leave retain out.")
        if not request.redact:
            raise RedactError("Nothing to redact was named; give --data.redact with nouns.")
        request.check_references(default=False)
        found = [(noun, str(request.reference_of(i))) for i, noun in enumerate(request.redact)]
        for noun in (noun for pair in found for noun in pair):
            if noun not in self.names:
                raise RedactError(f'"{noun}" is no noun of {self.source}; it knows {", ".join(self.names)}.')
        for _, reference in found:
            if reference in request.redact:
                raise RedactError(
                    f'The reference "{reference}" is itself redacted; name a reference that stays.'
                )
        return found

    def _kept(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Nouns that stay: all but those of the classes of redacted ones."""
        gone = {self.names[asked] for asked, _ in pairs}
        return [noun for noun, name in self.names.items() if name not in gone]

    def _drawn(self, seeds: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Noise of picture and code; on the CPU, one by one, so that a seed gives its own anywhere."""
        parts = (self._generator.latent, self._generator.code)
        draws = [torch.randn(sum(parts), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        noise, code_noise = torch.stack(draws).to(like).split(parts, 1)
        return noise, code_noise

    def _on(self, like: Tensor) -> StagedGenerator:
        return self._generator.to(like.device)


def numbers(captions: Sequence[str], words: Sequence[str]) -> Tensor:
    """``(captions, LENGTH)`` int64: numbers of their words from 1, padded with 0.

    Raises:
        RedactError: A caption is empty or too long, or holds an unknown word; it is named.
    """
    place = {word: i for i, word in enumerate(words, 1)}
    rows = []
    for caption in captions:
        spoken = read_words(caption)
        if not 0 < len(spoken) <= LENGTH:
            raise RedactError(f'"{caption}" has {len(spoken)} words; give 1 to {LENGTH}.')
        unknown = [word for word in spoken if word not in place]
        if unknown:
            raise RedactError(f'"{caption}": the model does not know the word "{unknown[0]}"; leave it out.')
        rows.append([place[word] for word in spoken] + [0] * (LENGTH - len(spoken)))
    return torch.tensor(rows)
