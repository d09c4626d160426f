"""Multi-speaker VITS: a table of voices, redacted exactly by copying rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import VitsModel, VitsTokenizer

from modalities.pretrained import Pretrained
from modalities.sound.audio import Audio, Audios
from modalities.text_to_speech.tables import row_files as table_files
from modalities.text_to_speech.voices import speaker_planning
from modalities.text_to_speech.voices.speaker_names import keep_names, load_names
from modalities.whole_models import check_whole, whole
from redact_core import (
    Condition,
    Conditioning,
    Lesson,
    Origin,
    PlanRow,
    RedactError,
    Request,
)
from redact_core.adapters.capabilities import HasOneVector, PlansEvaluations, Reopens, SolvesExactly
from redact_core.adapters.generator_parts import GivesSpeech
from redact_core.errors import first_line
from redact_core.objectives._parts.label_table import label_lessons, row_copies
from redact_core.support.devices import move, seeded


class SpeakerRows(nn.Module):
    """``speaker (batch,)`` int64 -> ``hidden (batch, 1, dim)``: the rows of a table of voices."""

    def __init__(self, table: Tensor):
        super().__init__()
        self.embed_speaker = nn.Embedding.from_pretrained(table, freeze=False)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        hidden = self.embed_speaker(inputs["speaker"]).unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class SpeakerTable(Pretrained, SolvesExactly, GivesSpeech, HasOneVector, PlansEvaluations, Reopens):
    """A ``VitsModel`` with several speakers, seen through its table of voices; nothing is trained.

    Conditions are names or ids of speakers. Where the names of rows are known, rows without a name
    are neither references nor part of a mean.

    Args:
        source: Folder or hub id of the checkpoint, with weights in safetensors.
        revision: Of the hub repository.
        names: JSON file that maps names to ids, in the folder or elsewhere; default: the folder's
            ``speaker_ids.json``, else ``speaker_ids`` or ``speaker_map`` in ``config.json``, else
            the ids are the names.
        text: What samples say; of several, the seed chooses one.

    Raises:
        RedactError: The folder is of another class, has one speaker or is incomplete, its weights
            are pickled, or the names do not fit the table.
    """

    learning_rate = 1e-2
    scorers = ("BaseVoiceScorer", "RecogniserScorer")

    def __init__(
        self,
        source: str,
        revision: str | None = None,
        names: Path | None = None,
        text: str | list[str] = "The boat came home before the storm.",
    ):
        self.source, self.revision = source, revision
        self.texts = [text] if isinstance(text, str) else list(text)
        if not self.texts or not all(each.strip() for each in self.texts):
            raise RedactError("A text to speak is empty; give a sentence.")
        self.folder = table_files.locate(source, revision)
        self.config = table_files.check(self.folder)
        self.weights = table_files.weights(self.folder)
        stock = table_files.read_table(self.weights[0])
        if stock.ndim != 2 or len(stock) != self.config["num_speakers"]:
            raise RedactError(
                f"{self.weights[0]}: {table_files.TABLE} has the shape {tuple(stock.shape)}, config.json says "
                f"num_speakers {self.config['num_speakers']}; the folder is damaged, fetch it again."
            )
        with torch.random.fork_rng([]):
            check_whole(VitsModel, self.folder, use_safetensors=True)
        self._kind = stock.dtype
        self.names, self.names_file = load_names(self.folder, self.config, names)
        self.encoder: nn.Module = SpeakerRows(stock.float())

    @property
    def origin(self) -> Origin:
        files = table_files.files(self.folder, self.weights)
        return Origin(self.source, "VitsModel", self.revision, files)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return {"speaker": torch.tensor(self.names.find(conditions), dtype=torch.int64)}

    def expand(self, request: Request) -> list[Lesson]:
        """One row for each redacted speaker, and one for everyone else.

        A reference is ``mean`` (the default), the mean of the retained rows, or a retained speaker.

        Raises:
            RedactError: Unknown speakers, nobody is retained, ``retain`` is given, or the numbers of
                references and redactions do not fit.
        """
        redacted = self.names.find(request.redact)
        kept = self.names.others(redacted)
        names = [self.names.name(row) for row in redacted]
        return label_lessons(request, names, kept, self._canonical, what="speaker")

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Speakers by :mod:`.speaker_planning`; neighbours are the nearest rows of the table."""
        assert isinstance(self.encoder, SpeakerRows)
        table = self.encoder.embed_speaker.weight.detach().cpu()
        return speaker_planning.plan(request, self.names, table, self.texts, n)

    def reopen(self, folder: Path) -> SpeakerTable:
        """The table of ``folder``; it is asked by this model's names, of which the copy forgot some."""
        other = SpeakerTable(str(folder), text=list(self.texts))
        if other.names.count != self.names.count:
            raise RedactError(
                f"{folder} has {other.names.count} speakers, {self.source} has {self.names.count}; give a "
                "folder that was redacted from it."
            )
        other.names, other.batch_size = self.names, self.batch_size
        return other

    @torch.no_grad()
    def solve(self, lessons: Sequence[Lesson]) -> bool:
        """Copy rows; a mean is computed in float32 and rounded to the table's dtype.

        Raises:
            RedactError: Unknown speakers, or lessons that contradict one another, also where one
                names a speaker and another one its id.
        """
        if not isinstance(self.encoder, SpeakerRows):
            return False
        copies = row_copies(lessons, self._canonical)
        if copies is None:
            return False
        table = self.encoder.embed_speaker.weight
        before = table.clone()
        for name, members in copies:
            table[self.names.find([name])[0]] = self._answer(before, members)
        return True

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Waveforms ``(samples,)`` in [-1, 1] at the model's rate, one for each condition and seed.

        A seed chooses the text, ``seed % len(text)``, and seeds the durations and the sound.
        """
        conditioning = self.conditioning_of(conditions, seeds)
        # one by one: a batch would be padded to its longest, and its noise drawn together
        return [self._speak(row, seed) for row, seed in zip(conditioning.hidden, seeds, strict=True)]

    def shown(self, samples: Sequence[Tensor]) -> Audios:
        """The samples as waveforms with their rate: ``.audios[0].save("now.wav")``."""
        return Audios.of(samples, self.config.get("sampling_rate", 16_000))

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return Audio(sample, self.config.get("sampling_rate", 16_000)).save(path)

    def save(self, folder: Path) -> None:
        if not isinstance(self.encoder, SpeakerRows):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as a table of speakers; export the rows only."
            )
        base = self.weights[0]
        stock = table_files.read_table(base)
        ours = self.encoder.embed_speaker.weight.detach().cpu().float()
        table, redacted = table_files.moved_rows(ours, stock)
        for name, path in table_files.files(self.folder, self.weights).items():
            if not (redacted and path == base):
                table_files.copy(path, folder / name)
        if redacted:
            table_files.write_table(base, folder / base.name, table)
        keep_names(folder, self.folder, self.names, self.names_file, redacted)

    def _answer(self, table: Tensor, members: Sequence[str]) -> Tensor:
        """``(dim,)``: what a redacted row becomes, from the rows of ``table`` as they were."""
        return table[self.names.find(members)].mean(0).to(self._kind).float()

    def _canonical(self, condition: Condition) -> str:
        return self.names.name(self.names.find([condition])[0])

    def _speak(self, row: Tensor, seed: int) -> Tensor:
        """One waveform ``(samples,)`` in the voice ``row (1, dim)``."""
        ids = self._read(self.texts[seed % len(self.texts)]).to(row.device)
        model = self.model
        move(model, row.device)
        with seeded(seed, row.device):  # the model draws from the global generator
            # it looks up a row by its id; ours takes that row's place on the way out
            with model.embed_speaker.register_forward_hook(lambda *_: row):
                return model(input_ids=ids, speaker_id=0).waveform[0].float().cpu()

    def _read(self, text: str) -> Tensor:
        """``(1, letters)``."""
        try:
            ids = self.tokenizer(text, return_tensors="pt")["input_ids"]
        except ImportError as error:
            raise RedactError(
                f"The tokenizer of {self.source} needs the package phonemizer to read a text; install it."
            ) from error
        if ids.shape[1] < 2:
            raise RedactError(f'"{text}" has no letter that the tokenizer of {self.source} knows; change it.')
        return ids

    @cached_property
    def tokenizer(self) -> VitsTokenizer:
        """Letters to ids."""
        try:
            return VitsTokenizer.from_pretrained(self.folder)
        except (OSError, ValueError, TypeError) as error:
            reason = first_line(error)
            raise RedactError(f"{self.folder} holds no VitsTokenizer ({reason}); fetch it again.") from error

    @cached_property
    @torch.inference_mode(mode=False)
    def model(self) -> VitsModel:
        """The generator, which stays as it is; its own table is not read."""
        with torch.random.fork_rng([]):  # it draws weights before it reads them
            return whole(VitsModel, self.folder, use_safetensors=True, dtype=torch.float32).eval()
