"""Who judges an evaluation: scorers and set scorers with what it takes to build them again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from lightning_modules.names import classes
from redact_core import RedactError, Scorer, SetScorer
from redact_core.evidence import Evidence
from redact_core.scoring import score, scorer_records
from redact_core.set_scoring import score_sets, set_records

Spec = Mapping[str, Any]


@dataclass
class Panel:
    """Judges, and class and arguments of each as JSON keeps them."""

    scorers: Sequence[Scorer] = ()
    specs: Sequence[Spec] = ()
    set_scorers: Sequence[SetScorer] = ()
    set_specs: Sequence[Spec] = field(default_factory=list)

    def judge(self, evidence: Evidence) -> float:
        """Score samples, then groups; seconds."""
        spent = score(evidence, self.scorers, self.specs)
        return spent + score_sets(evidence, self.set_scorers, self.set_specs)


def add_judges(parser: ArgumentParser, default: str) -> None:
    """The options ``--scorers`` and ``--set_scorers``."""
    parser.add_argument("--scorers", type=list[Scorer] | None, help=f"Judge samples. Default: {default}")
    parser.add_argument(
        "--set_scorers", type=list[SetScorer] | None, help=f"Judge whole groups. Default: {default}"
    )


def panel(
    config: Namespace, ready: Mapping[str, Any] | Namespace, names: Sequence[str], set_names: Sequence[str]
) -> Panel:
    """Those that were chosen, else those that are named.

    Args:
        config: What was parsed.
        ready: The same with classes instantiated.
        names: Of scorers, where none were chosen.
        set_names: Of set scorers, where none were chosen.
    """
    specs, sets = _specs(config["scorers"], names), _specs(config["set_scorers"], set_names)
    return Panel(
        ready["scorers"] or [_build(spec, Scorer) for spec in specs], specs,
        ready["set_scorers"] or [_build(spec, SetScorer) for spec in sets], sets,
    )  # fmt: skip


def panel_again(config: Namespace, ready: Mapping[str, Any] | Namespace, evidence: Evidence) -> Panel:
    """Those that were chosen, else those that judged before."""
    specs = _specs(config["scorers"], ()) or _recorded(scorer_records(evidence))
    sets = _specs(config["set_scorers"], ()) or _recorded(set_records(evidence))
    return Panel(
        ready["scorers"] or [_build(spec, Scorer) for spec in specs], specs,
        ready["set_scorers"] or [_build(spec, SetScorer) for spec in sets], sets,
    )  # fmt: skip


def _recorded(records: Sequence[Spec]) -> list[dict[str, Any]]:
    return [{"class_path": r["class_path"], "init_args": r["init_args"]} for r in records]


def _specs(chosen: Sequence[Namespace] | None, names: Sequence[str]) -> list[dict[str, Any]]:
    """Class and arguments of each, as JSON keeps them; ``names`` if none was chosen."""
    if not chosen:
        return [{"class_path": _module_of(name), "init_args": {}} for name in names]
    return [
        {
            "class_path": spec["class_path"],
            "init_args": _plain(spec.get("init_args") or {}),
        }
        for spec in chosen
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping | Namespace):
        return {key: _plain(entry) for key, entry in _entries(value).items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _entries(value: Mapping[str, Any] | Namespace) -> dict[str, Any]:
    """The entries of a mapping, or of a namespace as jsonargparse nests them."""
    return value.as_dict() if isinstance(value, Namespace) else dict(value)


def _build(spec: Spec, kind: type) -> Any:
    """A judge from its record; the arguments are parsed as on the command line."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "judge", required=True)
    path = _module_of(spec["class_path"])
    importlib.import_module(path.rpartition(".")[0])
    values = {"judge": {"class_path": path, "init_args": dict(spec.get("init_args") or {})}}
    return parser.instantiate_classes(parser.parse_object(values))["judge"]


def _module_of(name: str) -> str:
    if "." in name:
        return name
    known = classes()
    if name not in known:
        raise RedactError(f"There is no scorer {name}; 'redact ls' lists them.")
    return f"{known[name]}.{name}"
