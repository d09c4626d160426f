"""``redact evaluate`` and ``redact score``: evidence first, figures afterwards."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.cli.options import add_models, add_request, parsed
from lightning_modules.evaluation.finish import finish
from lightning_modules.evaluation.judges import (
    Judges,
    add_judges,
    default_judges,
    load_judges,
    recorded_judges,
)
from lightning_modules.evaluation.sampling import draw
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import names_in
from lightning_modules.support.devices import DEVICE_HELP, checked_precision, chosen_device
from lightning_modules.support.environment import quiet
from lightning_modules.support.output import say
from lightning_modules.support.specs import folders_by_name
from redact_core import Adapter, Guard, RedactError, RedactionCard, Request
from redact_core.adapters.capabilities import PlansEvaluations, Reopens, require
from redact_core.adapters.fingerprint import fingerprint
from redact_core.artefacts.card import FILE as CARD
from redact_core.errors import raise_together
from redact_core.evaluation.cost import ModelCost, model_cost, note_models
from redact_core.evaluation.evidence import BASE, Conduct, Evidence, begin
from redact_core.evaluation.plan_source import PlanSource
from redact_core.plan import PlanRow, contradictions, read_plan
from redact_core.support.jsonl import LineWriter
from redact_core.support.versions import versions

# those whose arithmetic the samples depend on
LIBRARIES = ("torch", "torchaudio", "transformers", "diffusers", "speechbrain")


def evaluate_parser() -> LightningArgumentParser:
    """Options of ``redact evaluate``; every one may stand in a config."""
    parser = LightningArgumentParser(
        prog="redact evaluate",
        description="Sample, score and summarise base and redacted models.",
        exit_on_error=False,
    )
    add_models(parser)
    parser.add_argument("--plan", type=Path | None, help="CSV or JSONL file with the conditions.")
    parser.add_argument("--test_bed", type=PlanSource | None, help="Class that reads published prompts.")
    add_request(parser)
    parser.add_argument("--n", type=int, default=100, help="Conditions of each group; not with --plan.")
    parser.add_argument("--seed", type=int, default=0, help="Of drawing the conditions; not with --plan.")
    parser.add_argument("--batch_size", type=int | None, help="Samples of a batch; default: the adapter's.")
    add_judges(parser, "those that the adapter names.")
    parser.add_argument("--device", type=str, default="auto", help=f"Of models and judges: {DEVICE_HELP}")
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
    config = parsed(parser, "evaluate", arguments)
    _check(config)
    checked_precision(config["trainer"]["precision"])
    device = chosen_device(config["device"])
    with mishaps.building():
        ready = parser.instantiate(config)
    with mishaps.building("The trainer cannot be made: "):
        trainer = L.Trainer(**_placed(ready["trainer"], config["device"], device))
    first = trainer.is_global_zero
    models, plan = models_and_plan(config, ready.pop("base"), ready["test_bed"], ready["guards"] or {})
    evidence = _begin(config, trainer, models, plan)
    names = default_judges(models[BASE])
    lock = LineWriter(config["out"] / ".lock") if first else None
    try:
        judges = Judges()
        if first:
            evidence.note_command(shlex.join(["redact", "evaluate", *arguments]))
            if not config["samples_only"]:  # what is missing for scoring is said now, not after hours
                judges = load_judges(config, ready, *names).to(trainer.strategy.root_device)
            note_models(evidence, _costs(models, config))
        began = time.perf_counter()
        while models:  # one at a time: a model that is done is let go
            name = next(iter(models))
            draw(trainer, evidence, models.pop(name), name)
        if not first:
            return
        spent = f"{time.perf_counter() - began:.1f} s"
        say(f"{len(evidence.models)} x {len(plan)} samples are in {config['out']} ({spent}).")
        if not config["samples_only"]:
            finish(evidence, judges)
    finally:
        if lock is not None:
            lock.close()


def score_parser() -> ArgumentParser:
    """Options of ``redact score``."""
    parser = ArgumentParser(
        prog="redact score", description="Score an evidence folder again.", exit_on_error=False
    )
    parser.add_argument("evidence", type=Path)
    parser.add_argument("-c", "--config", action="config")
    add_judges(parser, "those that judged before.")
    parser.add_argument("--device", type=str, default="auto", help=f"Of the judges: {DEVICE_HELP}")
    return parser


def score_again(arguments: Sequence[str]) -> None:
    """Judge the samples that are there; no model is loaded."""
    parser = score_parser()
    config = parsed(parser, "score", arguments)
    device = chosen_device(config["device"])
    evidence = Evidence(config["evidence"])
    with mishaps.building():
        judges = recorded_judges(config, parser.instantiate(config), evidence).to(device)
    with LineWriter(evidence.folder / ".lock"):
        evidence.note_command(shlex.join(["redact", "score", *arguments]))
        finish(evidence, judges)


def _placed(settings: Mapping[str, Any], given: str, device: torch.device) -> dict[str, Any]:
    """Arguments of the trainer, on ``device`` where ``--device`` says so; ``auto`` leaves the choice to the trainer.

    Raises:
        RedactError: ``--trainer.accelerator`` says something else.
    """
    found, kind = dict(settings), {"cpu": "cpu", "cuda": "gpu"}[device.type]
    if given == "auto":
        return found
    own = found.get("accelerator", "auto")
    if own not in ("auto", kind, device.type):
        raise RedactError(f"--device is {given} and --trainer.accelerator {own}; give one of them.")
    found["accelerator"] = kind
    if ":" in given:
        found["devices"] = [device.index]
    return found


def _check(config: Namespace) -> None:
    problems: list[str] = []
    if sum(config[key] is not None for key in ("plan", "redact", "test_bed")) != 1:
        problems.append("give either --redact WHAT or --plan FILE, or a --test_bed")
    if not config["redacted"] and not config["guards"]:
        problems.append("give models to compare with the base: --redacted FOLDER, or --guards")
    for key in ("n", "batch_size"):
        if config[key] is not None and config[key] < 1:
            problems.append(f"--{key} is {config[key]}; give at least 1")
    raise_together("redact evaluate cannot begin", problems)


def models_and_plan(
    config: Namespace,
    base: Adapter,
    bed: PlanSource | None,
    guards: Mapping[str, Callable[[Adapter], Guard]],
) -> tuple[dict[str, Adapter], list[PlanRow]]:
    """The base, the redacted models, the guarded ones, and what they are asked."""
    if config["batch_size"] is not None:
        base.batch_size = config["batch_size"]
    if bed is not None:
        plan = bed.rows()
        if bed.note:
            say(bed.note)
    elif config["plan"] is not None:
        plan = read_plan(config["plan"])
    else:
        request = Request(names_in(config["redact"]), names_in(config["reference"]), seed=config["seed"])
        plan = require(base, PlansEvaluations, "redact evaluate").plan(request, config["n"])
    both = contradictions(plan, base.identity)
    if bed is None:
        raise_together("The plan contradicts itself", both)
    elif both:
        say(f"{len(both)} conditions stand among the redacted and among the retained rows: {both[0]}.")
    base.collate(list(dict.fromkeys(row.condition for row in plan)))  # refuses what cannot be read
    redacted = {
        name: require(base, Reopens, "redact evaluate").reopen(folder)
        for name, folder in folders_by_name(config["redacted"] or []).items()
    }
    return guarded({BASE: base, **redacted}, guards), plan


def guarded(
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


def _costs(models: Mapping[str, Adapter], config: Namespace) -> dict[str, ModelCost]:
    """Sizes of all models, and what the cards of redacted folders say of their training."""
    folders = folders_by_name(config["redacted"] or [])
    cards = {n: RedactionCard.read(f).whole_cost() for n, f in folders.items() if (f / CARD).is_file()}
    return {name: model_cost(model, models[BASE], cards.get(name)) for name, model in models.items()}


def _begin(
    config: Namespace, trainer: L.Trainer, models: Mapping[str, Adapter], plan: Sequence[PlanRow]
) -> Evidence:
    """The evidence folder; the first process makes it."""
    prints = {name: fingerprint(model) for name, model in models.items()}
    device = trainer.strategy.root_device.type
    conduct = Conduct(
        models[BASE].batch_size, checked_precision(trainer.precision), device, versions(LIBRARIES)
    )
    if not trainer.is_global_zero and not (config["out"] / "evidence.json").exists():
        return _wait(config["out"])
    return begin(config["out"], plan, prints, conduct)


def _wait(folder: Path, seconds: float = 60.0) -> Evidence:
    """The folder that the first process makes, for processes that another launcher started."""
    end = time.monotonic() + seconds
    while not (folder / "evidence.json").exists():
        if time.monotonic() > end:
            raise RedactError(f"{folder} did not appear; look at what the first process says.")
        time.sleep(0.1)
    return Evidence(folder)
