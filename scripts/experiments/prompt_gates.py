"""Gating units behind a prompt encoder: leak under attacks that know of them, damage, exactness, seconds. Resumable.

    python scripts/experiments/prompt_gates.py --out out/prompt_gates --concept guitar --reference violin
    python scripts/experiments/prompt_gates.py --out out/prompt_gates --concept fish --method robust

The concept is redacted on the bundled base with ``UnitGating`` (or another ``--setting``), and saved. Then the bundled
grader counts pictures: of the concept where it is asked for by taught names, in wordings and by other names that were
never listed, and under searches with gradients that go around the units; and of other concepts that are kept.
*Kept bits* are prompts of the retained rows whose conditioning is the untouched base's, bit for bit. *Unlisted* are prompts
of concepts of which no row holds any name: for them half of the vocabulary, drawn by the seed, is left out, and the concept is
redacted once more. With ``--checks`` searches follow that do without the units' gradient, or have another one
(:mod:`gate_checks`). With ``--ceilings`` the untouched base is attacked in the same way. Finished figures are kept in OUT, and
``--page`` writes all of docs/results/prompt_gates into the tables of docs/results/prompt_gates.md. Seconds are CPU time of the
process. ``--drawn SEED`` names the first ten concepts that the seed draws, and ends. ``--method`` takes one of :data:`METHODS`
in place of the setting, so that others are measured in the same way; its files are named after it.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from chance_concepts import drawn_by_chance
from gate_checks import checks
from gate_targets import cell, several
from never_retained import NEAREST, prompts, without
from robust_picture import drawn

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from marks import tables_of as tables_of
from marks import with_tables

from lightning_modules.support.one_line import one_line
from lightning_modules.support.specs import build, spec_of
from modalities.text_to_image import RobustPrompts, StableDiffusion
from modalities.text_to_image.adapters.gate_block import around_blocks, gate_blocks
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_image.metrics.grading import sample
from redact_core import Attack, ClosedForm, Distillation, Lesson, Objective, PlanRow, Request, redact
from redact_core.attacks.success import leaks
from redact_core.gates import UnitGating
from redact_core.metrics.statistics import wilson

ATTACKS = [
    "GreedyCoordinate: {tokens: 4, steps: 8, candidates: 32, checks: 4, replace_name: true}",
    "PEZ: {tokens: 8, steps: 60, checks: 4, replace_name: true}",
    "GreedyCoordinate: {tokens: 4, steps: 8, candidates: 32, checks: 4}",
    "PEZ: {tokens: 8, steps: 60, checks: 4}",
    "SoftPrompt: {tokens: 4, steps: 60}",
    "SquareWords: {tokens: 4, steps: 300, checks: 4, replace_name: true}",
    "ConceptInversion: {tokens: 1, steps: 60, pictures: 16, batch: 8}",
]
MORE = [
    "P4D: {tokens: 8, steps: 60, checks: 4, time: 0.7, replace_name: true}",
    "P4D: {tokens: 8, steps: 60, checks: 4, time: 0.7}",
    "UnlearnDiffAtk: {tokens: 5, steps: 40, checks: 4, replace_name: true}",
    "UnlearnDiffAtk: {tokens: 5, steps: 40, checks: 4}",
    "RingABellAdaptive: {population: 40, generations: 30}",
]
"""With the denoiser's gradient, and by a genetic search."""
ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "results" / "prompt_gates", ROOT / "docs" / "results" / "prompt_gates.md"
UNTOUCHED = "untouched base: "
PLAIN = (
    "seconds", "kept prompts", "redacted", "reworded", "synonyms", "retained", "neighbours", "unlisted",
)  # fmt: skip
SETTING = "setting"
MEASURES = ("redacted", "reworded", "synonyms", "retained", "neighbours")


@dataclass(frozen=True)
class Method:
    """What :func:`redacted` runs, and for how long."""

    make: Callable[[], Objective]
    steps: int | None = None
    batch_size: int = 64


METHODS = {
    "units": Method(UnitGating),
    "units without crossing": Method(lambda: UnitGating(crossed=0)),
    "robust": Method(RobustPrompts, 400, 32),
    "default": Method(lambda: Distillation(start=ClosedForm())),
}
"""``robust`` has the steps and rows of configs/text_to_image/robust.yaml."""


class Kept:
    """Finished figures, written after each one."""

    def __init__(self, path: Path):
        self.path = path
        self.found: dict = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def once(self, name: str, count: Callable[[], tuple[float, int]]) -> None:
        """``name``: a number, and of how many; 0 where it is no count."""
        if name not in self.found:
            self.found[name] = list(count())
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.found, indent=1, allow_nan=False), encoding="utf-8")
        number, n = self.found[name]
        print(f"  {name:<60} {wilson(int(number), int(n)) if n else round(number, 1)}", flush=True)


def redacted(
    base: StableDiffusion, what: Request | list[Lesson], method: Method, folder: Path, seed: int
) -> float:
    """CPU seconds of a redaction that is saved to ``folder``."""
    model = base.reopen(base.folder)
    began = time.process_time()
    redact(
        model, what, objective=method.make(), steps=method.steps, batch_size=method.batch_size, seed=seed,
        progress=False,
    )  # fmt: skip
    seconds = time.process_time() - began
    model.save_pretrained(folder)
    return seconds


