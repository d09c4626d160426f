"""Many voices in one encoder, each with a gate, one after another: leak, what stays, time, size, revival.

    python scripts/experiments/many_voices.py --encoder resemblyzer --others OTHERS --out OUT

OTHERS holds people with one long clip each, or several. The first half of each person's clips, or of the one clip,
is known; the other half is unseen, but of the same recording where there is one: easier than another day. People
are redacted in the order of their names' hashes; whoever is left is kept and given. OUT/many_voices.json holds, after
each of --counts, a row of measures, and the revival matrix: the leak of the first requests after later ones; and the same measures
of as many people in one request (*at once*). *Among few* counts a gallery of sixteen people drawn by chance.
"""

import argparse
import hashlib
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from people.embeddings import Listener, middle
from people.folders import people_in, readable, wave_of
from torch import Tensor
from torch.nn.functional import normalize

from lightning_modules.support.one_line import one_line
from modalities.sound.clips import RATE, fit_length
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.encoders.distortion import distort
from redact_core.gates import Gate, GateSettings, answers_that_stay, fit_gate, share_of, shared
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

PARTS = 3
"""Stretches of each half."""
FEW, STRANGERS = 16, 40


def stretches(listener: Listener, clips: list[Path], seed: int) -> tuple[Tensor, Tensor]:
    """``(n, variants, dim)`` of the known half, ``(n, dim)`` of the unseen one."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.cat([wave_of(clip) for clip in clips[:4]])
    part = len(whole) // (2 * PARTS)
    waves = [fit_length(whole[i * part : (i + 1) * part], max(part, RATE)) for i in range(2 * PARTS)]
    known, unseen = torch.stack(waves[:PARTS]), torch.stack(waves[PARTS:])
    plain, varied = listener.embed(known), listener.embed(distort(known, generator))
    return torch.stack([plain, varied], 1), listener.embed(unseen)


class Crowd:
    """Known and unseen stretches of everybody: ``(n, variants, dim)`` and ``(PARTS, dim)`` of each."""

    def __init__(self, known: list[Tensor], unseen: list[Tensor]):
        self.known, self.unseen = known, torch.stack(unseen)
        self.gallery = torch.stack([middle(rows[:, 0]) for rows in known])
        draw = random.Random(0)
        everybody = range(len(known))
        self.few = [[i, *draw.sample([j for j in everybody if j != i], FEW - 1)] for i in everybody]

    def gate(self, number: int, stays_from: int, there: Sequence[Gate], settings: GateSettings) -> Gate:
        """Of one person, made from nobody's clips but the own ones and those of people from ``stays_from`` on."""
        own = self.known[number]
        stay = [rows[:, 0] for rows in self.known[stays_from:]]
        beside = stay + answers_that_stay(there, own)
        return fit_gate(own, beside, candidates=range(len(stay)), settings=settings).gate

    def named(self, who: range, gates: Sequence[Gate]) -> tuple[Tensor, Tensor, Tensor]:
        """``(people, PARTS)`` of unseen stretches: is their person nearest of all, and among few; the likeness."""
        out = through(gates, self.unseen[list(who)].flatten(0, 1))
        alike = (normalize(out, dim=1) @ self.gallery.T).unflatten(0, (len(who), PARTS))
        few = torch.stack([rows[:, self.few[i]].argmax(1) == 0 for i, rows in zip(who, alike, strict=True)])
        own = torch.tensor(list(who))
        nearest = alike.argmax(2) == own[:, None]
        return nearest, few, torch.stack([rows[:, i] for i, rows in zip(who, alike, strict=True)])

    def row(self, count: int, gates: Sequence[Gate], seconds: float) -> dict:
        """Measures after the first ``count`` people were redacted."""
        (first, few_first, _), (nearest, few, likeness) = (
            self.named(range(count), some) for some in ((), gates)
        )
        share, among = (wilson(int(x.sum()), x.numel()) for x in (nearest, few))
        strangers = normalize(self.unseen[-STRANGERS:].flatten(0, 1), dim=1) @ self.gallery[:count].T
        given = torch.cat([rows[:, 0] for rows in self.known[count:]])
        unseen = self.unseen[count:].flatten(0, 1)
        out, stay = through(gates, unseen), self.gallery[count:]
        alike = torch.cosine_similarity(out, unseen, dim=1)
        whose = torch.arange(count, len(self.known)).repeat_interleave(PARTS)
        right = (normalize(unseen, dim=1) @ self.gallery.T).argmax(1) == whose
        before, after = ((normalize(x, dim=1) @ stay.T).argmax(1) for x in (unseen, out))
        return {
            "voices": count, "people": len(self.known), "n": nearest.numel(), "identified before": first.double().mean().item(),
            "identified": share.value, "low": share.low, "high": share.high, "among": FEW,
            "identified among few before": few_first.double().mean().item(), "identified among few": among.value,
            "likeness": likeness.mean().item(), "likeness of strangers": strangers.mean().item(),
            "given, same to the bit": (through(gates, given) == given).all(1).double().mean().item(),
            "unseen clips of kept people": len(unseen),
            "unseen clips of kept people, same to the bit": (out == unseen).all(1).double().mean().item(),
            "unseen clips of kept people, cosine": alike.mean().item(),
            "of them named rightly by the untouched encoder": right.double().mean().item(), "cosine of those": alike[right].mean().item(),
            "unseen clips of kept people, named as before": (before == after).double().mean().item(),
            "seconds": seconds, "kilobytes": sum(4 * v.numel() for g in gates for v in g.state_dict().values()) / 1000,
        }  # fmt: skip


