"""The redaction card: what was done to a model, written beside it for people and for programs."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from redact_core.artefacts.listed import differences
from redact_core.artefacts.receipt import FILE as RECEIPT
from redact_core.errors import RedactError
from redact_core.support.paths import at_home
from redact_core.support.strict_json import strict_json
from redact_core.types import Condition, Lesson, Mean

SCHEMA = 1
FILE = "redaction.json"
OWN_FILES = frozenset({FILE, RECEIPT, "README.md", "config.yaml"})
"""What an artefact holds beside the model; the next one made of it has its own."""
_OWN = {FILE, "README.md"}
SCOPE = (
    "The conditioning path of this folder was changed. The generator's own weights were not, so "
    "putting the stock encoder back undoes the redaction, as does passing embeddings that the stock "
    "encoder computed, or training the encoder again on what was removed."
)

Disclosure = Literal["text", "digest", "count"]


@dataclass(frozen=True)
class RedactionCard:
    """What ``redaction.json`` holds; every field is plain JSON."""

    base: dict[str, Any]
    """Source, revision and class of the untouched model."""
    method: dict[str, Any]
    """Adapter and objective with their arguments, steps, learning rate, seed."""
    request: dict[str, Any]
    """What was redacted and to what: as text, as keyed digests, or as a count."""
    changed: dict[str, dict[str, str | None]]
    """Files that differ from the base: SHA-256 before and after."""
    files: dict[str, str]
    """SHA-256 of every file of the folder except this card."""
    measures: dict[str, float]
    """What training measured; an evaluation adds its own."""
    versions: dict[str, str]
    created: str
    """UTC date and time, ISO 8601; with ``cost`` all that differs between two equal runs."""
    scope: str = SCOPE
    schema: int = SCHEMA
    notes: list[str] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)
    """``seconds`` and ``peak_bytes`` of training."""

    def write(self, folder: Path) -> None:
        """Write ``redaction.json`` and ``README.md``."""
        text = strict_json(asdict(self), f"{FILE} of {folder}", indent=2, sort_keys=True)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")
        (folder / "README.md").write_text(self.markdown(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> RedactionCard:
        """The card of ``folder``.

        Raises:
            RedactError: There is none, or it is damaged or of a newer schema.
        """
        folder = at_home(folder)
        path = folder / FILE
        if not path.is_file():
            raise RedactError(f"{folder} has no {FILE}; give a folder that redact wrote.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.get("schema") != SCHEMA:
                raise RedactError(
                    f"{path}: schema {values.get('schema')}, this version reads {SCHEMA}; update redact."
                )
            card = cls(**values)
            card._check()
            return card
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, RedactError):
                raise
            raise RedactError(
                f"{path}: is not a redaction card ({error}); restore it from a backup."
            ) from error

    def _check(self) -> None:
        """Refuse what is of another type: the card may come from others.

        Raises:
            TypeError: Says which field.
        """
        plain = {"base": dict, "method": dict, "request": dict, "notes": list, "created": str, "scope": str}
        wrong = [name for name, kind in plain.items() if not isinstance(getattr(self, name), kind)]
        for name, kind in (("files", str), ("changed", dict), ("versions", str)):
            values = getattr(self, name)
            if not isinstance(values, dict) or not all(isinstance(value, kind) for value in values.values()):
                wrong.append(name)
        for name in ("measures", "cost"):
            values = getattr(self, name)
            if not isinstance(values, dict) or not all(isinstance(v, int | float) for v in values.values()):
                wrong.append(name)
        if wrong:
            raise TypeError(f"{wrong[0]} is of another type than redact writes")

    def verify(self, folder: Path) -> list[str]:
        """What differs between the folder and the card; empty if all hashes agree.

        A link that leads out of the folder is a difference: what it leads to is not part of the model.
        """
        found = differences(at_home(folder), self.files, _OWN)
        stock: dict[str, str] = {}
        for name in found.altered:
            if self.changed.get(name, {}).get("before") == found.now[name]:
                # a configuration says how weights are loaded, and holds none
                undone = "" if Path(name).name == "config.json" else ": the redaction is undone"
                stock[name] = f"is the stock file again{undone}"
        return found.sentences(added="was added after redaction", altered=stock)

    def markdown(self) -> str:
        """The card for people, with the front matter that model hubs read."""
        base = self.base.get("source", "unknown")
        lines = [
            "---", f"base_model: {_scalar(str(base))}", "tags: [redacted]", "---", "", f"# {_words(Path(str(base)).name)}, redacted", "",
            f"An ordinary `{self.base.get('kind', 'model')}` folder in which chosen conditions no longer work.", "",
            "## What was redacted", "",
        ]  # fmt: skip
        lines += [f"- {_words(line)}" for line in _describe(self.request)]
        lines += ["", "## Scope", "", _words(self.scope), ""]
        lines += [_words(note) + "\n" for note in self.notes]
        lines += ["## Changed files", "", "| file | before | after |", "|---|---|---|"]
        lines += [
            f"| `{_words(name)}` | `{_short(pair.get('before'), 'absent')}` | `{_short(pair.get('after'), 'removed')}` |"
            for name, pair in sorted(self.changed.items())
        ]
        if self.measures:
            lines += ["", "## Measures at the end of training", "", "| measure | value |", "|---|---|"]
            lines += [f"| {_words(name)} | {value:.4g} |" for name, value in sorted(self.measures.items())]
        lines += [
            "",
            "## Method",
            "",
            "```json",
            strict_json(self.method, "The card", sort_keys=True),
            "```",
        ]
        lines += [
            "",
            "Versions: "
            + _words(", ".join(f"{k} {v}" for k, v in sorted(self.versions.items())))
            + f". Made {_words(self.created)}.",
        ]
        return "\n".join(lines) + "\n"


def _words(text: object) -> str:
    """``text`` in one line, which Markdown shows as it stands: no tags, no links, no cells of a table."""
    line = re.sub(r"\[(?=[^\]]*\]\()", r"\\[", " ".join(str(text).split()))
    return re.sub(r"[<|]", lambda match: "\\" + match[0], line).replace("`", "'")


def _scalar(text: str) -> str:
    """``text`` as a value of the front matter."""
    return (
        text if re.fullmatch(r"[\w./@~-]+", text) else json.dumps(text, ensure_ascii=False, allow_nan=False)
    )


def _short(digest: object, missing: str) -> str:
    return _words(digest or missing)[:12]


def describe_lessons(
    asked: Sequence[str], lessons: Sequence[Lesson], disclosure: Disclosure = "text", key: bytes | None = None
) -> dict[str, Any]:
    """What a card says about the lessons; a list of redacted people is itself sensitive.

    Args:
        asked: What the person asked for, e.g. ``("cigarette -> lollipop",)``.
        lessons: All rows.
        disclosure: ``text``, ``digest`` (HMAC-SHA-256 under ``key``, which the owner keeps, so that
            nobody else can search a dictionary), or ``count``.
        key: Needed for ``digest``.
    """
    rows = [lesson for lesson in lessons if lesson.redacted]
    summary: dict[str, Any] = {
        "disclosure": disclosure,
        "redacted_lessons": len(rows),
        "retained_lessons": len(lessons) - len(rows),
    }
    if disclosure == "text":
        summary["asked"] = list(asked)
        pairs = dict.fromkeys((_text(row.asked), _text(row.answer)) for row in rows)  # rows may be repeated
        summary["lessons"] = [list(pair) for pair in pairs]
    elif disclosure == "digest":
        if not key:
            raise RedactError("Digests need a key; give --export.key FILE with at least 16 random bytes.")
        summary["digests"] = sorted(digest(row.asked, key) for row in rows)
    return summary


def digest(condition: Condition, key: bytes) -> str:
    """HMAC-SHA-256 of a condition's text (of a clip: folder and file name) under the owner's key, hexadecimal."""
    return hmac.digest(key, _text(condition).encode(), "sha256").hex()


def _text(condition: Condition | Mean) -> str:
    if isinstance(condition, Mean):
        if len(condition.conditions) > 8:
            return f"mean of {len(condition.conditions)} conditions"
        return "mean: " + " | ".join(map(_text, condition.conditions))
    if isinstance(condition, Path):  # where the owner keeps the clips is nobody's business
        return "/".join(condition.parts[-2:])
    return condition


def _describe(request: Mapping[str, Any]) -> list[str]:
    counts = (
        f"{request.get('redacted_lessons')} redacted and {request.get('retained_lessons')} retained lessons"
    )
    if request.get("disclosure") == "text":
        return [*map(str, request.get("asked", [])), counts]
    if request.get("disclosure") == "digest":
        return [f"{counts}; the redacted conditions are listed as digests under the owner's key"]
    return [f"{counts}; the conditions are not disclosed"]
