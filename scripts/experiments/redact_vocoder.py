"""Redact a voice from the bundled vocoder, plainly and with a gate; who is heard, and what the others lose.

    python scripts/experiments/redact_vocoder.py --out out/vocoder

Redacted folders and samples are kept in OUT and not made again, so that ``--models plain --no-table``
does a part of the work. The judge is the bundled verifier, which knows
neither vocoder nor warp; *clips* are the recordings, cut to the vocoder's band. *Mel-cepstral distortion*
is that from the base's sample with the same noise; the base's own, from the recording. *Conditioning* is
how far the student's is from what it should be, where 1 is the way from voice to reference. All models
get the same clips and seeds.
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
from tqdm import tqdm

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.mel_to_speech import MelVocoder
from modalities.mel_to_speech.expansion import warps
from modalities.mel_to_speech.gated import GatedConditioner
from modalities.mel_to_speech.mel import RATE, log_mel, to_band
from modalities.mel_to_speech.utterance import AS_IT_IS, Utterance, Warp
from modalities.sound.clips import read_clip
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core import Request, conditioning_distance, redact
from redact_core.metrics.statistics import auroc, bootstrap_mean, wilson
from redact_core.support.folders import new_folder

MODELS = ("base", "plain", "gated")


def distortion(a: Tensor, b: Tensor) -> float:
    """Mel-cepstral distortion in dB of two waveforms ``(samples,)`` at 8 kHz that keep the same time.

    Kubichek 1993: coefficients 1 to 13 of the cosine transform of log mels, no warping of time.
    """
    dct = create_dct(14, 64, "ortho")[:, 1:]
    mels = [log_mel(wave, 64) * 1.5 * math.log(10) for wave in (a, b)]  # natural logarithm of amplitude
    difference = (mels[0] - mels[1]).T @ dct * math.sqrt(2 / 64)  # log amplitude = sum of c_k cos(k w)
    return (10 / math.log(10) * (2 * difference.square().sum(1)).sqrt()).mean().item()


def train(args: argparse.Namespace, student: str, request: Request) -> None:
    """The redacted folder of a student, with what it cost."""
    folder = args.out / student
    if folder.exists():
        return
    model = MelVocoder(args.source, student, windows=args.windows)
    began, cpu = time.perf_counter(), time.process_time()
    done = redact(model, request, steps=args.steps, batch_size=args.batch, seed=args.seed)
    cost = {
        "seconds": time.perf_counter() - began,
        "CPU seconds": time.process_time() - cpu,
        # of the whole process, which has no other model in memory but those of its earlier students
        "memory (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "steps": args.steps,
        "measures": dict(done.measures),
    }
    with new_folder(folder) as part:
        model.save(part)
    (args.out / f"{student}.cost.json").write_text(json.dumps(cost, indent=1, allow_nan=False))


def listen(
    args: argparse.Namespace, model: MelVocoder, name: str, group: str, clips: list[Utterance]
) -> list[Tensor]:
    """Samples of a group, kept in a file."""
    path = args.out / f"{name}.{group}.pt"
    asked = [str(clip) for clip in clips]
    if path.exists():
        found = torch.load(path, weights_only=True)
        if found["asked"] == asked:
            return found["samples"]
    samples = []
    for i, text in enumerate(tqdm(asked, desc=f"{name}, {group}", mininterval=5)):
        samples += model.generate([text], seeds=[args.seed * 100_003 + i])
    torch.save({"asked": asked, "samples": samples}, path)
    return samples


def share(values: list[float]) -> str:
    """A mean with its bootstrap interval."""
    found = bootstrap_mean(values)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def conditionings(base: MelVocoder, model: MelVocoder, clips: list[Path], warp: Warp) -> list[float]:
    """For each clip, the distance of the student's conditioning from what it should be."""
    found = []
    with torch.no_grad():
        for clip in clips:
            said = model.encode([str(clip)])
            wanted = base.encode([str(Utterance(clip, -1, warp))])
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
    parser.add_argument("--no-table", action="store_true", help="train and listen only")
    args = parser.parse_args()
    if "base" not in args.models and not args.no_table:
        parser.error("the table stands beside the base; give base among --models, or --no-table")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    request = Request((args.voice,), (args.reference,), seed=args.seed)
    base = MelVocoder(args.source)
    (warp,) = warps(request, base.bank)
    unseen = base.unseen.voices
    gone = unseen[args.voice][: args.n]
    kept = [clips[0] for voice, clips in unseen.items() if voice not in (args.voice, args.reference)]
    groups = {
        "redacted": [Utterance(clip) for clip in gone],
        "kept": [Utterance(clip) for clip in kept[: args.n_kept]],
    }
    # what a perfect student would say: the untouched vocoder, given the warped clips
    warped = {"redacted": [Utterance(clip, -1, warp) for clip in gone]}
    models, samples = {}, {}
    for name in args.models:
        if name != "base":
            train(args, name, request)
        models[name] = base if name == "base" else base.reopen(args.out / name)
        for said, asked in ((name, groups), *((("warped", warped),) if name == "base" else ())):
            for group, clips in asked.items():
                samples[said, group] = listen(args, models[name], said, group, clips)
    if not args.no_table:
        table(args, models, samples, groups, warp, kept)


