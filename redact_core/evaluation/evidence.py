"""The evidence folder: what was asked, which models answered, every sample, every score.

::

    evidence.json       plan hash, models with hashes, precision, versions, commands
    plan.jsonl          one line for each condition
    samples/MODEL/      one file for each line of the plan
    attempts/           what each attack found, where there were attacks
    parts/MODEL/        which process wrote which sample, with its hash
    scores/SCORER.jsonl first line: the scorer; then one line for each sample
    rows.jsonl          all of it together, one line for each sample, in the order of the plan
    summary.json        see redact_core.evaluation.summary.write_summary
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redact_core.adapters.base import Adapter
from redact_core.errors import RedactError, raise_together
from redact_core.evaluation.evidence_differences import differences
from redact_core.metrics.scorer import Trial
from redact_core.plan import PlanRow, parse_plan, plan_bytes, plan_digest
from redact_core.support.folders import new_folder, sha256
from redact_core.support.inside import check_files, is_name, links_out, relative
from redact_core.support.jsonl import LineWriter, line, read_lines, replace_file
from redact_core.support.paths import at_home
from redact_core.support.strict_json import strict_json

SCHEMA = 2
_READ = (1, SCHEMA)
"""In schema 1 the parts of all models lay side by side, see :func:`parts_of`."""
BASE = "base"
"""Name of the untouched model in every evidence folder."""

Sample = tuple[str, str]
"""Path relative to the folder, and SHA-256."""


@dataclass(frozen=True)
class Conduct:
    """How samples are made; all of it must stay the same when a run is continued."""

    batch_size: int
    precision: str
    device: str
    versions: Mapping[str, str]


class Evidence:
    """A folder that :func:`begin` made.

    Raises:
        RedactError: The folder is none, is of a newer schema, its plan was changed, or it leads out of itself.
    """

    def __init__(self, folder: Path):
        self.folder = folder = at_home(folder)
        check_files(folder)
        try:
            values: Any = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise RedactError(
                f"{folder} is no evidence folder: evidence.json cannot be read ({error.strerror}); "
                "give one that redact evaluate made."
            ) from error
        except ValueError as error:
            raise RedactError(f"{folder / 'evidence.json'} is damaged ({error}); restore it.") from error
        if not isinstance(values, dict) or values.get("schema") not in _READ:
            raise RedactError(
                f"{folder}: evidence.json has another schema than {' and '.join(map(str, _READ))}; update redact."
            )
        self.manifest: dict[str, Any] = values
        _check_received(folder, values)
        self.plan = parse_plan(enumerate(read_lines(folder / "plan.jsonl"), 1), str(folder / "plan.jsonl"))
        if sha256(folder / "plan.jsonl") != self.manifest["plan_file"]:
            raise RedactError(f"{folder / 'plan.jsonl'} was changed since it was written; restore it.")

    @property
    def models(self) -> list[str]:
        """The base first, then the redacted ones."""
        return list(self.manifest["models"])

    def chunks(self) -> list[list[int]]:
        """Plan indices in batches that are always the same, whoever makes or judges them."""
        size = self.manifest["conduct"]["batch_size"]
        return [list(range(i, min(i + size, len(self.plan)))) for i in range(0, len(self.plan), size)]

    def samples(self, model: str) -> dict[int, Sample]:
        """The samples of a model that are there, by plan index."""
        found: dict[int, Sample] = {}
        for part in parts_of(self.folder / "parts", model):
            for row in read_lines(part):
                found.setdefault(row["index"], (relative(row["sample"], str(part)), row["sha256"]))
        return dict(sorted(found.items()))

    def writer(self, adapter: Adapter, model: str, rank: int) -> SampleWriter:
        """Writes samples of ``model`` as the process ``rank``; a context."""
        return SampleWriter(self.folder, adapter, model, rank)

    def whole_chunks(self, model: str) -> list[list[int]]:
        """The chunks of which every sample of ``model`` and of the base is there."""
        there = self.samples(model).keys() & self.samples(BASE).keys()
        return [chunk for chunk in self.chunks() if there.issuperset(chunk)]

    def trials(self, model: str, indices: Sequence[int]) -> dict[int, Trial]:
        """What a scorer gets, by plan index; all samples must be there.

        Raises:
            RedactError: A sample is not the one that was generated.
        """
        own, base = self.samples(model), self.samples(BASE)
        samples = dict.fromkeys([*(own[i] for i in indices), *(base[i] for i in indices)])
        self._check(samples)
        return {
            i: Trial(self.plan[i], model, self.folder / own[i][0], self.folder / base[i][0]) for i in indices
        }

    def paths(self, model: str, indices: Sequence[int]) -> list[Path]:
        """Files of samples that are there, in order.

        Raises:
            RedactError: A sample is not the one that was generated.
        """
        own = self.samples(model)
        self._check(own[i] for i in indices)
        return [self.folder / own[i][0] for i in indices]

    def check_samples(self) -> None:
        """Compare every sample with its recorded hash.

        Raises:
            RedactError: Lists those that are missing or changed.
        """
        self._check(sample for model in self.models for sample in self.samples(model).values())

    def rows(self) -> list[dict[str, Any]]:
        """``rows.jsonl``; scores that could not be judged are ``nan``."""
        path = self.folder / "rows.jsonl"
        rows = read_lines(path, cut=f"write it anew with redact score {self.folder}")
        for row in rows:
            relative(row["sample"], str(path))
            row["scores"] = {k: math.nan if v is None else v for k, v in row["scores"].items()}
        return rows

    def write_rows(self, scores: Mapping[tuple[str, int], Mapping[str, float]]) -> None:
        """Write ``rows.jsonl`` anew, by model and then by plan index."""
        lines: list[bytes] = []
        for model in self.models:
            for i, (sample, digest) in self.samples(model).items():
                row = self.plan[i]
                lines.append(
                    line(
                        {
                            "model": model, "index": i, "task": row.task, "group": row.group,
                            "redacted": row.redacted, "condition": row.condition, "seed": row.seed,
                            "sample": sample, "sha256": digest, "labels": dict(row.labels),
                            "scores": dict(scores.get((model, i), {})),
                        }
                    )
                )  # fmt: skip
        replace_file(self.folder / "rows.jsonl", b"".join(lines))

    def note_command(self, command: str) -> None:
        """Add a command to the record."""
        if command not in self.manifest["commands"]:
            self.manifest["commands"].append(command)
            replace_file(self.folder / "evidence.json", _json(self.manifest))

    def _check(self, samples: Iterable[Sample]) -> None:
        problems: list[str] = []
        for name, digest in samples:
            path = self.folder / name
            if not path.is_file():
                problems.append(f"{name} is missing; restore it")
            elif sha256(path) != digest:
                problems.append(f"{name} was changed; restore it")
        raise_together(f"{self.folder} does not match its record", problems)


def parts_of(folder: Path, model: str) -> list[Path]:
    """What the processes wrote about ``model`` below ``folder``: ``MODEL/RANK.jsonl``.

    Schema 1 wrote ``MODEL.RANK.jsonl``. The rank is a number: "cig.robust.0.jsonl" is not of the model "cig".
    """
    old = re.compile(re.escape(model) + r"\.\d+\.jsonl")
    former = [path for path in folder.glob("*.jsonl") if old.fullmatch(path.name)]
    return [*sorted(former), *sorted((folder / model).glob("*.jsonl"))]


class SampleWriter:
    """Writes samples as files, and a line about each; a sample without its line does not count."""

    def __init__(self, folder: Path, adapter: Adapter, model: str, rank: int):
        self._folder, self._adapter, self._model = folder, adapter, model
        self._target = folder / "samples" / model
        # the sample gets its name when it is whole; each process has a place of its own until then
        self._part = self._target / f".part-{rank}"
        self._lines = LineWriter(folder / "parts" / model / f"{rank}.jsonl")

    def __enter__(self) -> SampleWriter:
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def write(self, indices: Sequence[int], samples: Sequence[Any]) -> None:
        """Write the ``samples`` of the plan's rows ``indices``."""
        rows: list[dict[str, Any]] = []
        for i, sample in zip(indices, samples, strict=True):
            part = self._adapter.write_sample(sample, self._part / f"{i:06d}")
            digest = sha256(part)
            path = part.replace(self._target / part.name)
            rows.append({"index": i, "sample": path.relative_to(self._folder).as_posix(), "sha256": digest})
        self._lines.append(rows)


