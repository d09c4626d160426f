"""Redact real people's voices: the base learns to speak as the six people of FSDD, then each goes, one by one.

    REDACT_DATA=/path/to/data python scripts/experiments/real_voice.py --out out/real_voice

1. Utterances of three spoken digits each are joined from single recordings; takes 0 to 4 of every
   digit are for grading, the rest for training. Strangers are LibriSpeech speakers. Everything is
   band-limited to 3.4 kHz alike, so that the sampling rate does not give a voice away.
2. The text-to-speech model is trained on, on these utterances; the encoder stays as it is shipped.
   The result is kept in OUT/adapted.
3. Each of VOICES is redacted from the encoder, into OUT/no_VOICE_REFERENCE; the reference is the mean of
   the quarter that is least like it (unlike), of everybody else (mean), or one of the six. How often the base's own answer to the reference is taken for VOICE
   ("reference identified") is what no redaction can go below: a model that knows six people speaks like one of them.
4. A verifier that is not the encoder says who is heard, among the six and the strangers; PocketSphinx, which
   knows neither, which digits are said. It reads these recordings badly, so its ceiling on them stands beside.

Goes on where it was stopped. FSDD is CC BY-SA: nothing that comes out of this is shipped. Its recordings
are one session a person.
"""

import argparse
import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from development_data import data_folder
from digit_reader import WORDS, DigitReader, digits_right
from torch.nn.utils.rnn import pad_sequence
from torchaudio.functional import lowpass_biquad, resample
from tqdm import trange
from transformers import SpeechT5FeatureExtractor

from lightning_modules.support.one_line import one_line
from modalities.sound.clips import RATE, read_clip
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.judges.grading import Spoken, against_others, cases, compare
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core import Conditioning, Mean, Request, redact
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import new_folder, write_whole

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
GRADING_TAKES = range(5)


def narrow(wave: torch.Tensor) -> torch.Tensor:
    """Band-limited to 3.4 kHz, peak at a half."""
    for _ in range(3):
        wave = lowpass_biquad(wave, RATE, 3400)
    return wave / (2 * wave.abs().max().clamp(min=1e-4))


def recordings() -> dict[tuple[str, int, int], torch.Tensor]:
    """(speaker, digit, take) -> ``(samples,)`` at 16 kHz."""
    out = {}
    with zipfile.ZipFile(data_folder("fsdd") / "fsdd" / "fsdd_wav.zip") as archive:
        for name in archive.namelist():
            if not name.endswith(".wav"):
                continue
            digit, speaker, take = Path(name).stem.split("_")
            samples, rate = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            out[speaker, int(digit), int(take)] = resample(torch.from_numpy(samples), rate, RATE)
    return out


def utterances(takes: range | list[int], each: int, seed: int) -> list[tuple[str, str, torch.Tensor]]:
    """``each`` joined utterances of every speaker: (speaker, text, wave)."""
    rng, found = np.random.default_rng(seed), recordings()
    pause = torch.zeros(RATE // 20)
    rows = []
    for speaker in SPEAKERS:
        for _ in range(each):
            digits, parts = rng.integers(0, 10, 3), []
            for digit in digits:
                parts += [found[speaker, int(digit), int(rng.choice(list(takes)))], pause]
            rows.append((speaker, " ".join(WORDS[d] for d in digits), narrow(torch.cat(parts[:-1]))))
    return rows


def write(rows: list[tuple[str, str, torch.Tensor]], folder: Path) -> None:
    for number, (speaker, _, wave) in enumerate(rows):
        (folder / speaker).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / speaker / f"{number:04d}.flac", wave.numpy(), RATE)


def strangers(count: int, folder: Path) -> None:
    for path in sorted((data_folder("librispeech251") / "librispeech251").glob("*.flac"))[:count]:
        samples, _ = soundfile.read(path, dtype="float32")
        name = f"stranger{path.stem.split('-')[0]}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name / "0.flac", narrow(torch.from_numpy(samples[: 4 * RATE])).numpy(), RATE)


@torch.no_grad()
def embeddings(model: SpeechT5, rows: list[tuple[str, str, torch.Tensor]]) -> torch.Tensor:
    return torch.stack([model.encoder({"waveform": w[None]}).hidden[0, 0] for _, _, w in rows])


