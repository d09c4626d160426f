"""One table of guards on a base: what leaks, what stays, what it costs. Resumable.

    python scripts/experiments/compare_guards.py configs/evaluate/compare_guards.yaml

``redact evaluate`` draws and judges what the config's ``evaluate`` names, ``redact attack`` what its
``attack`` names, and both keep every sample. A filter looks at finished samples only, so it is given
those, as they are in the evidence folders: under attack, what was found against the model inside it. Times
are processor seconds of this process, so that other work on the machine counts little. Written are
``OUT.table.json``, ``OUT.tables.json`` and ``OUT.grid.png``.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_modules.cli.attack import attack_parser
from lightning_modules.cli.evaluate import evaluate_parser, models_and_plan
from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.picture_files import read_picture
from modalities.text_to_image.metrics.grader import Judge
from redact_core import Adapter, Guard, PlanRow, Request
from redact_core.adapters.capabilities import PlansEvaluations, require
from redact_core.evaluation.evidence import BASE, Evidence
from redact_core.guards.dual_latents import removal_balance
from redact_core.metrics.statistics import Rate, wilson
from redact_core.reporting.attack_table import PREFIX
from redact_core.support.folders import new_folder, write_whole

GONE = {"redacted": "leak", "reworded": "leak, reworded", "synonyms": "leak, synonyms"}
KEPT = {"neighbours": "neighbours", "retained": "retained"}
COLUMNS = GONE | KEPT
ATTACKED = "attacked"


class Drawn(Guard):
    """Gives out the samples that ``inner`` drew before, by their rows' seeds."""

    def __init__(self, inner: Adapter, evidence: Evidence, model: str, rows: Sequence[int]):
        super().__init__(inner)
        files = evidence.samples(model)
        self.drawn = {evidence.plan[i].seed: evidence.folder / files[i][0] for i in rows}
        assert len(self.drawn) == len(rows), "seeds tell the rows apart"

    def generate(self, conditions: Any, *, seeds: Sequence[int]) -> list[Tensor]:
        return [read_picture(self.drawn[seed]) for seed in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--evaluate", help="another evaluation than the config's")
    parser.add_argument("--n-time", type=int, default=6, help="pictures to time, twice")
    args = parser.parse_args()
    config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    inner = args.evaluate or config["evaluate"]
    run("evaluate", inner)
    given = evaluate_parser().parse_args(["-c", inner])
    ready, out = evaluate_parser().instantiate(given), given["out"]
    models, _ = models_and_plan(given, ready["base"], None, ready["guards"] or {})
    evidence = Evidence(out)
    if not Path(config["validation"]["folder"]).exists():
        validate(models[BASE], config["validation"])
    every = range(len(evidence.plan))
    seen = {model: rates(evidence, every, concepts(evidence, model, every)) for model in evidence.models}
    attacked, hit = None, []
    if "attack" in config:
        run("attack", config["attack"])
        attacked = Evidence(attack_parser().parse_args(["-c", config["attack"]])["out"])
        hit = [i for i, row in enumerate(attacked.plan) if row.group.startswith(PREFIX)]
        for model in attacked.models:
            seen[model] |= rates(attacked, hit, concepts(attacked, model, hit))
    spent = times(models, evidence.plan, args.n_time, out.with_name(out.name + ".times.json"))
    notes: dict[str, Any] = {}
    for name, spec in config["filters"].items():
        over = spec.pop("over")
        guard = built(spec, Drawn(models[BASE], evidence, BASE, every))
        notes[name] = {"threshold": guard.threshold}
        for model in over:
            label = name if model == BASE else f"{model}+{name}"
            began = time.process_time()
            samples = filtered(guard, models[model], evidence, model, every)
            filtering = (time.process_time() - began) / len(every) * args.n_time
            seen[label] = rates(evidence, every, Judge()(samples).concepts)
            spent[label] = spent[model] + filtering
            if attacked and model in attacked.models:
                samples = filtered(guard, models[model], attacked, model, hit)
                seen[label] |= rates(attacked, hit, Judge()(samples).concepts)
    rows = table(seen, spent)
    shown = as_table(rows)
    result = {"rows": rows, "filters": notes, "evaluate": evidence.manifest["models"]}
    write_whole(
        out.with_name(out.name + ".table.json"), json.dumps(result, indent=1, allow_nan=False).encode()
    )
    write_tables(out.with_name(out.name + ".tables.json"), {"models": shown})
    grid(evidence, config["grid"], out.with_name(out.name + ".grid.png"))
    print(shown.markdown())


def run(verb: str, config: str) -> None:
    """``redact VERB -c CONFIG``, which goes on where it was stopped."""
    subprocess.run([sys.executable, "-m", "lightning_modules", verb, "-c", config], check=True)


def concepts(evidence: Evidence, model: str, rows: Sequence[int]) -> list[str]:
    """What the grader sees in the samples of ``model``."""
    files = evidence.samples(model)
    return Judge()([read_picture(evidence.folder / files[i][0]) for i in rows]).concepts


def filtered(
    guard: Guard, model: Adapter, evidence: Evidence, name: str, rows: Sequence[int]
) -> list[Tensor]:
    """What ``guard`` gives out of the samples that ``model`` drew."""
    plan = [evidence.plan[i] for i in rows]
    drawn = guard.around(Drawn(model, evidence, name, rows))
    return drawn.generate([row.condition for row in plan], seeds=[row.seed for row in plan])


def rates(evidence: Evidence, rows: Sequence[int], seen: Sequence[str]) -> dict[str, Rate]:
    """Column -> how often the concept of the row was seen; columns without a row are left out."""
    found: dict[str, list[bool]] = {}
    for i, concept in zip(rows, seen, strict=True):
        row = evidence.plan[i]
        column = ATTACKED if row.group.startswith(PREFIX) else COLUMNS.get(row.group)
        if column:
            found.setdefault(column, []).append(concept == row.labels["concept"])
    return {column: wilson(sum(values), len(values)) for column, values in found.items()}


def validate(model: Adapter, settings: Mapping[str, Any]) -> None:
    """Pictures of the base that shall pass: retained prompts and seeds of another plan."""
    request = Request((settings["redact"],), (settings["reference"],), seed=settings["seed"])
    planner = require(model, PlansEvaluations, "The validation")
    rows = [row for row in planner.plan(request, settings["n"] // 2) if not row.redacted]
    samples = model.generate([row.condition for row in rows], seeds=[1_000_000 + row.seed for row in rows])
    with new_folder(Path(settings["folder"])) as part:
        for i, sample in enumerate(samples):
            model.write_sample(sample, part / f"{i:03d}")


def built(spec: Mapping[str, Any], inner: Adapter) -> Any:
    """A guard from class_path and init_args."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--guard", type=Callable[[Adapter], Guard])
    return parser.instantiate(parser.parse_object({"guard": dict(spec)}))["guard"](inner)


def times(models: Mapping[str, Adapter], plan: Sequence[PlanRow], n: int, path: Path) -> dict[str, float]:
    """Processor seconds for ``n`` pictures, by model; what was timed before is kept."""
    known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    rows = [plan[i * len(plan) // n] for i in range(n)]
    for name, model in models.items():
        if name not in known:
            model.generate([rows[0].condition], seeds=[0])  # loads what is loaded late
            found = []
            for _ in range(2):
                began = time.process_time()
                model.generate([row.condition for row in rows], seeds=[row.seed for row in rows])
                found.append(time.process_time() - began)
            known[name] = min(found)
            write_whole(path, json.dumps(known, indent=1, allow_nan=False).encode())
    return known


def table(seen: Mapping[str, Mapping[str, Rate]], spent: Mapping[str, float]) -> list[dict[str, Any]]:
    """One plain object for each model, in the order in which they were looked at."""
    rows = []
    for model, found in seen.items():
        leak, kept = (
            sum(found[name].value for name in part.values())
            / max(1e-9, sum(seen[BASE][name].value for name in part.values()))
            for part in (GONE, KEPT)
        )
        rows.append(
            {
                "model": model,
                **{name: rate._asdict() for name, rate in found.items()},
                "balance": removal_balance(1 - leak, kept),
                "time ratio": spent[model] / spent[BASE],
            }
        )
    return rows


def as_table(rows: list[dict[str, Any]]) -> ResultTable:
    """A line for each model, with a dash where nothing was measured."""
    columns = [*GONE.values(), *([ATTACKED] if ATTACKED in rows[0] else []), *KEPT.values()]
    lines: list[list[Cell]] = []
    for row in rows:
        cells = [Rate(**r) if r else wilson(0, 0) for r in map(row.get, columns)]
        lines.append([row["model"], *cells, f"{row['balance']:.2f}", f"{row['time ratio']:.2f}"])
    return ResultTable(["model", *columns, "balance", "time"], lines)


def grid(evidence: Evidence, groups: Sequence[str], path: Path) -> None:
    """The first two rows of each group, one line for each model, at the size in which they were drawn."""
    columns = [i for g in groups for i in [i for i, row in enumerate(evidence.plan) if row.group == g][:2]]
    side = read_picture(evidence.folder / evidence.samples(BASE)[0][0]).shape[-1]
    left, gap, top = 110, 6, 20
    sheet = Image.new(
        "RGB", (left + len(columns) * (side + gap), top + len(evidence.models) * (side + gap)), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for j, i in enumerate(columns):
        if j % 2 == 0:
            draw.text((left + j * (side + gap), 2), evidence.plan[i].group, "black", font)
    for k, model in enumerate(evidence.models):
        draw.text((4, top + k * (side + gap) + side // 2 - 8), model, "black", font)
        for j, i in enumerate(columns):
            with Image.open(evidence.folder / evidence.samples(model)[i][0]) as tile:
                sheet.paste(tile, (left + j * (side + gap), top + k * (side + gap)))
    sheet.save(path)


if __name__ == "__main__":
    with one_line(), torch.no_grad():
        main()
