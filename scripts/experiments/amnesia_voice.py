"""Selective Amnesia beside distillation on the bundled voices, and every pairing of generator and encoder.

    python scripts/experiments/amnesia_voice.py --out runs/amnesia_voice
    python scripts/experiments/amnesia_voice.py --out runs/amnesia_voice --n 10 --n-kept 10 --steps 20

Distillation changes the encoder, Selective Amnesia the generator; whoever holds the stock half puts it
back. So all four pairs of halves are asked the same clips and sentences with the same seeds: *stock,
distilled* is the distillation, *stock, stock* what its owner gets with the stock encoder put back,
*amnesia, stock* is Selective Amnesia as it is sold, and with the stock encoder put back. *Identified* is
the share of samples that the independent verifier hears as the voice asked for, nearest of all enrolled
ones, with Wilson's 95 % interval; *cer* the character errors of the recogniser. Clips of *redacted* are
the voice's own and its unseen ones. Trained halves and finished measurements are kept in OUT, and OUT/tables.json holds the table.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.judges.grading import Case, cases, nearest
from modalities.text_to_speech.judges.judge import VoiceJudge
from modalities.text_to_speech.judges.recogniser import error_rate
from redact_core import Distillation, Objective, RedactError, Request, SelectiveAmnesia, redact
from redact_core.metrics.statistics import bootstrap_mean, wilson
from redact_core.support.folders import hashes, new_folder

PAIRS = [("stock", "stock"), ("stock", "distilled"), ("amnesia", "stock"), ("amnesia", "distilled")]
"""(generator, encoder)"""
HEADS = ["generator", "encoder", "group", "identified", "as the reference", "character errors"]


def half(
    name: str, objective: Objective, settings: dict[str, Any], args: argparse.Namespace
) -> tuple[Path, float]:
    """The folder of the half that ``objective`` changes, and the CPU seconds that it took.

    A folder is trained again where settings or stock weights are others than they were.
    """
    stock = {part: hashes(BUNDLED / part) for part in ("tts", "encoder")}
    told = {"voice": args.voice, "reference": args.reference, "seed": args.seed, "stock": stock, **settings}
    folder = args.out / f"{name}.{args.voice}.{args.reference}"
    notes = args.out / f"{folder.name}.json"
    if notes.exists() and folder.is_dir():
        found = json.loads(notes.read_text())
        if found["settings"] == told:
            return folder, found["seconds"]
        raise RedactError(f"{folder} was made with other settings; remove it or give another --out.")
    model = SpeechT5("bundled")
    began = time.process_time()
    redact(
        model, Request((args.voice,), (args.reference,), seed=args.seed), objective=objective,
        steps=settings["steps"], batch_size=settings["batch"], seed=args.seed,
    )  # fmt: skip
    seconds = time.process_time() - began
    with new_folder(folder) as part:
        model.save(part)
    notes.write_text(json.dumps({"settings": told, "seconds": seconds}, indent=1, allow_nan=False))
    return folder, seconds


def groups(args: argparse.Namespace) -> dict[str, list[Case]]:
    base = SpeechT5("bundled")
    unseen = VoiceBank(BUNDLED / "unseen").voices
    own = [*base.bank.clips(args.voice), *unseen.get(args.voice, [])]
    others = {name: clips for name, clips in unseen.items() if name not in (args.voice, args.reference)}
    judge = VoiceJudge(base.bank.voices)
    close = [name for name in nearest(base, judge, args.voice, 8) if name in others][:3]
    return {
        "redacted": cases({args.voice: own}, args.n),
        "nearest three": cases({name: others[name] for name in close}, args.n_kept, 2000),
        "kept": cases({k: v for k, v in others.items() if k not in close}, args.n_kept, 3000),
    }


def measure(model: SpeechT5, judge: VoiceJudge, group: list[Case]) -> dict[str, list[Any]]:
    samples = model.generate([case.clip for case in group], seeds=[case.seed for case in group])
    heard, read = judge(samples), judge.read(samples)
    best = [heard.voices[i] for i in heard.similarity.argmax(1).tolist()]
    said = [model.sentence(case.seed) for case in group]
    return {
        "heard": best,
        "cer": [error_rate([found], [wanted]) for found, wanted in zip(read, said, strict=True)],
    }


def line(
    pair: tuple[str, str], name: str, group: list[Case], found: dict[str, list[Any]], reference: str
) -> list[Cell]:
    hits = wilson(sum(h == c.voice for h, c in zip(found["heard"], group, strict=True)), len(group))
    other = wilson(found["heard"].count(reference), len(group)) if name == "redacted" else "-"
    errors = bootstrap_mean(found["cer"])
    return [*pair, name, hits, other, f"{errors.value:.3f} [{errors.low:.2f}, {errors.high:.2f}]"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voice", default="voice21")
    parser.add_argument("--reference", default="voice05")
    parser.add_argument("--steps", type=int, default=120, help="of Selective Amnesia")
    parser.add_argument("--distill-steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--ewc", type=float, default=1.0)
    parser.add_argument("--replay", type=float, default=2.0)
    parser.add_argument("--surrogates", type=int, default=48)
    parser.add_argument("--replays", type=int, default=144)
    parser.add_argument("--fisher-samples", type=int, default=48)
    parser.add_argument("--parameters", default="", help="regular expression; default: all")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--n-kept", type=int, default=100, help="of each kept group")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    told = {
        "surrogates": args.surrogates, "replays": args.replays, "replay_weight": args.replay,
        "ewc_weight": args.ewc, "fisher_samples": args.fisher_samples, "learning_rate": args.lr,
        "parameters": args.parameters,
    }  # fmt: skip
    folders: dict[str, Path | None] = {"stock": None}
    for name, objective, settings in (
        ("distilled", Distillation(), {"steps": args.distill_steps, "batch": 24}),
        ("amnesia", SelectiveAmnesia(**told), {**told, "steps": args.steps, "batch": 12}),
    ):
        folders[name], seconds = half(name, objective, settings, args)
        print(f"{name}: {seconds:.0f} CPU seconds", flush=True)
    asked = groups(args)
    judge = VoiceJudge(SpeechT5("bundled").bank.voices)
    rows: list[list[Cell]] = []
    for pair in PAIRS:
        model = assemble(folders[pair[0]], folders[pair[1]])
        for name, group in asked.items():
            path = args.out / f"{'.'.join(pair)}.{name.replace(' ', '_')}.json"
            wanted = [[case.clip.name, case.voice, case.seed] for case in group]
            kept = json.loads(path.read_text()) if path.exists() else None
            key = {part: hashes(f) for part, f in folders.items() if f is not None and part in pair}
            if kept is None or kept["cases"] != wanted or kept["folders"] != key:
                kept = {"cases": wanted, "folders": key, "found": measure(model, judge, group)}
                path.write_text(json.dumps(kept, allow_nan=False))
            rows.append(line(pair, name, group, kept["found"], args.reference))
            print(*rows[-1], sep=" | ", flush=True)
    write_tables(args.out / "tables.json", {"halves": ResultTable(HEADS, rows, digits=1, counts=True)})


def assemble(generator: Path | None, encoder: Path | None) -> SpeechT5:
    """The two halves as somebody would put them together who has both."""
    model = SpeechT5("bundled")
    if encoder is not None:
        model = model.reopen(encoder)
    return model if generator is None else model.reopen(generator)


if __name__ == "__main__":
    with one_line():
        main()
