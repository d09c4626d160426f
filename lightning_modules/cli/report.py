"""``redact report``: the page of an evidence folder, made without Lightning or a model."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from lightning_modules.cli.hints import Parser
from lightning_modules.support.output import say
from redact_core.support.paths import at_home


def report(arguments: Sequence[str]) -> None:
    """Build the HTML page and its JSON from the evidence alone."""
    parser = Parser("report", "Build the report of an evidence folder.")
    options(parser)
    config = parser.parse_args(list(arguments))
    # torch and matplotlib are imported when there is something to draw, not for --help
    from redact_core.evaluation.evidence import Evidence
    from redact_core.reporting.evidence_report import write_report
    from redact_core.reporting.sections import write_report_json

    evidence = Evidence(config.evidence)
    target = at_home(config.out or evidence.folder / "report.html")
    write_report(evidence, target)
    write_report_json(evidence, target.with_suffix(".json"))
    say(f"Wrote {target} and {target.with_suffix('.json').name}.")


def options(parser: ArgumentParser) -> None:
    """Of ``redact report``."""
    parser.add_argument("evidence", type=Path, help="Folder that redact evaluate or redact attack made.")
    parser.add_argument("--out", type=Path, help="Default: report.html in the folder.")