@torch.no_grad()
def through(gates: Sequence[Gate], rows: Tensor) -> Tensor:
    """``(n, dim)`` of ``(n, dim)``."""
    for gate in gates:
        rows = gate(rows[:, None])[:, 0]
    return rows


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
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="every gate as if it were alone; else caps rise with their number",
    )
    args = parser.parse_args()
    settings = GateSettings(margin=args.margin, sure=args.sure, gain=args.gain, cap=args.cap)
    model = SpeakerEncoder(args.encoder)
    listener = Listener(model.encoder.requires_grad_(False).eval(), args.encoder, args.out / "cache")
    people: dict[str, tuple[Tensor, Tensor]] = {}
    folders = people_in(args.others)
    for number, (name, clips) in enumerate(sorted(folders.items())):
        kept = args.out / "cache" / f"{name}.halves.pt"
        if not kept.is_file() and readable(clips):
            torch.save(stretches(listener, readable(clips), number), kept)
        if kept.is_file():
            people[name] = tuple(torch.load(kept, weights_only=True))
        if number % 50 == 49:
            print(f"  {number + 1} of {len(folders)} people", flush=True)
    order = sorted(people, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    crowd = Crowd([people[name][0] for name in order], [people[name][1] for name in order])
    counts = [count for count in args.counts if count < len(order) - 5]
    found = {"rows": [], "revival": [], "at once": []}

    def keep(table: str, row: dict) -> None:
        found[table].append(row)
        print(table, json.dumps(row, allow_nan=False), flush=True)
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        write_whole(args.out / "many_voices.json", text.encode())

    gates, seconds = list[Gate](), 0.0
    for number in range(max(counts)):
        began = time.perf_counter()
        gates.append(
            crowd.gate(
                number, number + 1, gates, settings if args.fixed else shared(settings, share_of(number, 1))
            )
        )
        seconds += time.perf_counter() - began
        if (count := number + 1) in counts:
            keep("rows", crowd.row(count, gates, seconds))
            blocks = [range(a, b) for a, b in zip([0, *counts], counts, strict=False) if b <= count]
            leaks = crowd.named(range(count), gates)[0]
            keep(
                "revival",
                {"after": count}
                | {f"{b.start + 1} to {b.stop}": leaks[list(b)].double().mean().item() for b in blocks},
            )
    for count in counts:
        began = time.perf_counter()
        each = settings if args.fixed else shared(settings, share_of(0, count))
        gates = [crowd.gate(number, count, [], each) for number in range(count)]
        keep("at once", crowd.row(count, gates, time.perf_counter() - began))


if __name__ == "__main__":
    with one_line():
        main()
