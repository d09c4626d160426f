"""SpeechT5 behind a SpeechBrain speaker encoder: a voice cloner whose encoder is redacted."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Processor

from modalities.hub import locate
from modalities.pretrained import Pretrained
from modalities.sound.audio import Audio, Audios
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import RATE, cut_off, fit_length, identity_of, read_clip
from modalities.text_to_speech.adapters import model_folder
from modalities.text_to_speech.adapters.clip_by_hand import ClipByHand
from modalities.text_to_speech.adapters.speaking import spectrograms
from modalities.text_to_speech.adapters.spectrogram_loss import log_mel, spectrogram_loss
from modalities.text_to_speech.adapters.vocoder import GRIFFIN_LIM, Vocoder, load_vocoder
from modalities.text_to_speech.encoders.distortion import distort
from modalities.text_to_speech.encoders.gate_files import bare_and_gates
from modalities.text_to_speech.encoders.last_linear import find_last_linear
from modalities.text_to_speech.encoders.voice_encoder import (
    VoiceEncoder,
    encoder_changed,
    load_encoder,
    save_encoder,
)
from modalities.text_to_speech.judges.grading import nearest
from modalities.text_to_speech.judges.judge import VoiceJudge
from modalities.text_to_speech.judges.verifier import embed_clip
from modalities.text_to_speech.suites import SUITES
from modalities.text_to_speech.voices import planning
from modalities.text_to_speech.voices.expansion import expand
from modalities.text_to_speech.voices.mislabelled_clips import misplaced
from modalities.text_to_speech.voices.neighbours import remembered, repeat_neighbours
from modalities.text_to_speech.voices.sentences import SENTENCES
from modalities.whole_models import check_whole, whole
from redact_core import (
    Condition,
    Conditioning,
    Disturbable,
    LastLinear,
    Lesson,
    Origin,
    PlanRow,
    RedactError,
    Request,
    check_seeds,
)
from redact_core.adapters.capabilities import (
    HasInputPerturbation,
    HasLastLinear,
    HasOneVector,
    HasTrainingLoss,
    PlansEvaluations,
    Reopens,
)
from redact_core.adapters.generator_parts import GivesSpeech, HasUnconditional, ReadsClips
from redact_core.errors import first_line
from redact_core.support.devices import move
from redact_core.support.paths import at_home

BUNDLED = Path(__file__).parents[1] / "bundled"


class SpeechT5(
    Pretrained,
    HasUnconditional,
    ReadsClips,
    GivesSpeech,
    ClipByHand,
    HasInputPerturbation,
    HasLastLinear,
    HasTrainingLoss,
    HasOneVector,
    PlansEvaluations,
    Reopens,
):
    """A ``SpeechT5ForTextToSpeech`` that clones the voice of a reference clip.

    The speaker encoder stands outside the checkpoint. What is trained is saved, in a folder of its
    own class: the encoder, or the checkpoint if a method changed the generator.
    Conditions are paths of clips, or ids of voices in the bank (all their clips, joined).

    Args:
        source: ``bundled``, the folder or hub id of a SpeechT5 checkpoint.
        encoder: Folder or hub id of the SpeechBrain encoder; default for ``bundled``: its own.
        vocoder: Folder or hub id of a ``SpeechT5HifiGan``, or ``griffin-lim``; default: the bundled
            base's own, if it has one, else Griffin-Lim.
        bank: Folder with one subfolder of clips for each known voice; default: the bundled one for
            ``bundled``, else none.
        sentences: What samples say; the seed chooses one.
        seconds: Of a clip that are read; shorter clips are repeated.
        variants: Crops and distortions of each clip that training sees.
        batch_size: Samples generated at a time.

    Raises:
        RedactError: A folder is of another class or incomplete, or the encoder's dimensions are not
            those that the model reads.
    """

    scorers = ("VoiceScorer", "RecogniserScorer", "PrivacyScorer")
    set_scorers = ("ImpostorScorer",)
    suites = SUITES

    def __init__(
        self,
        source: str = "bundled",
        encoder: str | None = None,
        vocoder: str | None = None,
        bank: Path | None = None,
        sentences: list[str] | None = None,
        seconds: float = 2.0,
        variants: int = 6,
        batch_size: int = 16,
    ):
        bundled = source == "bundled"
        if not bundled and encoder is None:
            raise RedactError(
                "Name the speaker encoder with --model.adapter.encoder; speechbrain/spkrec-xvect-voxceleb "
                "is what microsoft/speecht5_tts takes."
            )
        if seconds < 0.5:
            raise RedactError(f"seconds is {seconds}; give at least 0.5.")
        self.source, self.seconds, self.variants, self.batch_size = source, seconds, variants, batch_size
        self.folder = BUNDLED / "tts" if bundled else locate(source)
        self.config = model_folder.check(self.folder)
        self.encoder_source = encoder or "bundled"
        self.encoder_folder = BUNDLED / "encoder" if encoder in (None, "bundled") else locate(encoder)
        own = BUNDLED / "vocoder" if bundled and (BUNDLED / "vocoder").is_dir() else None
        self.vocoder_folder = None if vocoder == GRIFFIN_LIM else locate(vocoder) if vocoder else own
        if self.vocoder_folder:
            # it is opened late; a wrong folder is said at once
            model_folder.check_weights(self.vocoder_folder)
            check_whole(SpeechT5HifiGan, self.vocoder_folder, weights_only=True)
        if not bundled:
            check_whole(SpeechT5ForTextToSpeech, self.folder, weights_only=True)
            _ = self.processor
        self.bank = VoiceBank(bank or (BUNDLED / "voices" if bundled else None))
        self.sentences = tuple(sentences or SENTENCES)
        self.frames_per_letter = 10.0 if bundled else 20.0
        self.learning_rate = 1e-3 if bundled else 1e-4
        self.encoder: nn.Module = load_encoder(self.encoder_folder)
        self._check_dimensions()

    @property
    def origin(self) -> Origin:
        if self._generator_changed():
            return Origin(self.source, model_folder.KIND, None, model_folder.parts(self.folder))
        return Origin(self.encoder_source, "SpeechBrain EncoderClassifier", None, self._encoder_files())

    def _encoder_files(self) -> dict[str, Path]:
        return {path.name: path for path in self.encoder_folder.iterdir() if path.is_file()}

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        samples = int(self.seconds * RATE)
        return {"waveform": torch.stack([fit_length(self.waveform(c), samples) for c in conditions])}

    def identity(self, condition: Condition) -> Hashable:
        """The content of the clip, or of all clips of a voice of the bank; whatever path leads there."""
        clips = self.bank.voices.get(str(condition), [Path(condition)])
        found = tuple(identity_of(clip) for clip in clips)
        return found[0] if len(found) == 1 else found

    def expand(self, request: Request) -> list[Lesson]:
        """Clips of the redacted voices, and clips of those that stay: see :mod:`.expansion`, :mod:`.neighbours`.

        Warns of clips in a redacted folder that sound like somebody who stays.
        """
        likeness = remembered(self._likeness)
        expanded = expand(request, self.bank, likeness)
        lessons, self.chosen_references = expanded.lessons, expanded.chosen_references
        used = [row.asked for row in lessons if isinstance(row.asked, Path)]
        self.remarks = expanded.remarks + cut_off(used, self.seconds, "--model.adapter.seconds")
        if (BUNDLED / "verifier").is_dir():
            kept = list(dict.fromkeys(Path(row.asked) for row in lessons if not row.redacted))
            embed = partial(embed_clip, folder=BUNDLED / "verifier")
            for what in request.redact:
                for clip, voice in misplaced(self.bank.clips(what), kept, embed).items():
                    warnings.warn(
                        f"{clip}: sounds more like the retained {voice} than like the other clips of {what}; "
                        "listen to it, and take it out if it is of another person.",
                        stacklevel=2,
                    )
        return repeat_neighbours(lessons, likeness)

    @torch.no_grad()
    def _likeness(self, clips: Sequence[Condition]) -> Tensor:
        return self._in_parts(clips).hidden[:, 0].float().cpu()

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Other stretches of each clip, distorted: see :mod:`.distortion`."""
        return {"waveform": distort(inputs["waveform"], generator)}

    def disturb(self, inputs: Mapping[str, Tensor], places: int | None = None) -> Disturbable:
        """Each clip as one place; the unit is its norm, so that a radius of 0.1 is 20 dB."""
        del places
        wave = inputs["waveform"]
        unit = wave.norm(dim=1, keepdim=True)
        return Disturbable(unit, wave.shape[1], lambda change: {"waveform": wave + change[:, 0]})

    def default_steps(self) -> int:
        """150 for the bundled base; 2000 for others, a starting point that was not tuned on any of them."""
        return 150 if self.source == "bundled" else 2000

    def last_linear(self) -> LastLinear:
        """The layer that gives the embedding; see :mod:`..encoders.last_linear`."""
        return find_last_linear(self.encoder)

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Clips by :mod:`.planning`; neighbours are the nearest voices by the bundled verifier."""
        folder = BUNDLED / "unseen"
        unseen = VoiceBank(folder).voices if self.source == "bundled" and folder.is_dir() else {}
        request = replace(request, redact=tuple(map(self.bank.name_of, request.redact)))
        return planning.plan(
            request, self.bank.voices, unseen, self._nearest, self.sentence, self.bank.clips, n
        )

    def reopen(self, folder: Path) -> SpeechT5:
        """With the encoder of ``folder``, or, where that holds a SpeechT5, with its generator."""
        folder = at_home(folder)
        source, encoder = self.source, str(folder)
        if (folder / model_folder.WEIGHTS).is_file():
            source, encoder = str(folder), str(self.encoder_folder)
        vocoder = GRIFFIN_LIM if self.vocoder_folder is None else str(self.vocoder_folder)
        other = SpeechT5(
            source, encoder, vocoder, self.bank.folder, list(self.sentences), self.seconds, self.variants,
            self.batch_size,
        )  # fmt: skip
        other.frames_per_letter, other.learning_rate = self.frames_per_letter, self.learning_rate
        return other

    def files(self) -> Mapping[str, Path]:
        """The encoder's files, the checkpoint's, the vocoder's, and the clips of the bank."""
        folders = {"tts": self.folder, "vocoder": self.vocoder_folder, "bank": self.bank.folder}
        return {f"encoder/{name}": path for name, path in self._encoder_files().items()} | {
            f"{name}/{path.relative_to(folder).as_posix()}": path
            for name, folder in folders.items()
            if folder is not None
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Waveforms ``(samples,)`` in [-1, 1] at 16 kHz.

        A seed chooses the sentence, ``seed % len(sentences)``, and seeds the dropout that SpeechT5
        keeps at inference; rows that share the latter are drawn together.
        """
        conditioning = conditions if isinstance(conditions, Conditioning) else self._in_parts(conditions)
        check_seeds(len(conditioning), seeds)
        voices, samples = conditioning.hidden[:, 0].float(), {}
        groups: dict[int, list[int]] = {}
        for i, seed in enumerate(seeds):
            groups.setdefault(seed // len(self.sentences), []).append(i)
        for noise, rows in groups.items():
            for start in range(0, len(rows), self.batch_size):
                part = rows[start : start + self.batch_size]
                samples |= dict(zip(part, self._speak(voices, part, seeds, noise), strict=True))
        return [samples[i] for i in range(len(seeds))]

    def unconditional(self) -> Conditioning:
        """Zeros, with which transformers' speech-to-speech model speaks where no voice is named: one neutral voice."""
        zeros = torch.zeros(1, 1, self.model.config.speaker_embedding_dim, device=self.device)
        return Conditioning(zeros, torch.ones(1, 1, dtype=torch.bool, device=self.device))

    @property
    def generator(self) -> nn.Module:
        """The SpeechT5 model, without the vocoder."""
        return self.model

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)`` spectrogram and stop loss under teacher forcing: see :mod:`.spectrogram_loss`.

        A seed chooses the sentence that the sample says and seeds the dropout, as in :meth:`generate`;
        samples go through one by one, so that none depends on its neighbours. No gradient reaches
        the samples. There are no times to choose.
        """
        del times
        if not len(conditioning) == len(samples) == len(seeds):
            raise RedactError(
                f"{len(conditioning)} conditionings, {len(samples)} samples and {len(seeds)} seeds; "
                "give as many of each."
            )
        model, processor = self.model, self.processor
        voices = conditioning.hidden[:, 0].float()
        device = voices.device
        move(model, device)
        losses = []
        for voice, wave, seed in zip(voices, samples, seeds, strict=True):
            ids: Any = processor(text=self.sentence(seed), return_tensors="pt")
            mel = log_mel(processor, wave, model.config.reduction_factor)
            noise = seed // len(self.sentences)
            losses.append(spectrogram_loss(model, ids["input_ids"][0].to(device), voice, mel, noise))
        return torch.stack(losses)

    def redraw(self, seed: int, draw: int) -> int:
        """The same sentence, another dropout."""
        return seed + len(self.sentences) * draw

    def choosing(self, seed: int, like: int) -> int:
        """The sentence of ``like``, the dropout of ``seed``."""
        return seed * len(self.sentences) + like % len(self.sentences)

    def sentence(self, seed: int) -> str:
        """What a sample of this seed says."""
        return self.sentences[seed % len(self.sentences)]

    def shown(self, samples: Sequence[Tensor]) -> Audios:
        """The samples as waveforms with their rate: ``.audios[0].save("now.wav")``."""
        return Audios.of(samples, RATE)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return Audio(sample, RATE).save(path)

    def save(self, folder: Path) -> None:
        """The encoder's folder; the checkpoint's in its place if a method changed the generator.

        Raises:
            RedactError: Both were changed: they are folders of two libraries.
        """
        bare, gates = bare_and_gates(self.encoder)
        if not isinstance(bare, VoiceEncoder):
            raise RedactError(
                f"A {type(bare).__name__} cannot be saved as a SpeechBrain encoder; export the student only."
            )
        if not self._generator_changed():
            save_encoder(bare, self.encoder_folder, folder, gates)
            return
        if gates or encoder_changed(bare, self.encoder_folder):
            raise RedactError(
                "Encoder and generator were both changed, and a folder holds one of them; save one after the "
                "other, each from a model where the other is as it was."
            )
        model_folder.write(self.model, self.folder, folder)

    def _generator_changed(self) -> bool:
        return "model" in self.__dict__ and model_folder.changed(self.model, self.folder)

    def _nearest(self, voice: str) -> list[str]:
        """Voices of the bank by likeness, by the verifier where it is bundled; else none."""
        if voice not in self.bank.voices or not (BUNDLED / "verifier").is_dir():
            return []
        return nearest(self, VoiceJudge(self.bank.voices), voice, len(self.bank.voices))

    def waveform(self, condition: Condition) -> Tensor:
        """``(samples,)`` of a clip, or of all clips of a voice of the bank; at 16 kHz and in full length."""
        if str(condition) in self.bank.voices:
            return torch.cat([read_clip(clip) for clip in self.bank.voices[str(condition)]])
        return read_clip(Path(condition))

    def _in_parts(self, conditions: Sequence[Condition]) -> Conditioning:
        """:meth:`encode`, a few clips at a time: waveforms are large."""
        return Conditioning.cat([self.encode(conditions[i : i + 32]) for i in range(0, len(conditions), 32)])

    def _speak(self, voices: Tensor, rows: list[int], seeds: Sequence[int], noise: int) -> list[Tensor]:
        sentences = [self.sentence(seeds[i]) for i in rows]
        move(self.model, voices.device)
        mels = spectrograms(
            self.model,
            self.processor,
            sentences,
            voices[rows],
            frames_per_letter=self.frames_per_letter,
            noise=noise,
        )
        return [self.vocode(mel.to(voices.device)).cpu() for mel in mels]

    def _check_dimensions(self) -> None:
        with torch.no_grad():
            noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
            found = self.encoder({"waveform": 0.1 * noise}).hidden.shape[-1]
        wanted = self.config.get("speaker_embedding_dim", 512)
        if found != wanted:
            raise RedactError(
                f"The encoder {self.encoder_source} gives {found} dimensions, the model {self.source} takes "
                f"{wanted}; name the encoder that the model was trained with."
            )

    @cached_property
    def processor(self) -> SpeechT5Processor:
        """Letters to ids."""
        try:
            return SpeechT5Processor.from_pretrained(self.folder)
        except Exception as error:  # of several libraries
            reason = first_line(error)
            raise RedactError(
                f"{self.folder} cannot be loaded as a SpeechT5Processor ({reason}); fetch it again."
            ) from error

    @cached_property
    @torch.inference_mode(mode=False)
    def model(self) -> SpeechT5ForTextToSpeech:
        """The generator."""
        return whole(SpeechT5ForTextToSpeech, self.folder, dtype=torch.float32, weights_only=True).eval()

    @cached_property
    @torch.inference_mode(mode=False)
    def vocode(self) -> Vocoder:
        """Spectrogram to waveform."""
        return load_vocoder(self.vocoder_folder)
