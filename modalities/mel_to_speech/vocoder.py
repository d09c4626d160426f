"""A vocoder whose conditioning network is redacted: clips in, the same words out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modalities.mel_to_speech import model_folder
from modalities.mel_to_speech.expansion import expand, retained
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import HOP, RATE
from modalities.mel_to_speech.networks import MARGIN, DiffWave, MelConditioner
from modalities.mel_to_speech.utterance import Utterance, mel_of
from modalities.pretrained import Pretrained
from modalities.sound.audio import Audio, Audios
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import identity_of
from modalities.weight_files import CONFIG, WEIGHTS
from redact_core import (
    Condition,
    Conditioning,
    Lesson,
    Origin,
    PlanRow,
    RedactError,
    Request,
    check_seeds,
)
from redact_core.adapters.capabilities import HasTrainingLoss, PlansEvaluations, Reopens
from redact_core.adapters.generator_parts import GivesSpeech
from redact_core.support.devices import move

_SPEECH = Path(__file__).parents[1] / "text_to_speech" / "bundled"
"""The bundled speech base, whose voices the bundled vocoder learnt from: its folders of clips."""
_SILENCE = -2.0  # of a mel


class MelVocoder(Pretrained, GivesSpeech, HasTrainingLoss, PlansEvaluations, Reopens):
    """A DiffWave vocoder, seen through the network that reads the mel for its residual layers.

    A condition is a clip: its log-mel spectrogram is what the vocoder turns into speech. What is
    trained are the upsamplers and 1x1 convolutions of every layer; the network that removes noise is
    left alone. A redacted voice's mel is answered like that of the same clip with pitch and formants
    moved to the reference voice, see :mod:`.utterance` for how such conditions are written.

    Args:
        source: ``bundled``, or a folder with ``config.json`` and ``model.safetensors``.
        student: ``plain`` trains the conditioner itself, ``gated`` one beside it and a gate that
            tells whose voice it is (:class:`~modalities.mel_to_speech.gated.GatedConditioner`).
            A folder that is gated stays so.
        bank: Folder with one subfolder of clips for each known voice; default: the bundled speech
            base's for ``bundled``, else none.
        unseen: The same with clips that teach nothing, for evaluations.
        seconds: The longest clip that is read.
        windows: Of each retained clip that training sees.

    Raises:
        RedactError: The folder is missing, incomplete or damaged, or ``seconds`` is too small.
    """

    scorers = ("VoiceScorer",)
    learning_rate = 2e-3
    batch_size = 1

    def __init__(
        self,
        source: str = "bundled",
        student: Literal["plain", "gated"] = "plain",
        bank: Path | None = None,
        unseen: Path | None = None,
        seconds: float = 4.0,
        windows: int = 6,
    ):
        if seconds < 1:
            raise RedactError(f"seconds is {seconds}; give at least 1.")
        self.source, self.seconds, self.windows = source, seconds, windows
        self.student: Literal["plain", "gated"] = student
        self.folder = model_folder.locate(source)
        loaded = model_folder.load(self.folder)
        self.config = loaded.config
        self.encoder: nn.Module = loaded.conditioner
        if student == "gated" and isinstance(loaded.conditioner, MelConditioner):
            self.encoder = GatedConditioner(loaded.conditioner, self.config["bands"]).eval()
        self._generator = loaded.generator
        bundled = source == "bundled"
        self.bank = VoiceBank(bank or (_SPEECH / "voices" if bundled else None))
        self.unseen = VoiceBank(unseen or (_SPEECH / "unseen" if bundled and bank is None else None))

    @property
    def origin(self) -> Origin:
        files = {name: self.folder / name for name in (CONFIG, WEIGHTS)}
        return Origin(self.source, "DiffWave vocoder", None, files)

    def default_steps(self) -> int:
        return 150

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """``mel (batch, bands, frames)``, padded with silence to ``seconds``, ``length`` and ``start``.

        Raises:
            RedactError: An unusable clip, one that is longer than ``seconds``, or a window outside it.
        """
        room = int(self.seconds * RATE) // HOP
        found = [Utterance.read(self._clip(condition)) for condition in conditions]
        mels = []
        for heard in found:
            mel = mel_of(heard.path, heard.warp, self.config["bands"])
            frames = mel.shape[1]
            if frames > room:
                raise RedactError(
                    f"{heard.path}: lasts {frames * HOP / RATE:.2f} s, {self.seconds:g} s are read; cut it, or "
                    "give --model.adapter.seconds."
                )
            if heard.start >= 0 and not MARGIN <= heard.start <= frames - self.config["window"] - MARGIN:
                raise RedactError(f"{heard.path}: has {frames} frames, no window starts at {heard.start}.")
            mels.append(F.pad(mel, (0, room - frames), value=_SILENCE))
        starts = torch.tensor([heard.start for heard in found])
        if (starts >= 0).any() and (starts < 0).any():
            raise RedactError(
                "Windows and whole clips are asked for together; ask for them one after the other."
            )
        length = torch.tensor([mel_of(h.path, h.warp, self.config["bands"]).shape[1] for h in found])
        return {"mel": torch.stack(mels), "length": length, "start": starts}

    def identity(self, condition: Condition) -> Hashable:
        """The clip's content, the window's first frame and the warp."""
        heard = Utterance.read(self._clip(condition))
        return identity_of(heard.path), heard.start, heard.warp

    def expand(self, request: Request) -> list[Lesson]:
        """Windows of clips: see :mod:`.expansion`."""
        return expand(request, self.bank, self.config["bands"], self.config["window"], self.windows)

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Groups ``redacted`` (clips that taught), ``paraphrased`` (that did not) and ``retained``."""
        rows: list[PlanRow] = []
        request = replace(request, redact=tuple(map(self.bank.name_of, request.redact)))
        gone = [clip for what in request.redact for clip in self.bank.clips(what)]
        stay = retained(request, self.bank, gone)
        if self.unseen.voices:
            stay = {name: clips for name, clips in self.unseen.voices.items() if name in stay}
        for i, voice in enumerate(request.redact):
            groups = {"redacted": {voice: self.bank.clips(voice)}}
            if voice in self.unseen.voices:
                groups["paraphrased"] = {voice: self.unseen.voices[voice]}
            groups["retained"] = stay
            for group, voices in groups.items():
                names = list(voices)
                for k in range(n):
                    name = names[k % len(names)]
                    clip = voices[name][k // len(names) % len(voices[name])]
                    labels = {"voice": name}
                    if group != "retained" and request.reference_of(i) is not None:
                        labels["reference"] = str(request.reference_of(i))
                    task = "voice" if len(request.redact) == 1 else f"voice {voice}"
                    rows.append(PlanRow(str(clip), group, task, len(rows), group != "retained", labels))
        return rows

    def reopen(self, folder: Path) -> MelVocoder:
        return MelVocoder(
            str(folder), self.student, self.bank.folder, self.unseen.folder, self.seconds, self.windows
        )

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Waveforms ``(samples,)`` in [-1, 1] at 8 kHz, as long as the clips; one by one, each from its seed."""
        check_seeds(len(conditions), seeds)
        samples = []
        for i, seed in enumerate(seeds):
            # clip by clip: what all layers read of one is large
            part = conditions[i : i + 1]
            one = part if isinstance(part, Conditioning) else self.encode(part)
            hidden, wave = self._trimmed(one, 0)
            draw = torch.Generator().manual_seed(seed)
            noise = torch.randn(len(self.config["noise_schedule"]), 1, wave, generator=draw).to(hidden)
            samples.append(self._on(hidden).draw(hidden[None], noise)[0].cpu())
        return samples

    @property
    def generator(self) -> nn.Module:
        """The network that removes noise, without the conditioner."""
        return self._generator

    @property
    def time_steps(self) -> int:
        return len(self.config["noise_schedule"])

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)`` mean absolute error of the noise at one step, see :meth:`DiffWave.loss`.

        ``samples`` at 8 kHz, of the clips' lengths.
        """
        losses = []
        for i, (sample, seed) in enumerate(zip(samples, seeds, strict=True)):
            hidden, length = self._trimmed(conditioning, i)
            draw = torch.Generator().manual_seed(seed)
            drawn = torch.randint(self.time_steps, (1,), generator=draw)
            noise = torch.randn(1, length, generator=draw).to(hidden)
            step = (drawn if times is None else torch.tensor([times[i]])).to(hidden.device)
            wave = F.pad(sample, (0, max(0, length - len(sample))))[None, :length].to(hidden)
            losses.append(self._on(hidden).loss(wave, hidden[None], step, noise))
        return torch.cat(losses)

    def shown(self, samples: Sequence[Tensor]) -> Audios:
        """The samples as waveforms with their rate: ``.audios[0].save("now.wav")``."""
        return Audios.of(samples, RATE)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return Audio(sample, RATE).save(path)

    def save(self, folder: Path) -> None:
        if not isinstance(self.encoder, MelConditioner | GatedConditioner):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as a conditioner; export the student only."
            )
        model_folder.write(folder, self.config, self.encoder, self._generator, self.folder)

    def _clip(self, condition: Condition) -> Condition:
        """The clip of a voice id that has one only, else the condition itself."""
        clips = self.bank.voices.get(str(condition), [])
        if len(clips) > 1:
            raise RedactError(f"{condition} has {len(clips)} clips; give one of them, such as {clips[0]}.")
        return clips[0] if clips else condition

    def _trimmed(self, conditioning: Conditioning, row: int) -> tuple[Tensor, int]:
        """What is read of one clip, ``(positions, dim)``, and the samples that it stands for."""
        hidden = conditioning.hidden[row, conditioning.mask[row]].float()
        return hidden, len(hidden) * HOP // math.prod(self.config["factors"])

    def _on(self, like: Tensor) -> DiffWave:
        move(self._generator, like.device)
        return self._generator
