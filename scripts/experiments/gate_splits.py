"""What gates of other settings leave of a voice and cost people whom they do not know, over splits of many speakers.

    export REDACT_DATA=/path/to/data
    python scripts/experiments/gate_splits.py --encoder resemblyzer --clips 4 2 --sure 3.5 3 --gain 2 1.5 --out OUT
    python scripts/experiments/gate_splits.py --encoder bundled --out OUT

The data folder holds ``librispeech251`` (one recording a speaker; eighths of it are clips) and ``fsdd`` (six speakers;
five digits are a clip). Of each split 160 LibriSpeech speakers are given, 60 unknown, and 31 redacted one at a time,
and so is each of FSDD. The gallery is everybody; *among sixteen* are ten redacted LibriSpeech speakers and FSDD. There, unknown and
given people who are much like the voice may be named as it, as an attacker may be who comes as near as they are.
Everything is in embedding space; embeddings of one encoder are kept in OUT. Adds the rows of its settings to
OUT/frontier.json, which scripts/experiments/voice_gates_page.py reads from docs/results/voice_gates/.
"""

import argparse
import itertools
import json
import math
import random
import statistics
from pathlib import Path

import torch
from development_data import data_folder, fsdd_clips, interleaved
from people.embeddings import middle
from torch import Tensor
from torch.nn.functional import normalize
from torchaudio.functional import resample
from tqdm import tqdm

from lightning_modules.support.one_line import one_line
from modalities.sound.clips import RATE, fit_length, read_clip
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.encoders.distortion import distort
from redact_core.gates import Gate, GateSettings, fit_gate
from redact_core.metrics.statistics import auroc
from redact_core.support.folders import write_whole

LONGEST_S, PIECES, FSDD_CLIPS, VARIANTS = 15, 8, 20, 3
SPLITS, UNKNOWN, GIVEN, FEW = 3, 60, 160, 10
KEY = ("encoder", "clips", "people", "margin", "sure", "gain", "cap")
"""Of a row."""
ENCODERS = {"resemblyzer": ("ge2e", "resemblyzer"), "bundled": ("ecapa", str(BUNDLED / "encoder"))}
"""--encoder -> its name in the table, and what SpeakerEncoder loads."""
Voices = dict[str, dict[str, Tensor]]
"""Speaker -> ``pieces (clips, variants, dim)`` and, of LibriSpeech, ``whole (1, variants, dim)``."""