@torch.no_grad()
def kept_bits(base: StableDiffusion, model: StableDiffusion, conditions: Sequence[str]) -> int:
    """How many prompts have the conditioning that they had."""
    same = 0
    for i in range(0, len(conditions), 64):
        inputs = base.collated(conditions[i : i + 64])
        before, after = (m.encoder(inputs).hidden.flatten(1) for m in (base, model))
        same += int((before == after).all(1).sum())
    return same


@torch.no_grad()
def opening(model: StableDiffusion, rows: Sequence[PlanRow]) -> int:
    """How many prompts open a unit at some position behind the first."""
    (text,) = model.encoder_modules().values()
    count = 0
    for i in range(0, len(rows), 64):
        with around_blocks(text) as excesses:
            model.encoder(model.collated([row.condition for row in rows[i : i + 64]]))
        count += int(torch.stack([excess[:, 1:].amax(1) > 0 for excess in excesses]).any(0).sum())
    return count


def attackers() -> dict[str, str]:
    """What an attacker has, and whether the attack is made against the redacted model, by the attack's name and budget."""
    found = {}
    for text in (*ATTACKS, *MORE):
        attack = build(Attack, spec_of(text))
        found[f"{attack.name}, {attack.budget}"] = (
            f"{attack.access}, {'adaptive' if attack.adaptive else 'static'}"
        )
    return found


def tables(columns: Mapping[str, dict]) -> dict[str, str]:
    """The page's tables in Markdown, by their names: ``plain``, ``attacks`` and ``checks``."""
    known = attackers()

    def kind(name: str) -> str:
        if name.startswith(PLAIN):
            return "plain"
        return "attacks" if name.removeprefix(UNTOUCHED) in known else "checks"

    names = list(dict.fromkeys(name for column in columns.values() for name in column if name != SETTING))
    found = {}
    for table in ("plain", "attacks", "checks"):
        rows = sorted((n for n in names if kind(n) == table), key=lambda n: n.removeprefix(UNTOUCHED))
        rows = rows if table == "attacks" else [n for n in names if kind(n) == table]
        shown = [label for label, column in columns.items() if any(name in column for name in rows)]
        extra = ["attacker"] if table == "attacks" else []
        lines = ["| " + " | ".join(["measure", *extra, *shown]) + " |"]
        lines.append("|" + "---|" * (1 + len(extra) + len(shown)))
        for name in rows:
            cells = [cell(*columns[label].get(name, (None, 0))) for label in shown]
            more = [known[name.removeprefix(UNTOUCHED)]] if extra else []
            lines.append("| " + " | ".join([name, *more, *cells]) + " |")
        found[table] = "\n".join(lines) + "\n"
    return found


def beside(columns: Mapping[str, dict]) -> dict[str, str]:
    """``beside CONCEPT`` -> a table with a column for each method, and the untouched base before them.

    Args:
        columns: The figures by ``CONCEPT_SEED_METHOD``.
    """
    concepts: dict[str, dict[str, dict]] = {}
    for name, figures in columns.items():
        concept, _, method = name.split("_", 2)
        concepts.setdefault(concept, {})[method] = figures
    found = {}
    for concept, methods in sorted(concepts.items()):
        untouched: dict[str, list] = {}
        for figures in methods.values():
            for name, figure in figures.items():
                bare = name.removeprefix(UNTOUCHED).removesuffix(f", {UNTOUCHED[:-2]}")
                if bare != name:
                    untouched[bare] = figure
        order = sorted(methods, key=lambda name: (list(METHODS).index(name) if name in METHODS else 99, name))
        shown = {"untouched": untouched} | {name: methods[name] for name in order}
        known = dict.fromkeys(name for figures in shown.values() for name in figures if name != SETTING)
        plain = ["seconds of training", "kept prompts with the same bits"]
        plain += [name for label in MEASURES for name in (label, f"{label} that open a unit")]
        rows = [name for name in plain if name in known]
        rows += sorted(
            name for name in known if not name.startswith((*plain, UNTOUCHED)) and "untouched" not in name
        )
        lines = ["| measure | " + " | ".join(shown) + " |", "|" + "---|" * (1 + len(shown))]
        for name in rows:
            cells = (cell(*figures.get(name, (None, 0))) for figures in shown.values())
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        found[f"beside {concept}"] = "\n".join(lines) + "\n"
    return found


def all_tables(folder: Path) -> dict[str, str]:
    """Every table of the page, from the files in ``folder``, ``folder/beside`` and ``folder/tried``, and the comparison of methods."""

    def figures(where: Path) -> dict[str, dict]:
        return {x.stem: json.loads(x.read_text(encoding="utf-8")) for x in sorted(where.glob("*.json"))}

    return tables(figures(folder)) | beside(figures(folder / "beside")) | several(folder)