def adapt(model: SpeechT5, rows: list[tuple[str, str, torch.Tensor]], steps: int, batch: int = 24) -> None:
    """Train the text-to-speech model on; it hears another utterance of the same person."""
    extractor, step_of = SpeechT5FeatureExtractor(), model.model.config.reduction_factor
    mels = []
    for _, _, wave in rows:
        mel = torch.tensor(extractor(audio_target=wave.numpy(), sampling_rate=RATE).input_values[0])
        mels.append(mel[: len(mel) // step_of * step_of])
    ids = [torch.tensor(model.processor.tokenizer(text).input_ids) for _, text, _ in rows]
    voice, tts = embeddings(model, rows), model.model.train()
    of = {s: [i for i, row in enumerate(rows) if row[0] == s] for s in SPEAKERS}
    optimizer = torch.optim.AdamW(tts.parameters(), lr=4e-4, betas=(0.9, 0.98))
    for step in (bar := trange(steps, desc="adapting", mininterval=5)):
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 4e-4 * min(1, (step + 1) / 50) * (1 - 0.95 * step / steps)
        pick = rng.choice(len(rows), batch, replace=False)
        text = pad_sequence([ids[i] for i in pick], batch_first=True, padding_value=1)
        labels = pad_sequence([mels[i] for i in pick], batch_first=True, padding_value=-100.0)
        other = [int(rng.choice(of[rows[i][0]])) for i in pick]
        loss = tts(
            input_ids=text, attention_mask=(text != 1).long(), speaker_embeddings=voice[other], labels=labels
        ).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tts.parameters(), 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    tts.eval()


def gallery(out: Path) -> list[tuple[str, str, torch.Tensor]]:
    """Utterances to adapt to; enrolled clips, strangers and clips for grading are written on the way."""
    train = utterances(range(5, 50), 60, 0)
    if not out.is_dir():
        with new_folder(out) as folder:
            write([row for i, row in enumerate(train) if i % 60 < 12], folder / "voices")
            write(utterances(GRADING_TAKES, 12, 1), folder / "unseen")
            strangers(60, folder / "voices")
    return train


@torch.no_grad()
def answer(base: SpeechT5, request: Request) -> Conditioning:
    """What the untouched encoder says to the reference."""
    with warnings.catch_warnings(action="ignore"):  # of clips that sound like others: said in training
        said = next(row.answer for row in base.expand(request) if row.redacted)
    return base.encode(said.conditions if isinstance(said, Mean) else [said]).mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voices", nargs="+", choices=SPEAKERS, default=SPEAKERS)
    parser.add_argument("--reference", default="unlike", choices=("unlike", "mean", *SPEAKERS))
    parser.add_argument("--steps", type=int, default=2000, help="of adapting the text-to-speech model")
    parser.add_argument("--redact-steps", type=int, default=150)
    parser.add_argument("--n", type=int, default=60, help="generated utterances a group")
    args = parser.parse_args()
    train = gallery(args.out / "clips")
    rng = np.random.default_rng(2)
    spoken = [" ".join(WORDS[d] for d in rng.integers(0, 10, 3)) for _ in range(40)]
    base = SpeechT5("bundled", bank=args.out / "clips" / "voices", sentences=spoken)
    adapted = args.out / "adapted"
    if not adapted.is_dir():
        adapt(base, train, args.steps)
        with new_folder(adapted) as folder:
            base.save(folder)
    base = base.reopen(adapted)
    judge = VoiceJudge(base.bank.voices)
    read = DigitReader()
    unseen = {name: sorted((args.out / "clips" / "unseen" / name).glob("*.flac")) for name in SPEAKERS}
    print(f"N = {len(judge.voices)} enrolled")
    print("identified, real clips (ceiling):")
    for name, clips in unseen.items():
        hits = judge([read_clip(clip) for clip in clips]).identified(name)
        print(f"  {name:<9} {int(hits.sum())} of {len(clips)}")
    graded = utterances(GRADING_TAKES, 12, 1)
    right = sum(digits_right(text, read(wave)) for _, text, wave in graded)
    print(f"digits read, real clips (ceiling): {wilson(right, 3 * len(graded))}")

    def spoken_by(model: SpeechT5, names: Sequence[str], instead: Conditioning | None = None) -> Spoken:
        rows = cases({name: unseen[name] for name in names}, args.n)
        asked = [row.clip for row in rows] if instead is None else instead[torch.zeros(len(rows)).long()]
        samples = model.generate(asked, seeds=[row.seed for row in rows])
        return Spoken(rows, samples, judge(samples), [read(sample) for sample in samples])

    def digits(group: str, *pair: Spoken) -> SummaryRow:
        before, after = (
            wilson(
                sum(
                    digits_right(base.sentence(row.seed), said)
                    for row, said in zip(own.cases, own.read, strict=True)
                ),
                3 * len(own.cases),
            )
            for own in pair
        )
        return {
            "task": "voice", "group": group, "metric": "digits", "base": before.value, "redacted": after.value,
            "n": after.n, "low": after.low, "high": after.high,
        }  # fmt: skip

    results = {}
    for voice in (name for name in args.voices if name != args.reference):
        request = Request((voice,), (args.reference,))
        folder = args.out / f"no_{voice}_{args.reference}"
        if not folder.is_dir():
            student = base.reopen(base.encoder_folder)
            redact(student, request, steps=args.redact_steps, batch_size=32)
            with new_folder(folder) as new:
                student.save(new)
        redacted = base.reopen(folder)
        groups = {"redacted": (voice,), "retained": [name for name in SPEAKERS if name != voice]}
        pairs = {
            group: (spoken_by(base, names), spoken_by(redacted, names)) for group, names in groups.items()
        }
        rows = [row for group, pair in pairs.items() for row in compare(group, *pair, base)]
        rows = [row for row in rows if row["metric"] != "cer"]  # of digits, what counts is which one
        rows += [digits(group, *pair) for group, pair in pairs.items()]
        rows.append(against_others(voice, *pairs["redacted"], pairs["retained"][0]))
        floor = spoken_by(base, (voice,), answer(base, request))
        rows += [row for row in compare("reference", floor, floor, base) if row["metric"] == "identified"]
        results[voice] = rows
        print(voice)
        for row in rows:
            print(
                f"  {row['group']:<11} {row['metric']:<12} {row['base']:.3f} -> {row['redacted']:.3f} "
                f"[{row['low']:.3f}, {row['high']:.3f}] (n={row['n']})",
                flush=True,
            )
    write_whole(
        args.out / f"table_{args.reference}.json", json.dumps(results, indent=1, allow_nan=False).encode()
    )


if __name__ == "__main__":
    with one_line():
        main()
