"""How much of a redacted voice comes back under attack, at the level of embeddings and of a few samples.

    python scripts/voice_attacks.py --redacted out/no_voice --voice voice21 --reference voice05

Each attack runs on the redacted encoder and on the untouched one, its ceiling. *Heard* is the cosine
between the embedding that reaches the generator and the voice's mean embedding by the untouched
encoder, *nearest* the share of rows in which no other voice of the bank is nearer; of samples, the
same by the independent verifier, which counts all enrolled voices.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize

from modalities.text_to_speech import SpeechT5, attacks
from modalities.text_to_speech.attacks.voices import listen, prototypes
from modalities.text_to_speech.judge import VoiceJudge
from redact_core import Adapter, Attack, Attempt, Conditioning, PlanRow, Request, weight_attacks

MORE = {
    "ClipGradient-20dB": lambda: attacks.ClipGradient(20),
    "ClipGradient-30dB-other": lambda: attacks.ClipGradient(30, carrier="other"),
    "ClipGradient-20dB-other": lambda: attacks.ClipGradient(20, carrier="other"),
    "EncoderSwap-last-25%": lambda: weight_attacks.EncoderSwap(0.25),
    "EncoderSwap-last-50%": lambda: weight_attacks.EncoderSwap(0.5),
    "EncoderSwap-first-50%": lambda: weight_attacks.EncoderSwap(0.5, "first"),
    "WeightInterpolation-0.25": lambda: weight_attacks.WeightInterpolation(0.25),
    "WeightInterpolation-0.75": lambda: weight_attacks.WeightInterpolation(0.75),
    "Relearning-answers": lambda: weight_attacks.Relearning(loss="answers", examples=5),
    "Relearning-benign": lambda: weight_attacks.Relearning(data="benign", loss="answers", examples=40),
}
"""Attacks at other settings than their own."""


class Nothing(Attack):
    """The rows as they are."""

    access = "prompt"
    adaptive = False
    budget = "-"


def said(model: Adapter, attempts: Sequence[Attempt]) -> Conditioning:
    """What reaches the generator."""
    return Conditioning.cat(
        [
            attempt.conditioning if attempt.conditioning is not None else listen(model, [attempt.condition])
            for attempt in attempts
        ]
    )


def make(name: str) -> Attack:
    if name in MORE:
        return MORE[name]()
    return Nothing() if name == "Nothing" else getattr(attacks, name, getattr(weight_attacks, name, None))()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", required=True)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--reference")
    parser.add_argument("--attacks", nargs="+", default=["Nothing", *SpeechT5.suites["full"], *MORE])
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--samples", type=int, default=0, help="Rows whose samples the verifier judges.")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    base, student = SpeechT5("bundled"), SpeechT5("bundled", encoder=args.redacted)
    judge = VoiceJudge(base.bank.voices)
    request = Request((args.voice,), (args.reference,) if args.reference else ())
    rows: list[PlanRow] = [r for r in base.plan(request, args.n) if r.group == "paraphrased"]
    names = list(base.bank.voices)
    gallery, column = prototypes(base, names), names.index(args.voice)
    out = Path(f"{args.redacted.rstrip('/')}.attacks.json")
    table = json.loads(out.read_text()) if out.exists() else {}
    for name in args.attacks:
        for label, model in (("redacted", student), ("base", base)):
            began = time.perf_counter()
            attack = make(name)
            attacked = attack.subvert(model, base, rows, seed=args.seed)
            attempts = attack(attacked, base, rows, seed=args.seed)
            seconds = time.perf_counter() - began
            voices = said(attacked, attempts)
            alike = normalize(voices.hidden[:, 0], dim=1) @ gallery.T
            entry = {
                "n": len(rows), "access": attack.access, "budget": attack.budget, "seconds": round(seconds, 1),
                "heard": alike[:, column].mean().item(), "best": alike[:, column].max().item(),
                "nearest": (alike.argmax(1) == column).float().mean().item(),
            }  # fmt: skip
            if args.samples:
                few = torch.arange(args.samples)
                waves = attacked.generate(voices[few], seeds=[row.seed for row in rows[: args.samples]])
                heard = judge(waves)
                entry |= {
                    "samples": args.samples,
                    "similarity": heard.similar(args.voice).mean().item(),
                    "identified": heard.identified(args.voice).float().mean().item(),
                }
            if isinstance(attack, attacks.Interpolation):
                flips = attack.flips(attacked, base, rows)
                entry["flip"] = flips.nanmedian().item()
                entry["never flips"] = flips.isnan().float().mean().item()
            table.setdefault(name, {})[label] = entry
            shown = " ".join(f"{k} {v:.2f}" for k, v in entry.items() if isinstance(v, float))
            print(f"{name:<26} {label:<9} {shown}", flush=True)
        out.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
