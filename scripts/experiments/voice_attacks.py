"""How much of a redacted voice comes back under attack, at the level of embeddings and of a few samples.

    python scripts/experiments/voice_attacks.py --redacted out/no_voice --voice voice21 --reference voice05

Each attack runs on the redacted encoder and on the untouched one, its ceiling. *Heard* is the cosine
between the embedding that reaches the generator and the voice's mean embedding by the untouched
encoder, *nearest* the share of rows in which no other voice of the bank is nearer; of samples, the
same by the independent verifier, which counts all enrolled voices. With ``--gate-embeddings`` the encoder's gates stand
in front of the redacted model's generator too. REDACTED.attacks.json holds all figures, of earlier runs too, REDACTED.tables.json the table of them.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from torch.nn.functional import normalize

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5, attacks
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.attacks.voices import encode, prototypes
from modalities.text_to_speech.guards.embedding_gate import EmbeddingGate, through
from modalities.text_to_speech.judges.grading import cases
from modalities.text_to_speech.judges.judge import VoiceJudge
from redact_core import Adapter, Attack, Attempt, Conditioning, PlanRow
from redact_core import attacks as core_attacks
from redact_core.metrics.statistics import wilson


class Nothing(Attack):
    """The rows as they are."""

    access = "prompt"
    adaptive = False
    budget = "-"


def said(model: Adapter, attempts: Sequence[Attempt]) -> Conditioning:
    """What reaches the generator."""
    found = Conditioning.cat(
        [
            attempt.conditioning if attempt.conditioning is not None else encode(model, [attempt.condition])
            for attempt in attempts
        ]
    )
    if isinstance(model, EmbeddingGate):
        return replace(found, hidden=through(model.gates, found.hidden))
    return found


def make(entry: str) -> Attack:
    """From ``Name`` or ``Name: {argument: value}``."""
    value = yaml.safe_load(entry)
    ((name, settings),) = value.items() if isinstance(value, dict) else [(value, {})]
    if name == "Nothing":
        return Nothing()
    return getattr(attacks, name, getattr(core_attacks, name, None))(**settings)


def as_table(figures: dict[str, dict[str, dict]]) -> ResultTable:
    """A line an attack: similarity of the embeddings, and how often nobody else of the bank is nearer; of samples the same by the verifier.

    Args:
        figures: Attack -> ``redacted`` and ``base`` -> what was found.
    """
    pairs = [[found[which] for which in ("redacted", "base")] for found in figures.values()]
    judged = any("samples" in one for pair in pairs for one in pair)
    measures = ["similarity", "nearest"] + (["speech: similarity", "identified"] if judged else [])
    heads = ["attack", "budget", *(f"{x}, {which}" for x in measures for which in ("redacted", "untouched"))]
    rows: list[list[Cell]] = []
    for name, pair in zip(figures, pairs, strict=True):
        cells: list[Cell] = [f"{one['heard']:.2f}" for one in pair]
        cells += [wilson(round(one["nearest"] * one["n"]), one["n"]) for one in pair]
        if judged:
            cells += [f"{one['similarity']:.2f}" if "samples" in one else "-" for one in pair]
            cells += [
                wilson(round(one["identified"] * one["samples"]), one["samples"]) if "samples" in one else "-"
                for one in pair
            ]
        budget = pair[0]["budget"]
        flip = f"; flips at {pair[0]['flip']:.2f} in the median" if "flip" in pair[0] else ""
        rows.append([name, budget + flip, *cells])
    return ResultTable(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", required=True)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--reference")
    parser.add_argument("--attacks", nargs="+", default=["Nothing", *SpeechT5.suites["quick"]])
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--samples", type=int, default=0, help="Rows whose samples the verifier judges.")
    parser.add_argument("--gate-embeddings", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    base, student = SpeechT5("bundled"), SpeechT5("bundled", encoder=args.redacted)
    model: Adapter = EmbeddingGate(student, args.redacted) if args.gate_embeddings else student
    judge = VoiceJudge(base.bank.voices) if args.samples else None
    labels = {"voice": args.voice} | ({"reference": args.reference} if args.reference else {})
    unseen = VoiceBank(BUNDLED / "unseen").voices[args.voice]
    rows = [
        PlanRow(str(case.clip), "paraphrased", "voice", case.seed, True, labels)
        for case in cases({args.voice: unseen}, args.n, 1000)
    ]
    names = list(base.bank.voices)
    gallery, column = prototypes(base, names), names.index(args.voice)
    out = Path(f"{args.redacted.rstrip('/')}.attacks.json")
    table = json.loads(out.read_text()) if out.exists() else {}
    for entry in args.attacks:
        name = make(entry).name + (", gated embeddings" if args.gate_embeddings else "")
        for label, tried in (("redacted", model), ("base", base)):
            began = time.perf_counter()
            attack = make(entry)
            attacked = attack.subvert(tried, base, rows, seed=args.seed)
            attempts = attack(attacked, base, rows, seed=args.seed)
            seconds = time.perf_counter() - began
            voices = said(attacked, attempts)
            alike = normalize(voices.hidden[:, 0], dim=1) @ gallery.T
            found = {
                "n": len(rows), "clips": len({row.condition for row in rows}), "access": attack.access, "budget": attack.budget, "seconds": round(seconds, 1),
                "heard": alike[:, column].mean().item(), "best": alike[:, column].max().item(),
                "nearest": (alike.argmax(1) == column).float().mean().item(),
            }  # fmt: skip
            if judge is not None:
                few = torch.arange(args.samples)
                waves = attacked.generate(voices[few], seeds=[row.seed for row in rows[: args.samples]])
                heard = judge(waves)
                found |= {
                    "samples": args.samples,
                    "similarity": heard.similar(args.voice).mean().item(),
                    "identified": heard.identified(args.voice).float().mean().item(),
                }
            if isinstance(attack, attacks.Interpolation):
                flips = attack.flips(attacked, base, rows)
                found["flip"] = flips.nanmedian().item()
                found["never flips"] = flips.isnan().float().mean().item()
            table.setdefault(name, {})[label] = found
            shown = " ".join(f"{k} {v:.2f}" for k, v in found.items() if isinstance(v, float))
            print(f"{name:<26} {label:<9} {shown}", flush=True)
        out.write_text(json.dumps(table, indent=1, allow_nan=False), encoding="utf-8")
        write_tables(Path(f"{args.redacted.rstrip('/')}.tables.json"), {"attacks": as_table(table)})


if __name__ == "__main__":
    with one_line():
        main()