def begin(
    folder: Path, plan: Sequence[PlanRow], models: Mapping[str, Mapping[str, Any]], conduct: Conduct,
    attacks: Mapping[str, Mapping[str, Any]] | None = None, seed: int | None = None,
) -> Evidence:  # fmt: skip
    """Make the evidence folder, or open it to go on.

    Args:
        folder: New, or one that was begun with the same arguments.
        plan: What every model is asked.
        models: Name -> :func:`redact_core.adapters.fingerprint.fingerprint`, the base first.
        conduct: How samples are made.
        attacks: Name -> class, arguments, access, budget of the attacks that the plan names.
        seed: Of everything that these attacks draw.

    Raises:
        RedactError: ``folder`` was begun with other models, another plan or another conduct.
    """
    new = {
        "schema": SCHEMA,
        "plan": plan_digest(plan),
        "plan_file": "",
        "models": dict(models),
        "conduct": {**vars(conduct), "versions": dict(conduct.versions)},
        "attacks": dict(attacks or {}),
        "seed": seed,
        "commands": [],
    }
    folder = at_home(folder)
    if not (folder / "evidence.json").exists():
        with new_folder(folder) as part:
            (part / "plan.jsonl").write_bytes(plan_bytes(plan))
            new["plan_file"] = sha256(part / "plan.jsonl")
            (part / "evidence.json").write_bytes(_json(new))
        return Evidence(folder)
    evidence = Evidence(folder)
    raise_together(f"{folder} was begun otherwise", differences(evidence.manifest, json.loads(_json(new))))
    return evidence


def _check_received(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Evidence may come from others: nothing in it may lead out of its folder.

    Raises:
        RedactError: A link leads out, or a model's name is no name of a file.
    """
    models = manifest.get("models")
    strange = [name for name in models if not is_name(name)] if isinstance(models, dict) else [models]
    if strange:
        raise RedactError(
            f"{folder / 'evidence.json'}: {strange[0]!r:.80} is no name of a model; do not use this folder."
        )
    for link in links_out(folder):
        raise RedactError(f"{link} is a link that leads out of the evidence; do not use this folder.")


def _json(values: Mapping[str, Any]) -> bytes:
    return (strict_json(values, "evidence.json") + "\n").encode("utf-8", "backslashreplace")
