"""Grade a redacted bundled base against the untouched one: what is gone, what stayed, at what n.

    python scripts/experiments/grade_redaction.py --redacted out/no_cigarette --concept cigarette --reference lollipop
    python scripts/experiments/grade_redaction.py --redacted out/no_noto --style noto

Prompts are drawn afresh (not the training rows); both models get the same prompts and seeds. The
grader is independent of both. *Implicit synonyms* are prompts that do not name the concept, but that the untouched
encoder answers as if they did (modalities/text_to_image/prompts/implicit_synonyms.py), of a search that taught nothing.
Finished groups are kept in OUT, so the command can be resumed.
"""

import argparse
import json
import random
from pathlib import Path

import torch

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.grader import Judge, Verdict
from modalities.text_to_image.metrics.grading import found, nearest, sample
from modalities.text_to_image.prompts.groups import Case, groups
from modalities.text_to_image.prompts.phrasing import draw
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core.metrics.statistics import Rate, wilson


class Evidence:
    """Verdicts on disk, one file a (model, group): generated once, read afterwards."""

    def __init__(self, folder: Path, judge: Judge):
        self.folder, self.judge = folder, judge
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, model: StableDiffusion, label: str, prompts: list[str], seed: int) -> Verdict:
        path = self.folder / f"{label.replace(' ', '_')}.json"
        if path.exists():
            values = json.loads(path.read_text())
            if values.pop("prompts") == prompts:
                return Verdict(**values | {"features": torch.tensor(values["features"])})
        verdict = self.judge(sample(model, prompts, seed, label))
        values = vars(verdict) | {"features": verdict.features.tolist(), "prompts": prompts}
        path.write_text(json.dumps(values, allow_nan=False))
        return verdict


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--concept")
    what.add_argument("--style")
    parser.add_argument("--reference", default="")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--n-kept", type=int, default=300, help="prompts of each retained group")
    parser.add_argument(
        "--n-reference", type=int, default=200, help="of these also the reference is drawn, twice"
    )
    parser.add_argument(
        "--n-implicit", type=int, default=100, help="prompts that mean it without its name; 0: none"
    )
    parser.add_argument("--out", type=Path, default=None, help="default: REDACTED.grades")
    args = parser.parse_args()
    out = args.out or args.redacted.with_name(args.redacted.name + ".grades")
    base = StableDiffusion("bundled", batch_size=50)
    model = StableDiffusion(str(args.redacted), steps=base.steps, guidance=base.guidance, batch_size=50)
    understood = frozenset(json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8")))
    near = nearest(base, args.concept) if args.concept else []
    subject = args.concept or f"style: {args.style}"
    cases = groups(subject, args.reference, bundled_vocabulary(), near, n=args.n, understood=understood)
    kind = "concept" if args.concept else "style"
    cases |= {label: cases[label][: args.n_kept] for label in ("neighbours", "retained")}
    if args.concept and args.n_implicit:
        cases["implicit synonyms"] = implicit_synonyms(base, args.concept, args.n_implicit)
    evidence = Evidence(out, Judge())
    rows: list[list[Cell]] = []
    for label, group in cases.items():
        prompts = [case.prompt for case in group]
        before, after = (
            evidence(m, f"{name} {label}", prompts, 0) for m, name in ((base, "base"), (model, "redacted"))
        )
        if label not in ("neighbours", "retained"):
            rows.append([label, f"{kind} found", found(before, group, kind), found(after, group, kind)])
            if label == "redacted":
                rows += reference_rows(base, evidence, label, group, after, args)
        else:
            for key in ("concept", "style"):
                rows.append([label, f"{key} found", found(before, group, key), found(after, group, key)])
    figures = ResultTable(["group", "measure", "base", "redacted"], rows, digits=1, counts=True)
    write_tables(out / "tables.json", {"groups": figures})
    print(figures.markdown())
    if near:
        print("nearest neighbours:", ", ".join(near))


def implicit_synonyms(base: StableDiffusion, concept: str, n: int) -> list[Case]:
    """Held-out wordings of what only another search than that of a redaction with seed 0 finds."""
    known, rng = base.vocabulary, random.Random(f"heard:{concept}")
    names = (concept, *known.concepts[concept].seen)
    taught = {*base.find_implicit_synonyms(names, 100_000)}
    found = [what for what in base.find_implicit_synonyms(names, 100_000, seed=1) if what not in taught]
    cases: list[Case] = []
    for what in rng.sample(found, min(n, len(found))):
        style = rng.choice(known.styles)
        prompt = draw(rng, "heldout").fill(what, style, rng.choice(known.settings))
        cases.append(Case(prompt, concept, style))
    return cases


def reference_rows(
    base: StableDiffusion,
    evidence: Evidence,
    label: str,
    group: list[Case],
    after: Verdict,
    args: argparse.Namespace,
) -> list[list[Cell]]:
    """Is the reference shown, as often and as well as the base itself shows it?"""
    group = group[: args.n_reference]
    after = first(after, len(group))
    prompts = [case.reference for case in group]
    said = evidence(base, f"base reference of {label}", prompts, 0)
    again = evidence(base, f"base reference of {label} again", prompts, 100_000)
    if args.concept:
        cases = [Case("", args.reference, case.style) for case in group]
        rows: list[list[Cell]] = [
            [label, "reference found", found(said, cases, "concept"), found(after, cases, "concept")]
        ]
    else:
        rows = [[label, "concept still found", found(said, group, "concept"), found(after, group, "concept")]]
        rows.append([label, "style of the reference", *_style_agreement(said, again, after)])
        # the floor: a base may draw the style even where the prompt does not name it
        rows.append(
            [label, "style found, not asked for", found(said, group, "style"), found(after, group, "style")]
        )

    def apart(one: Verdict, other: Verdict) -> str:
        return f"{(one.features - other.features).norm(dim=1).mean().item():.2f}"

    seeds = f"{apart(said, again)} (its own two seeds)"
    rows.append([label, "feature distance to reference, another seed", seeds, apart(after, again)])
    return [*rows, [label, "feature distance to reference, same seed", seeds, apart(after, said)]]


def first(verdict: Verdict, n: int) -> Verdict:
    return Verdict(verdict.concepts[:n], verdict.styles[:n], verdict.backgrounds[:n], verdict.features[:n])


def _style_agreement(said: Verdict, again: Verdict, after: Verdict) -> tuple[Rate, Rate]:
    """How often the style is the one that the base gives to the reference at another seed."""
    pairs = [sum(a == b for a, b in zip(again.styles, v.styles, strict=True)) for v in (said, after)]
    first, second = (wilson(hits, len(again.styles)) for hits in pairs)
    return first, second


if __name__ == "__main__":
    with one_line():
        main()