@torch.no_grad()
def embeddings(source: str) -> Voices:
    """Of everybody; the first variant of a clip is the clip as it is, the others are distorted."""
    encoder = SpeakerEncoder(source).encoder.requires_grad_(False).eval()

    def variants(wave: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        short = fit_length(wave, min(max(len(wave), RATE), 6 * RATE))[None]
        waves = (wave[None], distort(short.expand(VARIANTS, -1).contiguous(), generator))
        return torch.cat([encoder({"waveform": x}).hidden[:, 0] for x in waves])

    found: Voices = {}
    files = sorted((data_folder("librispeech251") / "librispeech251").glob("*.flac"))
    for i, path in enumerate(tqdm(files, desc=f"{source}, LibriSpeech", unit="speaker")):
        wave = read_clip(path)[: LONGEST_S * RATE]
        n = len(wave) // PIECES
        pieces = [
            variants(fit_length(wave[k * n : (k + 1) * n], max(n, RATE)), 1000 * i + k)
            for k in interleaved(PIECES)
        ]
        name = path.stem.partition("-")[0]
        found[name] = {"pieces": torch.stack(pieces), "whole": variants(wave, 1000 * i + 9)[None]}
    for speaker, sounds, rate in tqdm(fsdd_clips(FSDD_CLIPS), desc=f"{source}, FSDD", unit="speaker"):
        clips: list[Tensor] = []
        for c, sound in enumerate(sounds):
            wave = resample(torch.from_numpy(sound), rate, RATE)
            clips.append(variants(fit_length(wave, max(len(wave), RATE)), c + 50 * len(found)))
        found[f"fsdd_{speaker}"] = {"pieces": torch.stack(clips)}
    return found


def kept_embeddings(encoder: str, out: Path) -> tuple[str, Voices]:
    """The name of an encoder in the table, and :func:`embeddings`, which are computed once and kept in ``out``."""
    name, source = ENCODERS[encoder]
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"{name}.pt"
    if not kept.is_file():
        torch.save(embeddings(source), kept)
    return name, torch.load(kept, weights_only=True)


@torch.no_grad()
def through(gate: Gate, rows: Tensor) -> Tensor:
    """``(n, dim)`` of ``(n, dim)``."""
    return gate(rows[:, None])[:, 0]


def identified(rows: Tensor, gallery: Tensor) -> float:
    """Share of ``rows (n, dim)`` that are nearest to the first of ``gallery (people, dim)``."""
    return ((normalize(rows, dim=1) @ gallery.T).argmax(1) == 0).double().mean().item()


def parts(voices: Voices, split: int) -> tuple[list[str], list[str], list[str], list[str]]:
    """Who is unknown, given, and redacted in a split; the last of these, FSDD, once more."""
    fsdd = [name for name in voices if name.startswith("fsdd_")]
    order = [name for name in voices if name not in fsdd]
    random.Random(split).shuffle(order)
    given = order[UNKNOWN : UNKNOWN + GIVEN]
    return order[:UNKNOWN], given, order[UNKNOWN + GIVEN :] + fsdd, fsdd


def learnt(own: dict[str, Tensor], clips: int) -> Tensor:
    """``(n, dim)`` what a gate is given of somebody who stays."""
    return own["whole"][:, 0] if "whole" in own else own["pieces"][:clips, 0]


def graded(
    voices: Voices, split: int, clips: int, settings: GateSettings
) -> list[tuple[str, dict[str, float]]]:
    """Speaker and figures of each redaction of a split."""
    unknown, given, targets, fsdd = parts(voices, split)
    few = targets[:FEW] + fsdd
    strange = torch.cat([voices[name]["whole"][:, 0] for name in unknown])

    found: list[tuple[str, dict[str, float]]] = []
    for target in targets:
        kept = [learnt(voices[name], clips) for name in (*given, *(x for x in fsdd if x != target))]
        unseen = voices[target]["pieces"][clips:, 0]
        fitted = fit_gate(
            voices[target]["pieces"][:clips], kept, candidates=range(len(given)), settings=settings
        )
        voice, gate = fitted.cell.voice, fitted.gate
        everybody = torch.cat(
            [voice[None], torch.stack([middle(x) for x in kept]), normalize(strange, dim=1)]
        )
        sixteen = torch.stack([voice, *(middle(voices[x]["pieces"][:clips, 0]) for x in few if x != target)])

        after, moved = through(gate, unseen), through(gate, strange)
        likeness = normalize(strange, dim=1) @ voice
        same = torch.cosine_similarity(moved, strange)
        whole = torch.cat(kept)
        near, near_given = likeness.topk(3).indices, (normalize(whole, dim=1) @ voice).topk(3).indices
        found.append(
            (target, {
                "identified before": identified(unseen, everybody), "identified": identified(after, everybody),
                "identified among sixteen before": identified(unseen, sixteen),
                "identified among sixteen": identified(after, sixteen),
                "auroc": auroc(normalize(after, dim=1) @ voice, likeness),
                "replaced": (after == gate.answer).all(1).double().mean().item(),
                "unknown cosine": same.mean().item(),
                "unknown nearest three cosine": same[near].mean().item(),
                "nearest three unknown, named among sixteen before": identified(strange[near], sixteen),
                "nearest three unknown, named among sixteen": identified(moved[near], sixteen),
                "nearest three given clips, named among sixteen": identified(whole[near_given], sixteen),
                "given same bits": (through(gate, whole) == whole).all(1).double().mean().item(),
            })
        )  # fmt: skip
    return found


def rows_of(encoder: str, voices: Voices, clips: int, settings: GateSettings) -> list[dict]:
    """A row for each family of speakers: means over people, and the worst one."""
    all_of = [row for split in range(SPLITS) for row in graded(voices, split, clips, settings)]
    rows: list[dict] = []
    for family in ("LibriSpeech", "FSDD"):
        own = [figures for name, figures in all_of if name.startswith("fsdd_") == (family == "FSDD")]
        worst = {name: min if name.startswith(("unknown", "given")) else max for name in own[0]}
        rows.append(
            {"encoder": encoder, "clips": clips, "people": family, "margin": settings.margin, "sure": settings.sure,
             "gain": settings.gain, "cap": settings.cap if settings.cap < math.inf else None, "targets": len(own)}
            | {
                name: {"mean": round(statistics.fmean(x[name] for x in own), 4), "worst": round(pick(x[name] for x in own), 3)}
                for name, pick in worst.items()
            }
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer", choices=ENCODERS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, nargs="+", default=[4], help="that the gate learns from")
    for option in ("--margin", "--sure", "--gain", "--cap"):
        default = [getattr(GateSettings, option.removeprefix("--"))]
        parser.add_argument(option, type=float, nargs="+", default=default, help="see GateSettings")
    args = parser.parse_args()
    name, voices = kept_embeddings(args.encoder, args.out)
    path = args.out / "frontier.json"
    settings = itertools.product(args.clips, args.margin, args.sure, args.gain, args.cap)
    for clips, margin, sure, gain, cap in settings:
        rows = rows_of(name, voices, clips, GateSettings(margin=margin, sure=sure, gain=gain, cap=cap))
        before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
        new = {tuple(row[k] for k in KEY) for row in rows}
        merged = [row for row in before if tuple(row[k] for k in KEY) not in new] + rows
        write_whole(path, (json.dumps({"rows": merged}, indent=1, allow_nan=False) + "\n").encode())
        for row in rows:
            shown = {k: (v["mean"], v["worst"]) if isinstance(v, dict) else v for k, v in row.items()}
            print(shown, flush=True)


if __name__ == "__main__":
    with one_line():
        main()
