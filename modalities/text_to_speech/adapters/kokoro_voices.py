"""Kokoro: a real text-to-speech model whose voices are files, redacted exactly, which speaks by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modalities.json_files import read_json
from modalities.sound.audio import Audio, Audios
from modalities.text_to_speech.adapters.voice_table import StoredRows, VoiceTable
from modalities.text_to_speech.encoders.onnx_files import onnx_session
from modalities.text_to_speech.voices import speaker_planning
from modalities.text_to_speech.voices.kokoro_sentences import SENTENCES
from redact_core import Condition, Conditioning, PlanRow, RedactError, Request
from redact_core.adapters.capabilities import PlansEvaluations, Reopens

RATE = 24_000
_VOCABULARIES = ("vocab.json", "config.json", "tokenizer.json")


class KokoroVoices(VoiceTable, PlansEvaluations, Reopens):
    """The voice packs of a Kokoro, and the model that speaks with them where its ONNX file lies beside them.

    Conditions are names of voices. Packs are edited exactly; the model is not changed.

    Args:
        source: Folder with voice packs (``voices*.npz``, ``voices*.bin`` of kokoro-onnx, ``voices/*.pt``,
            ``voices/*.bin``); to speak, also the model (``*.onnx``) and ``vocab.json``, ``config.json`` or
            ``tokenizer.json`` with the numbers of its phonemes.
        revision: Of the hub repository.
        removed: Leave redacted voices out of the saved folder, so that asking for one is an error of Kokoro's code;
            default: they get the reference's pack.
        sentences: What samples say: sentence -> its phonemes. Default: twenty English sentences. The seed chooses one.

    Raises:
        RedactError: The folder holds no voice packs, or a file is damaged or could run code.
    """

    scorers = ("BaseVoiceScorer", "ProsodyScorer")

    def __init__(
        self,
        source: str,
        revision: str | None = None,
        removed: bool = False,
        sentences: dict[str, str] | None = None,
    ):
        super().__init__(source, revision, None, removed)
        self.sentences: Mapping[str, str] = dict(SENTENCES) if sentences is None else sentences
        if not self.sentences or not all(a.strip() and b.strip() for a, b in self.sentences.items()):
            raise RedactError(
                "A sentence or its phonemes are empty; give at least one sentence with its phonemes."
            )
        self.gone: frozenset[str] = frozenset()

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Voices by :mod:`.speaker_planning`; neighbours are the nearest packs."""
        assert isinstance(self.encoder, StoredRows)
        table = self.encoder.embed_voice.weight.detach().cpu()
        return speaker_planning.plan(request, self.names, table, list(self.sentences), n)

    def reopen(self, folder: Path) -> KokoroVoices:
        """The packs of ``folder``, asked by this model's names; a voice that was left out there cannot speak."""
        other = KokoroVoices(str(folder), sentences=dict(self.sentences))
        held = [name for name in self.stored.voices if name in other.stored.voices]
        if not held:
            raise RedactError(
                f"{folder} has no voice of {self.source}; give a folder that was redacted from it."
            )
        table = self._stock.clone()
        table[self.names.find(held)] = other._stock[other.names.find(held)]
        other.encoder, other.names = StoredRows(table), self.names
        other.gone = frozenset(self.stored.voices) - set(held)
        other.batch_size = self.batch_size
        return other

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        gone = [str(condition) for condition in conditions if str(condition) in self.gone]
        if gone:
            raise RedactError(
                f"{self.source} has no voice {gone[0]} any more, so nobody can be asked for it; evaluate a redaction "
                "that was made without removed."
            )
        return super().collate(conditions)

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Waveforms ``(samples,)`` in [-1, 1] at 24 kHz, one for each condition and seed.

        A seed chooses the sentence, ``seed % len(sentences)``; the model draws nothing.

        Raises:
            RedactError: The folder holds no model that could speak, or onnxruntime is not installed.
        """
        conditioning = self.conditioning_of(conditions, seeds)
        phonemes = list(self.sentences.values())
        return [
            self._speak(row[0], phonemes[seed % len(phonemes)])
            for row, seed in zip(conditioning.hidden, seeds, strict=True)
        ]

    def shown(self, samples: Sequence[Tensor]) -> Audios:
        """The samples as waveforms with their rate: ``.audios[0].save("now.wav")``."""
        return Audios.of(samples, RATE)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return Audio(sample, RATE).save(path)

    def _speak(self, voice: Tensor, phonemes: str) -> Tensor:
        ids = [self.vocabulary[sign] for sign in phonemes if sign in self.vocabulary]
        if not ids:
            raise RedactError(f'"{phonemes}" has no phoneme that the model knows; change it.')
        (pack,) = self.stored.read(0).values()
        styles = voice.detach().cpu().float().view(len(pack), 1, -1)
        session = self.session
        words = {one.name for one in session.get_inputs()}
        given = {
            ("tokens" if "tokens" in words else "input_ids"): torch.tensor([[0, *ids, 0]]).numpy(),
            "style": styles[min(len(ids), len(styles)) - 1].numpy(),
            "speed": torch.ones(1).numpy(),
        }
        return torch.from_numpy(session.run(None, given)[0]).float().flatten().clamp(-1, 1)

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """Phoneme -> its number."""
        for name in _VOCABULARIES:
            values: Any = read_json(self.folder / name)
            if isinstance(values, dict) and isinstance(values.get("model"), dict):
                values = values["model"]
            found: Any = values.get("vocab") if isinstance(values, dict) else None
            if (
                isinstance(found, dict)
                and found
                and all(isinstance(number, int) for number in found.values())
            ):
                return found
        raise RedactError(
            f"{self.folder} holds no numbers of phonemes; put Kokoro's {' or '.join(_VOCABULARIES[:2])} into it."
        )

    @cached_property
    def session(self) -> Any:
        """The model, by ONNX Runtime on the CPU."""
        models = sorted(self.folder.glob("*.onnx")) + sorted(self.folder.glob("onnx/*.onnx"))
        if not models:
            raise RedactError(
                f"{self.folder} holds no *.onnx, so its voices can be edited and not spoken with; put the model into it."
            )
        return onnx_session(models[0], models[0], "loaded")
