"""Plain and robust distillation of a voice side by side: leak under attack, damage, seconds.

    python scripts/experiments/robust_voice.py --out out/robust_voice

Every setting is trained (or, where its folder is there already, opened), then attacked with stronger
attacks than those of its training: projected gradient on the waveform, more steps, at two bounds, on
the voice's own clips and on clips of other people. *Nearest* is the share of clips whose embedding by
the attacked encoder is nearer to the voice's mean embedding by the untouched encoder than to any other
voice's of the bank, with Wilson's 95 % interval. *Kept* is the cosine between the two encoders'
embeddings of unseen clips of the other voices. ``untouched`` among --settings is the stock encoder, the
attacks' ceiling. No sample is generated. OUT/methods.json holds all settings, OUT/tables.json the table of them. Seconds are the
process's CPU time: run it on one core (``OMP_NUM_THREADS=1``) and they are those of a core of its own.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.nn.functional import normalize
from trained_settings import folder_name, trained
from voice_methods import methods_table

from lightning_modules.comparison.result_tables import write_tables
from lightning_modules.support.one_line import one_line
from lightning_modules.support.specs import build, spec_of
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.attacks import ClipGradient
from modalities.text_to_speech.attacks.voices import encode, prototypes
from redact_core import Attack, PlanRow, Request
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

SETTINGS = ["Distillation", "RobustDistillation: {radius: 0.1}"]
UNTOUCHED = "untouched"


def kept(base: SpeechT5, student: SpeechT5, voice: str) -> dict[str, float]:
    """On unseen clips of the other voices: mean cosine, that of the three nearest voices, and the share with the same bits."""
    unseen = {name: clips for name, clips in VoiceBank(BUNDLED / "unseen").voices.items() if name != voice}
    names = list(unseen)
    own, *rest = prototypes(base, [voice, *names])
    near = [names[i] for i in (torch.stack(rest) @ own).topk(3).indices.tolist()]
    clips = [(name, clip) for name in names for clip in unseen[name]]
    before, after = (encode(m, [clip for _, clip in clips]).hidden[:, 0] for m in (base, student))
    alike = torch.cosine_similarity(before, after, dim=1)
    close = torch.tensor([name in near for name, _ in clips])
    same = (before == after).all(1).float().mean().item()
    return {
        "kept": alike.mean().item(), "kept, three nearest": alike[close].mean().item(), "kept, same bits": same,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voice", default="voice21")
    parser.add_argument("--reference", default="voice05")
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    parser.add_argument("--steps", type=int, default=150, help="Of training.")
    parser.add_argument("--attack-steps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=1, help="Of each attack.")
    parser.add_argument("--snr", type=float, nargs="+", default=[30.0, 20.0])
    parser.add_argument("--attacks", nargs="+", help='Instead: "Name: {argument: value}" of any others.')
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    base = SpeechT5("bundled")
    # clips that taught nothing first; all different, for the attack on own clips draws nothing
    clips = [*VoiceBank(BUNDLED / "unseen").voices[args.voice], *base.bank.clips(args.voice)][: args.n]
    rows = [PlanRow(str(c), "redacted", "voice", i, True, {"voice": args.voice}) for i, c in enumerate(clips)]
    names = list(base.bank.voices)
    gallery, column = prototypes(base, names), names.index(args.voice)
    together = args.out / "methods.json"
    every = json.loads(together.read_text(encoding="utf-8")) if together.is_file() else {}
    for entry in args.settings:
        name = folder_name(entry, str(args.steps))
        request = Request((args.voice,), (args.reference,))
        seconds, student = 0.0, base
        if entry != UNTOUCHED:
            seconds = trained(
                SpeechT5("bundled"), request, entry, args.out / name, steps=args.steps, batch_size=24
            )
            student = SpeechT5("bundled", encoder=str(args.out / name))
        found = kept(base, student, args.voice)
        print(f"{entry}: {seconds:.0f} s, " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()), flush=True)
        attacks: list[tuple[str, Attack | None]] = [("no attack", None)]
        attacks += [
            (f"{carrier} clips, {snr:g} dB", ClipGradient(snr, args.attack_steps, args.restarts, carrier))
            for carrier in ("own", "other")
            for snr in args.snr
        ]
        if args.attacks:
            others = [build(Attack, spec_of(text)) for text in args.attacks]
            attacks = [(f"{one.name}, {one.budget}", one) for one in others]
        figures = args.out / name / "attacked.json"
        figures.parent.mkdir(parents=True, exist_ok=True)
        table = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
        table |= {"seconds": seconds, **found}
        for label, attack in attacks:
            asked = [row.condition for row in rows]
            if attack is not None:
                asked = [a.condition for a in attack(student, base, rows, seed=args.seed)]
            alike = normalize(encode(student, asked).hidden[:, 0], dim=1) @ gallery.T
            hits = int((alike.argmax(1) == column).sum())
            rate = wilson(hits, len(rows))
            heard = alike[:, column].mean().item()
            table[label] = {
                **rate._asdict(), "heard": heard, "most": alike[:, column].max().item(),
                "access": attack.access if attack else "clips", "budget": attack.budget if attack else "-",
            }  # fmt: skip
            print(f"  {label:<20} nearest {rate}  heard {heard:.2f}", flush=True)
            figures.write_text(json.dumps(table, indent=1, allow_nan=False), encoding="utf-8")
        every[entry] = table
        write_whole(together, json.dumps(every, indent=1, allow_nan=False).encode())
        write_tables(args.out / "tables.json", {"methods": methods_table(every)})


if __name__ == "__main__":
    with one_line():
        main()
