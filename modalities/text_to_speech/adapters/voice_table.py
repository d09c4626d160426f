"""Voices that a model keeps as values, in any format that :mod:`..tables` knows: redacted exactly, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from modalities import hub
from modalities.pretrained import Pretrained
from modalities.text_to_speech.tables.finding import open_voices
from modalities.text_to_speech.tables.stored import Voice
from redact_core import Condition, Conditioning, Lesson, Mean, Origin, RedactError, Request
from redact_core.adapters.capabilities import HasOneVector, SolvesExactly
from redact_core.adapters.generator_parts import GivesSpeech
from redact_core.objectives._parts.label_table import label_lessons, row_copies


class StoredRows(nn.Module):
    """``voice (batch,)`` int64 -> ``hidden (batch, 1, numbers)``: all stored numbers of a voice, shorter ones with zeros behind.

    Args:
        table: ``(voices, numbers)`` float32.
    """

    holds: Tensor
    """``(voices,)``: which stored voice a row holds."""

    def __init__(self, table: Tensor):
        super().__init__()
        self.embed_voice = nn.Embedding.from_pretrained(table, freeze=False)
        self.register_buffer("holds", torch.arange(len(table)))

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        hidden = self.embed_voice(inputs["voice"]).unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class VoiceTable(Pretrained, SolvesExactly, GivesSpeech, HasOneVector):
    """The stored voices of a model: packs, presets, or the rows of a table; nothing is trained, and nothing is spoken.

    Formats: voice packs of Kokoro (``.npz``, ``.pt``, ``.bin``), presets of Bark (``.npz``, ``.npy``),
    ``speakers_xtts.pth``, ``spk2info.pt`` of CosyVoice, ``spk_dict.pt`` of Qwen-omni; the tables of Piper (ONNX), and of
    FastSpeech2Conformer and SeamlessM4T (transformers). Conditions are names of voices, or numbers of rows. A redacted
    voice gets the values of its reference; those of every other voice keep their bits.

    Args:
        source: Folder or hub id of the model.
        revision: Of the hub repository.
        names: JSON file that maps names to rows, where a model has a table of rows without names.
        removed: Leave redacted voices out of the saved folder, with their names, so that asking for one is an error of
            the model's own code. Not where a voice is the row of a table: there the name alone is left out, always.

    Raises:
        RedactError: The folder holds no stored voices of a known format, or a file is damaged or could run code.
    """

    learning_rate = 1e-2

    def __init__(
        self, source: str, revision: str | None = None, names: Path | None = None, removed: bool = False
    ):
        self.source, self.revision, self.removed = source, revision, removed
        self.folder = hub.locate(
            source, revision, holds="the voices", wanted="the folder of a model or a hub id"
        )
        self.stored = open_voices(self.folder, names)
        if removed and not self.stored.entries:
            raise RedactError(
                f"A voice of {self.stored.kind} is the row of a table, which cannot be removed; leave removed out, then "
                "the row is overwritten and its name forgotten."
            )
        self.names = self.stored.names
        self._stock = _padded([self.stored.read(row) for row in range(self.names.count)])
        self.encoder: nn.Module = StoredRows(self._stock.clone())

    @property
    def origin(self) -> Origin:
        stored = self.stored
        return Origin(self.source, stored.kind, self.revision, stored.files, entries=stored.single)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return {"voice": torch.tensor(self.names.find(conditions), dtype=torch.int64)}

    def expand(self, request: Request) -> list[Lesson]:
        """One row for each redacted voice, and one for everyone else.

        A reference is a voice that stays, or ``mean`` (the default), the mean of all that stay; stored codes have no mean.

        Raises:
            RedactError: Unknown voices, nobody is retained, ``retain`` is given, the numbers of references and
                redactions do not fit, or there is no mean.
        """
        redacted = self.names.find(request.redact)
        kept = self.names.others(redacted)
        names = [self.names.name(row) for row in redacted]
        lessons = label_lessons(request, names, kept, self._canonical, what="voice")
        if not self.stored.averages and any(isinstance(row.answer, Mean) for row in lessons):
            raise RedactError(
                f"{self.stored.kind} hold codes, which have no mean; name a reference, such as {kept[0]}."
            )
        return lessons

    @torch.no_grad()
    def solve(self, lessons: Sequence[Lesson]) -> bool:
        """Copy voices; a mean is computed in float32 and rounded to the number format of the file.

        Raises:
            RedactError: Unknown voices, voices of several shapes shall be averaged, or lessons contradict one another,
                also where one names a voice and another one its number.
        """
        if not isinstance(self.encoder, StoredRows):
            return False
        copies = row_copies(lessons, self._canonical)
        if copies is None:
            return False
        table, holds = self.encoder.embed_voice.weight, self.encoder.holds
        before, held = table.clone(), holds.clone()
        for name, members in copies:
            row, *rows = self.names.find([name, *members])
            if len(rows) > 1:
                self._check_alike([row, *rows])
            table[row] = before[rows].mean(0) if len(rows) > 1 else before[rows[0]]
            holds[row] = held[rows[0]] if len(rows) == 1 else row
        return True

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Always refused: the model's own library speaks."""
        raise RedactError(
            f"VoiceTable edits the voices of {self.stored.kind} and speaks with none; load the saved folder with the "
            "model's own library."
        )

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        """Always refused, as :meth:`generate` is."""
        raise RedactError("VoiceTable makes no samples to write.")

    def save(self, folder: Path) -> None:
        if not isinstance(self.encoder, StoredRows):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as stored voices; export the table only."
            )
        table, holds = self.encoder.embed_voice.weight.detach().cpu().float(), self.encoder.holds.tolist()
        new: dict[int, Voice | None] = {}
        for row, held in enumerate(holds):
            exact = torch.equal(table[row], self._stock[held])
            if exact and held == row:
                continue
            values = self.stored.read(held) if exact else _shaped(table[row], self.stored.read(row))
            new[row] = None if self.removed else values
        self.stored.write(folder, new)

    def _check_alike(self, rows: Sequence[int]) -> None:
        shapes = [
            {key: value.shape for key, value in self.stored.read(row).items()} for row in dict.fromkeys(rows)
        ]
        if any(shape != shapes[0] for shape in shapes):
            raise RedactError(
                f"The voices of {self.source} have different shapes, so they have no mean; name a reference."
            )

    def _canonical(self, condition: Condition) -> str:
        return self.names.name(self.names.find([condition])[0])


def _padded(voices: Sequence[Voice]) -> Tensor:
    """``(voices, numbers)`` float32: the arrays of each voice one behind the other, by their names."""
    rows = [torch.cat([voice[name].float().flatten() for name in sorted(voice)]) for voice in voices]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _shaped(row: Tensor, like: Voice) -> Voice:
    """The numbers of a row as the arrays of ``like``, in their number formats."""
    found: dict[str, Tensor] = {}
    for name in sorted(like):
        found[name], row = (
            row[: like[name].numel()].view_as(like[name]).to(like[name].dtype),
            row[like[name].numel() :],
        )
    return found