HEADS = [
    "model", "group", "n", "identified", "similarity", "to the reference", "mel-cepstral distortion, dB", "conditioning",
]  # fmt: skip


def table(
    args: argparse.Namespace,
    models: dict[str, MelVocoder],
    samples: dict[tuple[str, str], list[Tensor]],
    groups: dict[str, list[Utterance]],
    warp: Warp,
    kept: list[Path],
) -> None:
    """Print what the judge hears, how far samples are from the base's, and conditionings from their aim."""
    base = models["base"]
    gone = [clip.path for clip in groups["redacted"]]
    judge = VoiceJudge(base.bank.voices)
    far = sum(conditionings(base, base, gone, warp)) / len(gone)
    print(f"{args.voice} -> {args.reference}: {warp.semitones:+g} semitones, formants times {warp.ratio:g}\n")
    lines: list[list[Cell]] = []
    recorded = {
        ("clips", group): [to_band(read_clip(clip.path), 16_000) for clip in clips]
        for group, clips in groups.items()
    }
    for (name, group), waves in {**recorded, **samples}.items():
        against = recorded["clips", group] if name == "base" else samples["base", group]
        worse, aside = "-", "-"
        if name != "clips":
            worse = share([distortion(a, b[: len(a)]) for a, b in zip(waves, against, strict=True)])
        if name in models and name != "base":
            paths, aim = [clip.path for clip in groups[group]], warp if group == "redacted" else AS_IT_IS
            aside = share([value / far for value in conditionings(base, models[name], paths, aim)])
        lines.append(line(name, group, groups[group], judge, waves, args.reference, worse, aside))
    figures = ResultTable(HEADS, lines, digits=1)
    write_tables(args.out / "tables.json", {"figures": figures})
    print(figures.markdown())
    for name, model in models.items():
        if isinstance(model.encoder, GatedConditioner):
            inputs = [model.collate([str(clip)]) for clip in [*gone, *kept]]
            with torch.no_grad():
                gate = torch.cat([model.encoder.gate(x["mel"], x["length"]).flatten() for x in inputs])
            mine, theirs = gate[: len(gone)], gate[len(gone) :]
            print(
                f"\n{name}: the gate lets through {share(mine.tolist())} for unseen clips of the redacted voice and "
                f"{share(theirs.tolist())} for those of {len(theirs)} others; "
                f"it tells them apart with an AUROC of {auroc(mine, theirs):.3f}."
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
    judge: VoiceJudge,
    waves: list[Tensor],
    reference: str,
    distance: str,
    conditioning: str,
) -> list[Cell]:
    """A row of the table; the voice of a clip is its folder, and samples are heard at 16 kHz."""
    heard = judge([resample(wave, RATE, 16_000) for wave in waves])
    own = [judge.voices.index(clip.path.parent.name) for clip in clips]
    hits = (heard.similarity.argmax(1) == torch.tensor(own)).sum().item()
    alike = heard.similarity[torch.arange(len(own)), own].tolist()
    toward = share(heard.similar(reference).tolist()) if group == "redacted" else "-"
    return [
        name, group, f"{len(clips)}", wilson(int(hits), len(clips)), share(alike), toward, distance, conditioning,
    ]  # fmt: skip


if __name__ == "__main__":
    with one_line():
        main()
