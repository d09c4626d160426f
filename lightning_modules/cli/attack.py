"""``redact attack``: evidence of what still leaks, by what the attacker may touch, with ceilings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.cli.evaluate import LIBRARIES, guarded
from lightning_modules.cli.options import add_models, add_request, parsed
from lightning_modules.evaluation.attacking import attacked_plan, carry_out
from lightning_modules.evaluation.finish import finish
from lightning_modules.evaluation.judges import Judges, chosen_scorers, default_judges
from lightning_modules.evaluation.replay import replays
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import names_in
from lightning_modules.support.devices import DEVICE_HELP, chosen_device
from lightning_modules.support.environment import quiet
from lightning_modules.support.near_names import meant
from lightning_modules.support.output import say
from lightning_modules.support.specs import build, folders_by_name, spec_of
from redact_core import Adapter, Attack, PlanRow, RedactError, Request, Scorer, read_plan
from redact_core.adapters.capabilities import PlansEvaluations, Reopens, require
from redact_core.adapters.fingerprint import fingerprint
from redact_core.errors import raise_together
from redact_core.evaluation.evidence import BASE, Conduct, Evidence, begin
from redact_core.metrics.scorer import leak_metric
from redact_core.plan import contradictions
from redact_core.reporting.attack_table import PLAIN
from redact_core.support.jsonl import LineWriter
from redact_core.support.versions import versions


def attack_parser() -> LightningArgumentParser:
    """Options of ``redact attack``; every one may stand in a config."""
    parser = LightningArgumentParser(
        prog="redact attack",
        description="Attack base, redacted and guarded models, score what comes out.",
        exit_on_error=False,
    )
    add_models(parser)
    parser.add_argument("--plan", type=Path | None, help="CSV or JSONL file with redacted conditions.")
    add_request(parser)
    parser.add_argument("--replay", type=Path | None, help="Evidence whose attempts are asked again.")
    parser.add_argument("--from", type=str | None, help="Model of --replay on which they were found.")
    parser.add_argument("--n", type=int, default=20, help="Conditions that every attack gets.")
    parser.add_argument("--seed", type=int, default=0, help="Of the conditions and of the attacks.")
    parser.add_argument("--suite", type=str | None, help="quick, standard or full; default: quick.")
    parser.add_argument(
        "--attacks", type=list[Any] | None, help="Instead of a suite: [Name, 'Name: {argument: value}', ...]."
    )
    parser.add_argument("--batch_size", type=int | None, help="Rows of a batch; default: the adapter's.")
    parser.add_argument("--device", type=str, default="auto", help=DEVICE_HELP)
    parser.add_argument("--scorers", type=list[Scorer] | None, help="Default: those that the adapter names.")
    return parser


def attack(arguments: Sequence[str]) -> None:
    """Attempts, samples, scores, table; each step goes on where it was stopped."""
    quiet()
    parser = attack_parser()
    config = parsed(parser, "attack", arguments)
    _check(config)
    device = chosen_device(config["device"])
    with mishaps.building():
        ready = parser.instantiate(config)
    base: Adapter = ready["base"]
    if config["batch_size"] is not None:
        base.batch_size = config["batch_size"]
    scorers, specs = chosen_scorers(config, ready, default_judges(base)[0])
    attacks, records = _attacks(config, base, scorers)
    rows = _rows(config, base)
    folders = folders_by_name(config["redacted"] or [])
    redacted = {
        name: require(base, Reopens, "redact attack").reopen(folder) for name, folder in folders.items()
    }
    models = guarded({BASE: base, **redacted}, ready["guards"] or {})
    for model in models.values():
        for one in attacks.values():
            one.check(model)  # before anything is drawn or written
    for model in models.values():
        model.to(device)
    for scorer in scorers:
        scorer.to(device)
    prints = {name: fingerprint(model) for name, model in models.items()}
    conduct = Conduct(base.batch_size, "32-true", device.type, versions(LIBRARIES))
    evidence = begin(
        config["out"], attacked_plan(rows, list(attacks)), prints, conduct, records, config["seed"]
    )
    with LineWriter(evidence.folder / ".lock"):
        evidence.note_command(shlex.join(["redact", "attack", *arguments]))
        for name, model in models.items():
            carry_out(evidence, model, base, name, attacks, seed=config["seed"])
        finish(evidence, Judges(scorers, specs))
    say(
        f"The attempts are in {evidence.folder / 'attempts'}; 'redact report {evidence.folder}' shows the page."
    )


def _check(config: Namespace) -> None:
    problems: list[str] = []
    if not config["redacted"] and not config["guards"]:
        problems.append("give models to attack: --redacted FOLDER, or --guards")
    if sum(config[key] is not None for key in ("plan", "redact", "replay")) != 1:
        problems.append("give one of --redact WHAT, --plan FILE and --replay EVIDENCE")
    if sum(config[key] is not None for key in ("suite", "attacks", "replay")) > 1:
        problems.append("give one of --suite, --attacks and --replay")
    if (config["replay"] is None) != (config["from"] is None):
        problems.append("give --replay EVIDENCE and --from MODEL together")
    for key in ("n", "batch_size"):
        if config[key] is not None and config[key] < 1:
            problems.append(f"--{key} is {config[key]}; give at least 1")
    raise_together("redact attack cannot begin", problems)


def _attacks(
    config: Namespace, base: Adapter, scorers: Sequence[Scorer]
) -> tuple[dict[str, Attack], Mapping[str, Mapping[str, Any]]]:
    """The attacks by name, and what the evidence keeps of them."""
    if config["replay"] is not None:
        found: list[Attack] = [*replays(config["replay"], config["from"])]
        specs = [
            {
                "class_path": "lightning_modules.evaluation.replay.Replay",
                "init_args": {"evidence": str(config["replay"]), "model": config["from"], "attack": one.name},
            }
            for one in found
        ]
    else:
        specs = [spec_of(entry) for entry in config["attacks"] or _suite(config["suite"] or "quick", base)]
        found = [build(Attack, spec) for spec in specs]
    success = next((scorer for scorer in scorers if leak_metric(scorer.metrics)), None)
    attacks: dict[str, Attack] = {}
    for one in found:
        if one.name in attacks:
            raise RedactError(f"Two attacks are called {one.name}; keep one.")
        one.success = one.success or success
        attacks[one.name] = one
    records = {
        one.name: {
            **spec,
            "access": one.access,
            "adaptive": one.adaptive,
            "budget": one.budget,
            "success": one.success.name if one.success else None,
        }
        for one, spec in zip(found, specs, strict=True)
    }
    return attacks, records


def _suite(name: str, base: Adapter) -> tuple[str, ...]:
    planned = base.offers(PlansEvaluations)
    if planned is None or not planned.suites:
        raise RedactError(f"{type(base).__name__} has no suites of attacks; give --attacks.")
    if name not in planned.suites:
        raise RedactError(
            f"There is no suite {name!r}{meant(name, planned.suites)} for {type(base).__name__}; give {', '.join(planned.suites)}."
        )
    return planned.suites[name]


def _rows(config: Namespace, base: Adapter) -> list[PlanRow]:
    """Redacted conditions: of a replayed evidence its own, so that seeds and labels agree."""
    if config["replay"] is not None:
        return [row for row in Evidence(config["replay"]).plan if row.group == PLAIN]
    if config["plan"] is not None:
        plan = read_plan(config["plan"])
        raise_together("The plan contradicts itself", contradictions(plan, base.identity))
        rows = [row for row in plan if row.redacted][: config["n"]]
    else:
        request = Request(names_in(config["redact"]), names_in(config["reference"]), seed=config["seed"])
        rows = [
            row
            for row in require(base, PlansEvaluations, "redact attack").plan(request, config["n"])
            if row.group == "redacted"
        ]
    if not rows:
        raise RedactError("The plan holds no redacted condition, so there is nothing to attack.")
    base.collate(list(dict.fromkeys(row.condition for row in rows)))  # refuses what cannot be read
    return rows
