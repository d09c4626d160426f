"""Redact a voice from the bundled vocoder, plainly and with a gate; who is heard, and what the others lose.

    python scripts/redact_vocoder.py --out out/vocoder
    python scripts/redact_vocoder.py --out out/vocoder --models base plain --n-kept 12

Redacted folders, answers and figures are kept in OUT and not made again. The judge is the bundled
verifier, which knows neither the vocoder nor the warp. Its clips go through the vocoder's band first,
and so does everything that it hears. All models get the same clips and seeds.
"""

import argparse
import json
import math
import resource
import time
from pathlib import Path

import torch
from torch import Tensor
from torchaudio.functional import create_dct, resample

from modalities.mel_to_speech import MelVocoder
from modalities.mel_to_speech.expansion import warps
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import RATE, log_mel, to_band
from modalities.mel_to_speech.utterance import AS_IT_IS, Utterance, Warp
from modalities.sound.clips import read_clip
from modalities.text_to_speech.judge import Heard, VoiceJudge
from redact_core import Request, conditioning_distance, redact
from redact_core.artefact import new_folder
from redact_core.statistics import bootstrap_mean, wilson

MODELS = ("base", "plain", "gated")


def distortion(a: Tensor, b: Tensor) -> float:
    """Mel-cepstral distortion in dB of two waveforms ``(samples,)`` at 8 kHz that keep the same time.

    Kubichek 1993: coefficients 1 to 13 of the cosine transform of log mels, no warping of time.
    """
    dct = create_dct(14, 64, "ortho")[:, 1:]
    mels = [log_mel(wave, 64) * 1.5 * math.log(10) for wave in (a, b)]  # natural logarithm of amplitude
    difference = (mels[0] - mels[1]).T @ dct * 2 / math.sqrt(64)  # as if the transform were not normalised
    return (10 / math.log(10) * (2 * difference.square().sum(1)).sqrt()).mean().item()


def train(args: argparse.Namespace, student: str, request: Request) -> None:
    """The redacted folder of a student, with what it cost."""
    folder = args.out / student
    if folder.exists():
        return
    model = MelVocoder(args.source, student, windows=args.windows)
    began, cpu = time.perf_counter(), time.process_time()
    terms = redact(model, request, steps=args.steps, batch_size=args.batch, seed=args.seed)
    cost = {
        "seconds": time.perf_counter() - began,
        "CPU seconds": time.process_time() - cpu,
        # of the whole process, which has no other model in memory but those of its earlier students
        "memory (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "steps": args.steps,
        "terms": terms,
    }
    with new_folder(folder) as part:
        model.save(part)
    (args.out / f"{student}.cost.json").write_text(json.dumps(cost, indent=1))


def heard(judge: VoiceJudge, samples: list[Tensor]) -> Heard:
    """Samples at 8 kHz, as the judge hears them."""
    return judge([resample(wave, RATE, 16_000) for wave in samples])


def listen(args: argparse.Namespace, model: MelVocoder, group: str, clips: list[Utterance]) -> dict:
    """Samples of a group, kept as files, and what their conditionings are."""
    path = args.out / "samples" / f"{args.name}.{group}.pt"
    asked = [str(clip) for clip in clips]
    if path.exists():
        found = torch.load(path, weights_only=True)
        if found["asked"] == asked:
            return found
    samples = []
    for i, text in enumerate(asked):
        samples += model.generate([text], seeds=[args.seed * 100_003 + i])
        print(f"\r{args.name}, {group}: {i + 1} of {len(asked)}", end="", flush=True)
    print("\r" + " " * 60 + "\r", end="")
    found = {"asked": asked, "samples": samples}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(found, path)
    return found


