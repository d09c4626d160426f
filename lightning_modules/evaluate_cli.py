"""``redact evaluate``, ``redact score`` and ``redact report``: evidence first, figures afterwards."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.data import as_tuple
from lightning_modules.names import classes
from lightning_modules.sampling import check_precision, draw
from lightning_modules.surroundings import quiet, versions
from redact_core import Adapter, Guard, RedactError, Request
from redact_core.errors import raise_together
from redact_core.evidence import BASE, Conduct, Evidence, begin
from redact_core.evidence_report import write_evidence_summary, write_report
from redact_core.fingerprint import fingerprint
from redact_core.jsonl import LineWriter
from redact_core.plan import PlanRow, read_plan
from redact_core.report import SummaryRow
from redact_core.report_plots import show, span
from redact_core.scorer import Scorer
from redact_core.scoring import metrics_of, score, scorer_records
from redact_core.summarise import findings

# those whose arithmetic the samples depend on
_LIBRARIES = ("torch", "torchaudio", "transformers", "diffusers", "speechbrain")


def evaluate_parser() -> LightningArgumentParser:
    """Options of ``redact evaluate``; every one may stand in a config."""
    parser = LightningArgumentParser(
        prog="redact evaluate", description="Sample, score and summarise base and redacted models."
    )
    parser.add_argument("-c", "--config", action="config", help="YAML file with the same options.")
    parser.add_subclass_arguments(Adapter, "base", required=True, help="The untouched model.")
    parser.add_argument("--redacted", type=Path, nargs="+", help="Folders that redact fit exported.")
    parser.add_argument(
        "--guards", type=dict[str, Callable[[Adapter], Guard]] | None,
        help="Name -> class_path and init_args of a guard of the base; MODEL+NAME guards another model.",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="The evidence folder, new or begun before.")
    parser.add_argument("--plan", type=Path | None, help="CSV or JSONL file with the conditions.")
    parser.add_argument("--redact", type=list[str] | str | None, help="What was redacted; instead of --plan.")
    parser.add_argument("--reference", type=list[str] | str | None, help="What is answered instead.")
    parser.add_argument("--n", type=int, default=100, help="Conditions of each group; not with --plan.")
    parser.add_argument("--seed", type=int, default=0, help="Of drawing the conditions; not with --plan.")
    parser.add_argument("--batch_size", type=int | None, help="Samples of a batch; default: the adapter's.")
    parser.add_argument("--scorers", type=list[Scorer] | None, help="Default: those that the adapter names.")
    parser.add_argument("--samples_only", type=bool, default=False, help="Stop when the samples are there.")
    parser.add_lightning_class_args(L.Trainer, "trainer")
    parser.set_defaults(
        {
            "trainer.logger": False,
            "trainer.enable_checkpointing": False,
            "trainer.enable_model_summary": False,
            "trainer.use_distributed_sampler": False,
        }
    )
    return parser


def evaluate(arguments: Sequence[str]) -> None:
    """Samples, scores, summary; each step goes on where it was stopped."""
    quiet()
    parser = evaluate_parser()
    config = parser.parse_args(list(arguments))
    _check(config)
    ready = parser.instantiate_classes(config)
    trainer = L.Trainer(**ready["trainer"])
    first = trainer.is_global_zero
    models, plan = _models(config, ready.pop("base"), ready["guards"] or {})
    evidence, scorer_names = _begin(config, trainer, models, plan), models[BASE].scorers
    lock = LineWriter(config["out"] / ".lock") if first else None
    try:
        scorers, specs = list[Scorer](), list[dict[str, Any]]()
        if first:
            evidence.note_command(shlex.join(["redact", "evaluate", *arguments]))
            if not config["samples_only"]:  # what is missing for scoring is said now, not after hours
                specs = _specs(config["scorers"], scorer_names)
                scorers = ready["scorers"] or [_build(spec) for spec in specs]
        began = time.perf_counter()
        while models:  # one at a time: a model that is done is let go
            name = next(iter(models))
            draw(trainer, evidence, models.pop(name), name)
        if not first:
            return
        spent = f"{time.perf_counter() - began:.1f} s"
        _say(f"{len(evidence.models)} x {len(plan)} samples are in {config['out']} ({spent}).")
        if not config["samples_only"]:
            _finish(evidence, scorers, specs)
    finally:
        if lock is not None:
            lock.close()


def score_again(arguments: Sequence[str]) -> None:
    """Judge the samples that are there; no model is loaded."""
    parser = ArgumentParser(prog="redact score", description="Score an evidence folder again.")
    parser.add_argument("evidence", type=Path)
    parser.add_argument("-c", "--config", action="config")
    parser.add_argument("--scorers", type=list[Scorer] | None, help="Default: those that judged before.")
    config = parser.parse_args(list(arguments))
    evidence = Evidence(config["evidence"])
    if config["scorers"]:
        scorers, specs = parser.instantiate_classes(config)["scorers"], _specs(config["scorers"], ())
    else:
        records = scorer_records(evidence)
        specs = [{"class_path": r["class_path"], "init_args": r["init_args"]} for r in records]
        scorers = [_build(spec) for spec in specs]
    with LineWriter(evidence.folder / ".lock"):
        evidence.note_command(shlex.join(["redact", "score", *arguments]))
        _finish(evidence, scorers, specs)


def report(arguments: Sequence[str]) -> None:
    """Build the HTML page from the evidence alone."""
    parser = ArgumentParser(prog="redact report", description="Build the report of an evidence folder.")
    parser.add_argument("evidence", type=Path)
    parser.add_argument("--out", type=Path | None, help="Default: report.html in the folder.")
    config = parser.parse_args(list(arguments))
    evidence = Evidence(config["evidence"])
    target = config["out"] or evidence.folder / "report.html"
    write_report(evidence, target)
    _say(f"Wrote {target}.")


def _finish(evidence: Evidence, scorers: Sequence[Scorer], specs: Sequence[Mapping[str, Any]]) -> None:
    spent = score(evidence, scorers, specs)
    summary = write_evidence_summary(evidence)
    _say(f"Scored in {spent:.1f} s; figures are in {evidence.folder / 'summary.json'}.")
    _print_table(summary)
    for finding in findings(summary, metrics_of(evidence)):
        _say(f"! {finding}")


def _print_table(summary: Sequence[SummaryRow]) -> None:
    lines = [
        [
            "model",
            "task",
            "group",
            "metric",
            "base",
            "redacted",
            "interval",
            "base less redacted",
            "n",
            "unscored",
        ]
    ]
    for row in summary:
        rate = row.get("kind") == "rate"
        gap = f"{show(row.get('difference'), rate)} ({span(row.get('difference_low'), row.get('difference_high'), rate)})"
        lines.append(
            [
                str(row.get("model")), row["task"], row["group"], row["metric"], show(row["base"], rate),
                show(row["redacted"], rate), span(row["low"], row["high"], rate), gap, str(row["n"]),
                str(row.get("unscored")),
            ]
        )  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        _say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _check(config: Namespace) -> None:
    problems: list[str] = []
    if (config["plan"] is None) == (config["redact"] is None):
        problems.append("give either --redact WHAT or --plan FILE")
    if not config["redacted"] and not config["guards"]:
        problems.append("give models to compare with the base: --redacted FOLDER, or --guards")
    for key in ("n", "batch_size"):
        if config[key] is not None and config[key] < 1:
            problems.append(f"--{key} is {config[key]}; give at least 1")
    raise_together("redact evaluate cannot begin", problems)


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    """Folder names as names of the models."""
    names: dict[str, Path] = {}
    problems: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        if name == BASE or name in names:
            problems.append(f"two models are called {name}; rename one folder")
        elif not folder.is_dir():
            problems.append(f"there is no folder {folder}; give one that redact fit exported")
        names[name] = folder
    raise_together("The redacted models cannot be used", problems)
    return names


def _models(
    config: Namespace, base: Adapter, guards: Mapping[str, Callable[[Adapter], Guard]]
) -> tuple[dict[str, Adapter], list[PlanRow]]:
    """The base, the redacted models, the guarded ones, and what they are asked."""
    base.batch_size = config["batch_size"] or base.batch_size
    if config["plan"] is not None:
        plan = read_plan(config["plan"])
    else:
        request = Request(as_tuple(config["redact"]), as_tuple(config["reference"]), seed=config["seed"])
        plan = base.plan(request, config["n"])
    base.collate(list(dict.fromkeys(row.condition for row in plan)))  # refuses what cannot be read
    redacted = {name: base.reopen(folder) for name, folder in _names(config["redacted"] or []).items()}
    return _guarded({BASE: base, **redacted}, guards), plan


def _guarded(
    models: Mapping[str, Adapter], guards: Mapping[str, Callable[[Adapter], Guard]]
) -> dict[str, Adapter]:
    """The models and, in the order of the config, guards around any of those before.

    Raises:
        RedactError: A name is taken, is no name of a folder, or refers to no model.
    """
    found = dict(models)
    for name, guard in guards.items():
        inner = name.rpartition("+")[0] or BASE
        if name in found or not re.fullmatch(r"[\w+@-]+", name) or not name.rpartition("+")[2]:
            raise RedactError(f"--guards: {name!r} cannot be a model's name, or is taken; give another.")
        if inner not in found:
            raise RedactError(
                f"--guards: {name} guards {inner}, which is none of {', '.join(found)}; name that before."
            )
        found[name] = guard(found[inner])
    return found


def _begin(
    config: Namespace, trainer: L.Trainer, models: Mapping[str, Adapter], plan: Sequence[PlanRow]
) -> Evidence:
    """The evidence folder; the first process makes it."""
    prints = {name: fingerprint(model) for name, model in models.items()}
    device = trainer.strategy.root_device.type
    conduct = Conduct(models[BASE].batch_size, check_precision(trainer), device, versions(_LIBRARIES))
    if not trainer.is_global_zero and not (config["out"] / "evidence.json").exists():
        return _wait(config["out"])
    return begin(config["out"], plan, prints, conduct)


def _specs(chosen: Sequence[Namespace] | None, names: Sequence[str]) -> list[dict[str, Any]]:
    """Class and arguments of each scorer, as JSON keeps them; ``names`` if none was chosen."""
    if not chosen:
        return [{"class_path": _module_of(name), "init_args": {}} for name in names]
    return [
        {
            "class_path": spec["class_path"],
            "init_args": {k: str(v) if isinstance(v, Path) else v for k, v in _init_args(spec).items()},
        }
        for spec in chosen
    ]


def _init_args(spec: Namespace) -> dict[str, Any]:
    found = spec.get("init_args")
    return {} if found is None else found.as_dict()


def _build(spec: Mapping[str, Any]) -> Scorer:
    """A scorer from its record; the arguments are parsed as on the command line."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Scorer, "scorer", required=True)
    path = _module_of(spec["class_path"])
    importlib.import_module(path.rpartition(".")[0])
    values = {"scorer": {"class_path": path, "init_args": dict(spec.get("init_args") or {})}}
    return parser.instantiate_classes(parser.parse_object(values))["scorer"]


def _module_of(name: str) -> str:
    if "." in name:
        return name
    known = classes()
    if name not in known:
        raise RedactError(f"There is no scorer {name}; 'redact ls' lists them.")
    return f"{known[name]}.{name}"


def _wait(folder: Path, seconds: float = 60.0) -> Evidence:
    """The folder that the first process makes, for processes that another launcher started."""
    end = time.monotonic() + seconds
    while not (folder / "evidence.json").exists():
        if time.monotonic() > end:
            raise RedactError(f"{folder} did not appear; look at what the first process says.")
        time.sleep(0.1)
    return Evidence(folder)


def _say(text: str) -> None:
    print(text)  # noqa: T201
    sys.stdout.flush()
