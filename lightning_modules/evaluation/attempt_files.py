"""Attempts as files that can be replayed: ``attempts/MODEL.jsonl`` and, beside it, what is no text.

A line holds the plan index, the attack, ``kind`` (condition, clip, conditioning or sample), the
condition or the file's path relative to the evidence, queries, seconds and losses. Conditionings are
safetensors with ``hidden``, ``mask`` and maybe ``pooled``.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from redact_core import Attempt, Conditioning, RedactError
from redact_core.support.folders import write_whole
from redact_core.support.inside import inside
from redact_core.support.jsonl import LineWriter, line, read_lines, replace_file


class AttemptWriter:
    """Writes what was attempted on ``model`` into the evidence ``folder``; a context.

    Args:
        folder: Of the evidence.
        model: What is attacked.
        again: Indices of the plan that will be attempted; lines about them, of a call that was stopped before it
            had their samples, are removed.
    """

    def __init__(self, folder: Path, model: str, again: Collection[int] = ()):
        self._folder, self._own = folder, folder / "attempts" / model
        path = folder / "attempts" / f"{model}.jsonl"
        rows = read_lines(path)
        kept = [row for row in rows if row["index"] not in again]
        if len(kept) < len(rows):
            replace_file(path, b"".join(map(line, kept)))
        self._lines = LineWriter(path)

    def __enter__(self) -> AttemptWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def write(
        self, indices: Sequence[int], attack: str, attempts: Sequence[Attempt], seconds: float
    ) -> list[Attempt]:
        """Write the attempts on the plan's rows ``indices``; clips come back as their copies.

        Args:
            indices: Of the plan.
            attack: Its name.
            attempts: One for each index.
            seconds: That a row took.
        """
        rows: list[dict[str, Any]] = []
        kept: list[Attempt] = []
        for i, attempt in zip(indices, attempts, strict=True):
            head = {"index": i, "attack": attack}
            tail = {
                "queries": attempt.queries,
                "seconds": round(seconds, 3),
                "losses": [float(f"{loss:.5g}") for loss in attempt.losses],
            }
            if isinstance(attempt.condition, Path):
                copy = self._own / f"{i:06d}{attempt.condition.suffix}"
                copy.parent.mkdir(parents=True, exist_ok=True)
                if copy.resolve() != attempt.condition.resolve():
                    shutil.copyfile(attempt.condition, copy)
                attempt = replace(attempt, condition=copy)
                body = {"kind": "clip", "file": copy.relative_to(self._folder).as_posix()}
            elif attempt.condition is not None:
                body = {"kind": "condition", "condition": attempt.condition}
            elif attempt.conditioning is not None:
                path = self._own / f"{i:06d}.safetensors"
                write_whole(path, save(_tensors(attempt.conditioning)))
                body = {"kind": "conditioning", "file": path.relative_to(self._folder).as_posix()}
            else:
                body = {"kind": "sample"}
            rows.append({**head, **body, **tail})
            kept.append(attempt)
        self._lines.append(rows)
        return kept


def load_attempt(folder: Path, record: Mapping[str, Any]) -> Attempt:
    """The attempt that a line of ``attempts/MODEL.jsonl`` in the evidence ``folder`` means.

    Raises:
        RedactError: Its file is missing, damaged or outside the folder, or it was a sample, which no other model
            makes.
    """
    if record["kind"] == "condition":
        return Attempt(condition=record["condition"])
    if record["kind"] == "sample":
        raise RedactError(f"{record['attack']} found samples, not conditions; they cannot be replayed.")
    path = inside(folder, record["file"], f"{folder / 'attempts'}")
    if record["kind"] == "clip":
        return Attempt(condition=path)
    try:
        values = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RedactError(f"{path} cannot be read as a conditioning ({error}); restore it.") from error
    return Attempt(conditioning=Conditioning(values["hidden"], values["mask"], values.get("pooled")))


def _tensors(conditioning: Conditioning) -> dict[str, Any]:
    values = {
        "hidden": conditioning.hidden, "mask": conditioning.mask, "pooled": conditioning.pooled,
    }  # fmt: skip
    return {name: value.detach().cpu().contiguous() for name, value in values.items() if value is not None}