def page() -> None:
    """The tables of the page, from the files in docs/results/prompt_gates."""
    found = all_tables(RESULTS)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(text, found.__getitem__), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--concept", default="guitar")
    parser.add_argument("--reference", default=None)
    parser.add_argument("--setting", default="UnitGating")
    parser.add_argument("--method", choices=METHODS, help="In place of --setting.")
    parser.add_argument("--attacks", nargs="*", default=ATTACKS)
    parser.add_argument("--n", type=int, default=20, help="Prompts that every attack gets.")
    parser.add_argument(
        "--n-plain", type=int, default=60, help="Prompts of a group that are asked without an attack."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unlisted", action="store_true", help="Measure concepts that no row holds, too.")
    parser.add_argument("--checks", action="store_true", help="Count whether gradients are masked, too.")
    parser.add_argument(
        "--curve", type=int, nargs="*", default=[15, 30, 120], help="Steps of ConceptInversion in --checks."
    )
    parser.add_argument(
        "--others",
        nargs="*",
        type=Path,
        default=[],
        help="Folders of students, to transfer from with --checks.",
    )
    parser.add_argument("--more", action="store_true", help="The attacks of MORE, too.")
    parser.add_argument("--ceilings", action="store_true", help="Attack the untouched base, too.")
    parser.add_argument("--drawn", type=int, help="Name the concepts that this seed draws.")
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    args = parser.parse_args()
    if args.page:
        page()
        return
    if args.drawn is not None:
        print(*drawn_by_chance(10, args.drawn), sep="\n")
        return
    base, success = StableDiffusion("bundled", batch_size=20), GraderScorer()
    references = (args.reference,) if args.reference else ()
    request = Request((args.concept,), references)
    name = f"{args.concept}_{args.seed}" + (f"_{args.method}" if args.method else "")
    kept, folder = Kept(args.out / f"{name}.json"), args.out / name
    kept.found.setdefault(SETTING, args.method or args.setting)
    method = METHODS[args.method] if args.method else Method(lambda: build(Objective, spec_of(args.setting)))
    kept.once("seconds of training", lambda: (redacted(base, request, method, folder, args.seed), 0))
    model = base.reopen(folder)
    stay = list(dict.fromkeys(str(x.asked) for x in base.expand(request) if not x.redacted))
    kept.once("kept prompts with the same bits", lambda: (kept_bits(base, model, stay), len(stay)))
    groups: dict[str, list[PlanRow]] = {}
    for row in base.plan(request, args.n_plain):
        groups.setdefault(row.group, []).append(row)

    def pictures(rows: list[PlanRow], of: StableDiffusion, attack: Attack | None = None) -> tuple[int, int]:
        return sum(leaks(success, of, drawn(of, rows, success, attack), rows)), len(rows)

    for label in MEASURES:
        if label in groups:
            kept.once(label, lambda rows=groups[label]: pictures(rows, model))
    for label in ("retained", "neighbours") if gate_blocks(*model.encoder_modules().values()) else ():
        kept.once(f"{label} that open a unit", lambda rows=groups[label]: (opening(model, rows), len(rows)))
    for label in MEASURES if args.ceilings else ("retained", "neighbours"):
        if label in groups:
            kept.once(f"{label}, untouched base", lambda rows=groups[label]: pictures(rows, base))
    rows = groups["redacted"][: args.n]
    for text in [*args.attacks, *(MORE if args.more else ())]:
        attack = build(Attack, spec_of(text))
        name = f"{attack.name}, {attack.budget}"
        kept.once(name, lambda a=attack: pictures(rows, model, a))
        if args.ceilings:
            again = build(Attack, spec_of(text))
            kept.once(UNTOUCHED + name, lambda a=again: pictures(rows, base, a))
    if args.checks:
        others = [(path.name, base.reopen(path)) for path in args.others]
        for name, count in checks(model, base, others, groups["redacted"][: args.n], success, args.curve):
            kept.once(name, count)
    if args.unlisted:
        unlisted(base, args, method, request, kept)


def unlisted(
    base: StableDiffusion, args: argparse.Namespace, method: Method, request: Request, kept: Kept
) -> None:
    """Concepts of half of the vocabulary that no row names."""
    rng, judge, known = random.Random(args.seed), Judge(), base.vocabulary.concepts
    rest = [name for name in known if name not in (args.concept, args.reference)]
    never = set(rng.sample(rest, len(rest) // 2))
    near = [name for name in base.nearest(args.concept, len(rest)) if name in never][:NEAREST]
    asked = prompts(base, near, args.n_plain, rng)
    rows = without(base.expand(request), [known[name] for name in never])
    folder = args.out / f"{args.concept}_{args.seed}_half"

    def found(model: StableDiffusion) -> tuple[int, int]:
        verdict = judge(sample(model, [x.prompt for x in asked], 0, "unlisted"))
        return sum(a == x.concept for a, x in zip(verdict.concepts, asked, strict=True)), len(asked)

    kept.once("seconds, half unlisted", lambda: (redacted(base, rows, method, folder, args.seed), 0))
    kept.once("unlisted neighbours", lambda: found(base.reopen(folder)))
    kept.once("unlisted neighbours, untouched base", lambda: found(base))


if __name__ == "__main__":
    with one_line():
        main()