def share(values: list[float]) -> str:
    """A mean with its bootstrap interval."""
    found = bootstrap_mean(values)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def conditionings(base: MelVocoder, model: MelVocoder, clips: list[Path], warp: Warp) -> list[float]:
    """For each clip, the distance of the student's conditioning from what it should be."""
    found = []
    with torch.no_grad():
        for clip in clips:
            said = model.encoder(model.collate([str(clip)]))
            wanted = base.encoder(base.collate([str(Utterance(clip, -1, warp))]))
            found.append(conditioning_distance(said, wanted).item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", default="bundled")
    parser.add_argument("--voice", default="voice21")
    parser.add_argument("--reference", default="voice05")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--n", type=int, default=10, help="unseen clips of the redacted voice, at most")
    parser.add_argument("--n-kept", type=int, default=24, help="unseen clips of others, one each")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    request = Request((args.voice,), (args.reference,), seed=args.seed)
    base = MelVocoder(args.source)
    (warp,) = warps(request, base.bank)
    for student in args.models:
        if student != "base":
            train(args, student, request)
    unseen = base.unseen.voices
    gone = unseen[args.voice][: args.n]
    others = [voice for voice in unseen if voice not in (args.voice, args.reference)]
    kept = [unseen[voice][0] for voice in others]
    groups = {
        "redacted": [Utterance(clip) for clip in gone],
        "kept": [Utterance(clip) for clip in kept[: args.n_kept]],
    }
    judge = VoiceJudge(base.bank.voices)
    columns = {voice: i for i, voice in enumerate(judge.voices)}
    far = sum(conditionings(base, base, gone, warp)) / len(gone)
    print(f"{args.voice} -> {args.reference}: {warp.semitones:+g} semitones, formants times {warp.ratio:g}\n")
    print(
        "| model | group | n | identified | similarity | to the reference | mel-cepstral distortion, dB "
        "| conditioning |\n" + "|---" * 8 + "|"
    )
    clean: dict[str, list[Tensor]] = {}
    rows: list[tuple[str, MelVocoder, dict[str, list[Utterance]], Warp]] = []
    for name in args.models:
        model = base if name == "base" else base.reopen(args.out / name)
        rows.append((name, model, groups, warp))
    # what a perfect student would say: the untouched vocoder, given the warped clips
    rows.insert(
        1, ("base, warped", base, {"redacted": [Utterance(clip, -1, warp) for clip in gone]}, AS_IT_IS)
    )
    recorded = {
        group: [to_band(read_clip(utterance.path), 16_000) for utterance in clips]
        for group, clips in groups.items()
    }
    for group, samples in recorded.items():
        print(line("clips", group, groups[group], heard(judge, samples), columns, args.reference, "-", "-"))
    for name, model, asked, aim in rows:
        args.name = name.replace(", ", "_")
        for group, clips in asked.items():
            samples = listen(args, model, group, clips)["samples"]
            against = recorded[group] if name == "base" else clean[group]
            if name == "base":
                clean[group] = samples
            worse = [distortion(a, b[: len(a)]) for a, b in zip(samples, against, strict=True)]
            wanted = aim if group == "redacted" else AS_IT_IS
            paths = [clip.path for clip in clips] if group == "redacted" else kept
            aside = [value / far for value in conditionings(base, model, paths, wanted)]
            told = "-" if name == "base, warped" else f"{share(aside)} (n={len(aside)})"
            print(
                line(name, group, clips, heard(judge, samples), columns, args.reference, share(worse), told),
                flush=True,
            )
    for name, model, _, _ in rows:
        if isinstance(model.encoder, GatedConditioner):
            inputs = [model.collate([str(clip)]) for clip in [*gone, *kept]]
            with torch.no_grad():
                gate = torch.cat([model.encoder.gate(x["mel"], x["length"]).flatten() for x in inputs])
            mine, theirs = gate[: len(gone)], gate[len(gone) :]
            print(
                f"\n{name}: the gate is open (above a half) for {wilson(int((mine > 0.5).sum()), len(mine))} of the "
                f"redacted voice's unseen clips and {wilson(int((theirs > 0.5).sum()), len(theirs))} of others'."
            )
    for path in sorted(args.out.glob("*.cost.json")):
        cost = json.loads(path.read_text())
        print(
            f"{path.name.split('.')[0]}: {cost['steps']} steps, {cost['CPU seconds']:.0f} s of one core, "
            f"{cost['memory (MB)']:.0f} MB at most"
        )


def line(
    name: str,
    group: str,
    clips: list[Utterance],
    said: Heard,
    columns: dict[str, int],
    reference: str,
    distance: str,
    conditioning: str,
) -> str:
    """A row of the table; the voice of a clip is its folder."""
    own = [columns[clip.path.parent.name] for clip in clips]
    hits = (said.similarity.argmax(1) == torch.tensor(own)).sum().item()
    alike = said.similarity[torch.arange(len(own)), own].tolist()
    toward = share(said.similar(reference).tolist()) if group == "redacted" else "-"
    return (
        f"| {name} | {group} | {len(clips)} | {wilson(int(hits), len(clips))} | {share(alike)} | {toward} "
        f"| {distance} | {conditioning} |"
    )


if __name__ == "__main__":
    main()
