"""``redact inspect``: the paths by which a condition enters a model, and which of them a redaction covers."""

from __future__ import annotations

import importlib
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from lightning_modules.cli.hints import Parser
from lightning_modules.support.output import say, say_columns
from redact_core.adapters.condition_paths import ConditionPath, Inspection
from redact_core.support.strict_json import strict_json


def inspect(arguments: Sequence[str]) -> None:
    """Print a table, or JSON with ``--json``."""
    parser = Parser(
        "inspect",
        "List every path by which a condition enters a model, and which of them a redaction covers. Reads "
        "configurations and headers of safetensors files, no weights, and runs no code.",
    )
    options(parser)
    config = parser.parse_args(list(arguments))
    # the packages of modalities are named and never imported here
    found: Any = importlib.import_module("modalities.inspecting").inspect(config.model)
    assert isinstance(found, Inspection)
    if config.json:
        say(strict_json(found.as_json(), "the inspection"))
        return
    _show(found)


def options(parser: ArgumentParser) -> None:
    """Of ``redact inspect``."""
    parser.add_argument("model", help="A model's folder, a safetensors file, or bundled.")
    parser.add_argument("--json", action="store_true", help="Print JSON in place of the table.")


def _show(found: Inspection) -> None:
    by = f"redact fit takes it as {found.adapter}" if found.adapter else "no adapter redacts it"
    say(f"{found.model}: {found.family}; {by}.")
    carded = any(path.redacted is not None for path in found.paths)
    if found.paths:
        say("")
        heading = ("path", "kind", "what", "covered by", *(("redacted here",) if carded else ()))
        say_columns([heading, *(_line(path, carded) for path in found.paths)])
    open_ = [path for path in found.paths if path.covered_by is None and path.advice]
    if open_:
        say("\nNot covered:")
        told: dict[str, list[str]] = {}
        for path in open_:
            told.setdefault(path.advice, []).append(path.name)
        for advice, names in told.items():
            say(f"  {', '.join(names)}: {advice}")
    for remark in found.remarks:
        say(f"\n{remark}")


def _line(path: ConditionPath, carded: bool) -> tuple[str, ...]:
    by = path.covered_by or ("-" if not path.optional else "- (accepted when given)")
    here = {True: "yes", False: "no", None: "-"}[path.redacted]
    return (path.name, path.kind, path.what, by, *((here,) if carded else ()))
