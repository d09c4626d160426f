"""Stage 6: does the base show what it is asked for? Trained pairs, held-out pairs, real ceilings.

    python scripts/recipes/text_to_image/grade.py --pipeline bundled --per-cell 2 --out runs/base

Every prompt has a fresh random wording; the held-out phrasings that the base understands (found in
at least 60 %) are written to understood.json, for grading redactions.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from pictures import BACKGROUNDS, STYLES, concepts, held_out, rows, shrink

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.metrics.grading import sample
from modalities.text_to_image.prompts.phrasing import draw
from redact_core.metrics.statistics import wilson


def show(name: str, hits: dict[str, list[bool]]) -> dict:
    rates = {key: wilson(sum(values), len(values)) for key, values in hits.items()}
    print(f"{name:22}", "   ".join(f"{key} {rate}" for key, rate in rates.items()))
    return {key: rate._asdict() for key, rate in rates.items()}


def judged(judge: Judge, samples: list, wanted: list[tuple[str, str, str]]) -> dict[str, list[bool]]:
    seen = judge(samples)
    heads = {"concept": seen.concepts, "style": seen.styles, "background": seen.backgrounds}
    return {
        key: [row[i] == got for row, got in zip(wanted, found, strict=True)]
        for i, (key, found) in enumerate(heads.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", default="bundled")
    parser.add_argument("--grader", type=Path, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-cell", type=int, default=1, help="pictures of each trained (concept, style)")
    parser.add_argument("--per-phrase", type=int, default=5, help="pictures of each held-out phrasing")
    parser.add_argument("--steps", type=int, default=None)
    args = parser.parse_args()
    model = StableDiffusion(args.pipeline, steps=args.steps, guidance=3.0, batch_size=64)
    judge, rng, report = Judge(args.grader), random.Random(5), {}
    began = time.perf_counter()

    real = rows()
    names, styles, grounds = list(concepts()), list(STYLES), list(BACKGROUNDS)
    pick = [real[i] for i in np.random.default_rng(0).permutation(len(real))[:2000]]
    images = list(
        shrink(torch.stack([torch.from_numpy(r["image"]).permute(2, 0, 1).float() / 255 for r in pick]))
    )
    wanted = [(names[r["concept"]], styles[r["style"]], grounds[r["background"]]) for r in pick]
    report["real pictures"] = show("real pictures", judged(judge, images, wanted))

    for held, label in ((False, "trained pairs"), (True, "held-out pairs")):
        cells = [(n, s) for n in names for s in styles if held_out(n, s) == held] * (
            8 if held else args.per_cell
        )
        wanted = [(n, s, rng.choice(grounds)) for n, s in cells]
        prompts = []
        for name, style, ground in wanted:
            entry = concepts()[name]
            what = rng.choice([name, name, rng.choice(entry["seen"]), rng.choice(entry["heldout"])])
            prompts.append(draw(rng, "both").fill(what, style, ground))
        samples = sample(model, prompts, 1000, label)
        report[label] = show(label, judged(judge, samples, wanted))
        by_name: dict[str, list[bool]] = {}
        for (name, _, _), seen in zip(wanted, judge(samples).concepts, strict=True):
            by_name.setdefault(name, []).append(seen == name)
        report[label + ", by concept"] = {n: sum(v) / len(v) for n, v in sorted(by_name.items())}

    phrases = [(n, p) for n in names for p in concepts()[n]["heldout"]]
    cases = [(n, p, s) for n, p in phrases for s in rng.choices(styles, k=args.per_phrase)]
    prompts = [draw(rng, "seen").fill(p, s, rng.choice(grounds)) for _, p, s in cases]
    seen = judge(sample(model, prompts, 50_000, "held-out phrasings")).concepts
    hits: dict[str, list[bool]] = {}
    for (name, phrase, _), got in zip(cases, seen, strict=True):
        hits.setdefault(phrase, []).append(got == name)
    understood = [phrase for phrase, found in hits.items() if sum(found) >= 0.6 * len(found)]
    flat = [x for found in hits.values() for x in found]
    report["held-out phrasings"] = show("held-out phrasings", {"concept": flat})
    report["phrasings"] = {
        "asked": len(phrases),
        "understood": len(understood),
        "dropped": len(phrases) - len(understood),
    }
    report["settings"] = {
        "steps": model.steps,
        "guidance": model.guidance,
        "seconds": round(time.perf_counter() - began),
    }
    print(report["phrasings"], report["settings"])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "grades.json").write_text(json.dumps(report, indent=1, allow_nan=False))
    (args.out / "understood.json").write_text(
        json.dumps(sorted(understood), indent=0, ensure_ascii=False, allow_nan=False)
    )


if __name__ == "__main__":
    with one_line():
        main()
