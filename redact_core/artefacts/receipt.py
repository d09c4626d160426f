"""The receipt of withdrawals: which clips were withdrawn, by their hashes, and what the folder holds since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.artefacts.listed import differences
from redact_core.errors import RedactError
from redact_core.support.csv_rows import read_csv
from redact_core.support.folders import sha256
from redact_core.support.paths import at_home

FILE = "receipt.json"


def read_withdrawals(path: Path) -> dict[str, list[Path]]:
    """Id -> clips of a CSV file with the columns ``id,clip``, a line for each clip; paths are relative to it.

    Raises:
        RedactError: It cannot be read (see :func:`read_csv`), columns are missing, or clips that are named are not there.
    """
    path = at_home(path)
    columns, rows = read_csv(path)
    if not {"id", "clip"} <= set(columns):
        raise RedactError(f"{path}: the first line must name the columns id, clip.")
    found: dict[str, list[Path]] = {}
    for number, row in rows:
        if not row["id"] or not row["clip"]:
            raise RedactError(f"{path}: line {number} lacks an id or a clip; give both.")
        found.setdefault(row["id"].strip(), []).append(path.parent / row["clip"].strip())
    missing = [str(clip) for clips in found.values() for clip in clips if not clip.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more are missing" if len(missing) > 1 else ""
        raise RedactError(f"{path}: there is no file {missing[0]}{more}.")
    if not found:
        raise RedactError(f"{path} names nobody; give a line for each clip.")
    return found


def read_receipt(folder: Path) -> dict[str, Any]:
    """The receipt of ``folder``.

    Raises:
        RedactError: There is none, or it is damaged.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        good = isinstance(found["created"], str) and isinstance(found["gates"], int)
        good = good and all(isinstance(value, str) for value in found["files"].values())
        good = good and all(isinstance(value, str) for _, value in _told(found))
    except OSError as error:
        raise RedactError(f"{folder} has no {FILE}; give a folder of withdrawals.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedactError(f"{path} is not a receipt of withdrawals; restore it from a backup.") from error
    if not good:
        raise RedactError(f"{path} is not a receipt of withdrawals; restore it from a backup.")
    return found


def receipt_problems(folder: Path, receipt: Mapping[str, Any]) -> list[str]:
    """What differs between the files of ``folder`` and its receipt; empty if all hashes agree and no link leads out."""
    return differences(folder, receipt["files"], {FILE}).sentences()


def unlisted(receipt: Mapping[str, Any], gone: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Clips of ``gone`` whose hashes neither the receipt nor an earlier one in it lists for their id."""
    told = _told(receipt)
    return [clip for name, clips in gone.items() for clip in clips if (name, sha256(clip)) not in told]


def withdrawn_hashes(receipt: Mapping[str, Any]) -> set[str]:
    """SHA-256 of every clip that the receipt, or an earlier one in it, lists."""
    return {value for _, value in _told(receipt)}


def withdrawn_people(receipt: Mapping[str, Any]) -> int:
    """How many ids the receipt, or an earlier one in it, lists."""
    return len({name for name, _ in _told(receipt)})


def _told(receipt: Mapping[str, Any]) -> set[tuple[str, Any]]:
    """Id and SHA-256 of every clip that the receipt, or an earlier one in it, lists."""
    found: set[tuple[str, Any]] = set()
    earlier: Any = receipt
    while earlier is not None:
        withdrawn: Mapping[str, Any] = earlier["withdrawn"]
        found |= {(name, clip["sha256"]) for name, entry in withdrawn.items() for clip in entry["clips"]}
        earlier = earlier.get("earlier")
    return found
