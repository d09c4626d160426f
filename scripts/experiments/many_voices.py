"""Many voices in one encoder, each with a gate, one after another: leak, what stays, time, size, revival.

    python scripts/experiments/many_voices.py --encoder resemblyzer --others OTHERS --out OUT

OTHERS holds people with one long clip each, or several. The first half of each person's clips, or of the one clip,
is known; the other half is unseen, but of the same recording where there is one: easier than another day. People
are redacted in the order of their names' hashes; whoever is left is kept and given. OUT/many_voices.json holds, after
each of --counts, a row of measures, and the revival matrix: the leak of the first requests after later ones.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import torch
from people.embeddings import Listener, middle
from people.folders import people_in, readable, wave_of
from torch import Tensor
from torch.nn.functional import normalize

from modalities.sound.clips import RATE, fit_length
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.encoders.distortion import distort
from redact_core.gates import Gate, GateSettings, answers_that_stay, fit_gate
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

PARTS = 3
"""Stretches of each half."""


def stretches(listener: Listener, clips: list[Path], seed: int) -> tuple[Tensor, Tensor]:
    """``(n, variants, dim)`` of the known half, ``(n, dim)`` of the unseen one."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.cat([wave_of(clip) for clip in clips[:4]])
    part = len(whole) // (2 * PARTS)
    waves = [fit_length(whole[i * part : (i + 1) * part], max(part, RATE)) for i in range(2 * PARTS)]
    known, unseen = torch.stack(waves[:PARTS]), torch.stack(waves[PARTS:])
    plain, varied = listener.embed(known), listener.embed(distort(known, generator))
    return torch.stack([plain, varied], 1), listener.embed(unseen)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer")
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 10, 50, 100, 200])
    for option in ("--margin", "--sure", "--gain", "--cap"):
        default = getattr(GateSettings, option.removeprefix("--"))
        parser.add_argument(option, type=float, default=default, help="see GateSettings")
    args = parser.parse_args()
    settings = GateSettings(margin=args.margin, sure=args.sure, gain=args.gain, cap=args.cap)
    model = SpeakerEncoder(args.encoder)
    listener = Listener(model.encoder.requires_grad_(False).eval(), args.encoder, args.out / "cache")
    people: dict[str, tuple[Tensor, Tensor]] = {}
    found = people_in(args.others)
    for number, (name, clips) in enumerate(sorted(found.items())):
        kept = args.out / "cache" / f"{name}.halves.pt"
        if not kept.is_file() and readable(clips):
            torch.save(stretches(listener, readable(clips), number), kept)
        if kept.is_file():
            people[name] = tuple(torch.load(kept, weights_only=True))
        if number % 50 == 49:
            print(f"  {number + 1} of {len(found)} people", flush=True)
    order = sorted(people, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    gallery = torch.stack([middle(people[name][0][:, 0]) for name in order])
    counts = [count for count in args.counts if count < len(order) - 5]
    gates: list[Gate] = []
    rows, revival, seconds = [], [], 0.0

    def through(rows: Tensor) -> Tensor:
        with torch.no_grad():
            for gate in gates:
                rows = gate(rows[:, None])[:, 0]
        return rows

    def named(who: range) -> tuple[int, int, float, float]:
        """Unseen stretches named as their person: before and after; likeness after, and of strangers."""
        before = after = total = 0
        likeness, strangers = [], []
        for i in who:
            unseen = people[order[i]][1]
            out = normalize(through(unseen), dim=1) @ gallery.T
            first = normalize(unseen, dim=1) @ gallery.T
            before, after, total = (
                before + int((first.argmax(1) == i).sum()),
                after + int((out.argmax(1) == i).sum()),
                total + len(unseen),
            )
            likeness.append(out[:, i].mean())
            far = normalize(torch.cat([people[name][1] for name in order[-40:]]), dim=1) @ gallery[i]
            strangers.append(far.mean())
        return before, after, torch.stack(likeness).mean().item(), torch.stack(strangers).mean().item()

    for number in range(max(counts)):
        own = people[order[number]][0]
        began = time.perf_counter()
        stay = [people[name][0][:, 0] for name in order[number + 1 :]]
        beside = stay + answers_that_stay(gates, own)
        gates.append(fit_gate(own, beside, candidates=range(len(stay)), settings=settings).gate)
        seconds += time.perf_counter() - began
        if number + 1 not in counts:
            continue
        count = number + 1
        before, after, likeness, far = named(range(count))
        left = order[count:]
        given = torch.cat([people[name][0][:, 0] for name in left])
        unseen = torch.cat([people[name][1] for name in left])
        share = wilson(after, PARTS * count)
        out = through(unseen)
        row = {
            "voices": count, "people": len(order), "n": PARTS * count, "identified before": before / (PARTS * count),
            "identified": share.value, "low": share.low, "high": share.high, "likeness": likeness,
            "likeness of strangers": far, "given, same to the bit": (through(given) == given).all(1).float().mean().item(),
            "unseen clips of kept people, same to the bit": (out == unseen).all(1).float().mean().item(),
            "unseen clips of kept people, cosine": torch.cosine_similarity(out, unseen, dim=1).mean().item(),
            "seconds": seconds, "kilobytes": sum(4 * v.numel() for g in gates for v in g.state_dict().values()) / 1000,
        }  # fmt: skip
        rows.append(row)
        blocks = [range(a, b) for a, b in zip([0, *counts], counts, strict=False) if b <= count]
        revival.append(
            {"after": count} | {f"{b.start + 1} to {b.stop}": named(b)[1] / (PARTS * len(b)) for b in blocks}
        )
        print(json.dumps(row, allow_nan=False), flush=True)
        write_whole(
            args.out / "many_voices.json",
            (json.dumps({"rows": rows, "revival": revival}, indent=1, allow_nan=False) + "\n").encode(),
        )


if __name__ == "__main__":
    main()
