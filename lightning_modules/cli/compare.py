"""``redact compare``: methods side by side on one's own model, and folders that were made elsewhere."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.cli.method_specs import methods_of
from lightning_modules.cli.options import parsed
from lightning_modules.cli.short_forms import as_options
from lightning_modules.comparison import tables
from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.figures import Figures
from lightning_modules.comparison.running import RESULTS, Comparison
from lightning_modules.comparison.words import STOCK
from lightning_modules.evaluation.judges import chosen_scorers, default_judges
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import Names, names_in
from lightning_modules.support.devices import DEVICE_HELP, chosen_device
from lightning_modules.support.environment import quiet
from lightning_modules.support.names import import_named, path_of
from lightning_modules.support.near_names import meant, names_of
from lightning_modules.support.output import say, say_columns
from lightning_modules.support.specs import build, spec_of
from redact_core import Adapter, Attack, RedactError, Request, Scorer, SetScorer
from redact_core.adapters.capabilities import PlansEvaluations
from redact_core.errors import raise_together
from redact_core.evaluation.evidence import BASE
from redact_core.metrics.scorer import leak_metric
from redact_core.support.folders import check_writable, write_whole
from redact_core.support.paths import at_home

_NO_ATTACKS = "none"
_USAGE = "redact compare MODEL --redact WHAT --methods NAME ... --out FOLDER [options]"


def compare_parser() -> LightningArgumentParser:
    """Options of ``redact compare``; every one may stand in a config."""
    parser = LightningArgumentParser(
        prog="redact compare",
        description="Apply several methods to a model, attack and judge all alike, and print one table. MODEL is bundled, "
        "a folder, a hub id, or a class with its source; --base is the same as an option.",
        usage=_USAGE,
        exit_on_error=False,
    )
    parser.add_argument("-c", "--config", action="config", help="YAML file with the same options.")
    parser.add_subclass_arguments(Adapter, "base", required=True, help="The untouched model.")
    parser.add_argument("--redact", type=Names, required=True, help="What every method redacts.")
    parser.add_argument(
        "--reference", type=Names | None, help="What is answered instead; default: the model's choice."
    )
    parser.add_argument(
        "--methods", type=str, nargs="*", default=[],
        help="Objectives and guards: Name or 'Name: {argument: value}'; one that is named more than once is tuned.",
    )  # fmt: skip
    parser.add_argument(
        "--folder",
        type=str,
        nargs="*",
        default=[],
        metavar="NAME=PATH",
        help="Models that were redacted elsewhere.",
    )
    parser.add_argument(
        "--attacks", type=str, nargs="*", default=["quick"],
        help="A suite (quick, standard, full), none, or attacks: Name or 'Name: {argument: value}'; default: quick.",
    )  # fmt: skip
    parser.add_argument(
        "--development", type=str | None, help="Another concept or voice, on which settings are tried."
    )
    parser.add_argument("--n", type=int, default=100, help="Conditions of each group.")
    parser.add_argument("--n_attacked", type=int, default=20, help="Conditions under each attack.")
    parser.add_argument(
        "--n_tuned", type=int, default=20, help="Conditions of a group while settings are tried."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="Of wordings, trainings and attacks."
    )
    parser.add_argument(
        "--scorers",
        type=list[Scorer] | None,
        help="The first that tells a leak judges; default: the model's.",
    )
    parser.add_argument("--device", type=str, default="auto", help=DEVICE_HELP)
    parser.add_argument("--out", type=Path, required=True, help="The folder of results, new or begun before.")
    return parser


def compare(arguments: Sequence[str]) -> None:
    """Redact by each method, judge, attack, and print the table; what is there already is not done again."""
    quiet()
    arguments = as_options(arguments, "base")
    import_named(list(arguments))
    parser = compare_parser()
    config = parsed(parser, "compare", arguments)
    _check(config)
    methods, folders = methods_of(config["methods"]), _folders(config["folder"])
    out: Path = config["out"]
    check_writable(out)
    device = chosen_device(config["device"])
    with mishaps.building():
        ready = parser.instantiate(config)
    first: list[Adapter] = [ready["base"]]

    def opened(**settings: Any) -> Adapter:
        del settings
        # the one that the parser made serves once; every other model is one of its own
        return (first.pop() if first else parser.instantiate(config)["base"]).to(device)

    request = Request(names_in(config["redact"]), names_in(config["reference"]))
    request.check_references()
    task = ", ".join(request.redact)
    requests = {task: request}
    if config["development"] is not None:
        requests[config["development"]] = Request((config["development"],))
    names = default_judges(first[0])
    scorers, _ = chosen_scorers(config, ready, names[0])
    judges = [scorer for scorer in scorers if leak_metric(scorer.metrics)]
    if not judges:
        raise RedactError("No judge tells whether what was redacted still works; give one with --scorers.")
    sets = [build(SetScorer, spec_of(name)) for name in names[1]]
    for one in (judges[0], *sets):
        one.to(device)
    bench = Bench(
        opened, judges[0], lambda what, seed: replace(requests[what], seed=seed), _attacks(config["attacks"], first[0]),
        n=config["n"], n_attacked=config["n_attacked"], models=out / "models",
        set_scorer=sets[0] if sets else None,
    )  # fmt: skip
    most = max((len(method.trials) for method in methods.values()), default=1)
    found = Comparison(
        bench, out, methods, development=config["development"], trials=most, n_tuned=config["n_tuned"], folders=folders,
        progress=True,
    )  # fmt: skip
    write_whole(out / "command.txt", (shlex.join(["redact", "compare", *arguments]) + "\n").encode())
    found.run([task], config["seeds"])
    show(out)


def show(out: Path) -> None:
    """Print the tables of a folder of results, and write them beside it as ``table.md``."""
    found = Figures(json.loads((out / RESULTS).read_text(encoding="utf-8")))
    parts = {"": tables.choose_by(found), "Under attack": tables.attacked(found),
             "Under attack, seed by seed": tables.attacked_by_seed(found), "What stays": tables.damage(found),
             "Cost": tables.costs(found), "Settings": tables.settings(found)}  # fmt: skip
    shown = {head: table for head, table in parts.items() if len(table) > 1 and len(table[0]) > 1}
    text = "\n".join(
        f"## {head}\n\n{tables.markdown(t)}\n" if head else tables.markdown(t) + "\n"
        for head, t in shown.items()
    )
    refused = "".join(f"- {name}: {why}\n" for name, why in found.refused.items())
    write_whole(out / "table.md", (text + (f"\n## Not applied\n\n{refused}" if refused else "")).encode())
    for head in ("", "Under attack"):
        if head in shown:
            say_columns(shown[head])
            say("")
    say("* no other method has at most as much leak and damage in at most as many seconds.")
    if refused:
        say(f"Not applied:\n{refused.rstrip()}")
    say(
        f"All rows are in {out / RESULTS}, all tables in {out / 'table.md'}, each model with its card in {out / 'models'}."
    )


def _check(config: Namespace) -> None:
    problems: list[str] = []
    if not config["methods"] and not config["folder"]:
        problems.append("give --methods NAME ..., or --folder NAME=PATH for a model that was made elsewhere")
    for key in ("n", "n_attacked", "n_tuned"):
        if config[key] < 1:
            problems.append(f"--{key} is {config[key]}; give at least 1")
    if len(set(config["seeds"])) < len(config["seeds"]):
        problems.append("--seeds names one twice; give each once")
    raise_together("redact compare cannot begin", problems)


def _folders(pairs: Sequence[str]) -> dict[str, Path]:
    """Name -> folder.

    Raises:
        RedactError: A pair has no name or no path, two share a name, or there is no such folder.
    """
    found: dict[str, Path] = {}
    problems: list[str] = []
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not name or not path:
            problems.append(f"{pair!r} is no NAME=PATH")
        elif name in found or name == STOCK:
            problems.append(f"two models are called {name}; give another name")
        elif not at_home(path).is_dir():
            problems.append(f"there is no folder {path}")
        else:
            found[name] = at_home(path)
    raise_together("--folder cannot be used", problems)
    return found


def _attacks(named: Sequence[str], base: Adapter) -> Mapping[str, Callable[[], Attack]]:
    """Name -> what makes the attack; each search begins with an object of its own."""
    if list(named) == [_NO_ATTACKS]:
        return {}
    planned = base.offers(PlansEvaluations)
    suites = {} if planned is None else planned.suites
    entries: Sequence[str] = suites[named[0]] if len(named) == 1 and named[0] in suites else named
    for entry in entries:
        if entry.isidentifier() and path_of(entry) is None:
            known = (
                f"the suites are {', '.join(suites)}" if suites else f"{type(base).__name__} has no suites"
            )
            raise RedactError(
                f"There is no suite or attack {entry}{meant(entry, [*suites, *names_of('attack')])}; {known}, and redact ls attacks lists the attacks."
            )
    made: dict[str, Callable[[], Attack]] = {}
    for entry in entries:
        spec = spec_of(entry)
        name = build(Attack, spec).name
        if name in made or name in (BASE, STOCK):
            raise RedactError(f"Two attacks are called {name}; keep one.")
        made[name] = lambda spec=spec: build(Attack, spec)
    return made
