"""The redaction card: what was done to a model, written beside it for people and for programs."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from redact_core.artefacts.card_text import markdown
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
OF_ONE = ("request", "method", "changed", "measures", "versions", "created", "scope", "notes", "cost")
"""Fields of the card that tell of one redaction; where there were several, those of the last."""


@dataclass(frozen=True)
class RedactionCard:
    """What ``redaction.json`` holds; every field is plain JSON.

    Of a model that was redacted several times, ``base``, ``changed`` and ``files`` tell of the whole, the other fields of the
    last redaction; those before it are in ``earlier``.
    """

    base: dict[str, Any]
    """Source, revision and class of the untouched model, as far as is known: where the folder that was redacted has a card,
    what that names."""
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
    use: dict[str, Any] = field(default_factory=dict)
    """``code`` that opens the folder with the original library, and ``call``: arguments of its call that no folder keeps."""
    earlier: list[dict[str, Any]] = field(default_factory=list)
    """The redactions before the last, in order: of each the fields of :data:`OF_ONE`. Its ``changed`` are the files that it
    changed; empty where nothing was written before the next redaction, whose ``changed`` then holds the files of both."""

    def write(self, folder: Path) -> None:
        """Write ``redaction.json`` and ``README.md``."""
        values = asdict(self)
        for name in ("earlier", "use"):  # so that versions that do not know of them read a card without
            if not values[name]:
                del values[name]
        text = strict_json(values, f"{FILE} of {folder}", indent=2, sort_keys=True)
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
        except (ValueError, AttributeError) as error:
            if isinstance(error, RedactError):
                raise
            raise _no_card(str(path), error) from error
        return cls.of(values, str(path))

    @classmethod
    def of(cls, values: Mapping[str, Any], place: str) -> RedactionCard:
        """The card with these fields.

        Args:
            values: By name.
            place: Where they stand, for the message.

        Raises:
            RedactError: Fields are missing, unknown, or of another type.
        """
        try:
            card = cls(**values)
            card._check()
        except TypeError as error:
            raise _no_card(place, error) from error
        return card

    def _check(self) -> None:
        """Refuse what is of another type: the card may come from others.

        Raises:
            TypeError: Says which field.
        """
        wrong = [
            name
            for name, kind in (("base", dict), ("use", dict), ("earlier", list))
            if not isinstance(getattr(self, name), kind)
        ]
        wrong += _wrong({"files": self.files}, {"files": str})
        wrong += _wrong_of_one({name: getattr(self, name) for name in OF_ONE})
        for one in self.earlier if not wrong else ():
            wrong += [f"earlier: {name}" for name in _wrong_of_one(one)]
        if wrong:
            raise TypeError(f"{wrong[0]} is of another type than redact writes")

    def verify(self, folder: Path) -> list[str]:
        """What differs between the folder and the card; empty if all hashes agree.

        A link that leads out of the folder is a difference: what it leads to is not part of the model.
        """
        found = differences(at_home(folder), self.files, _OWN)
        stock: dict[str, str] = {}
        for name in found.altered:
            # a configuration says how weights are loaded, and holds none
            weights = Path(name).name != "config.json"
            if self.changed.get(name, {}).get("before") == found.now[name]:
                stock[name] = f"is the stock file again{': the redaction is undone' if weights else ''}"
            elif any(one["changed"].get(name, {}).get("after") == found.now[name] for one in self.earlier):
                stock[name] = (
                    f"is that of an earlier redaction{': the later one is undone' if weights else ''}"
                )
        return found.sentences(added="was added after redaction", altered=stock)

    @property
    def redactions(self) -> list[dict[str, Any]]:
        """All redactions in the order in which they were made, the last one in the form of :attr:`earlier`."""
        last = {name: getattr(self, name) for name in OF_ONE if name != "changed"}
        return [*self.earlier, last | {"changed": self._changed_last()}]

    def whole_cost(self) -> dict[str, float]:
        """What all redactions together took: their seconds, and the highest of their peaks of memory.

        A figure that one of them does not state is left out, for a sum without it would be too low.
        """
        costs = [one["cost"] for one in self.redactions]
        ways: dict[str, Callable[[list[float]], float]] = {"seconds": sum, "peak_bytes": max}
        return {
            name: way([cost[name] for cost in costs])
            for name, way in ways.items()
            if all(name in cost for cost in costs)
        }

    def _changed_last(self) -> dict[str, dict[str, str | None]]:
        """Files that the last redaction changed: SHA-256 before it and after."""
        before: dict[str, str | None] = {}
        for one in self.earlier:
            before |= {name: pair.get("after") for name, pair in one["changed"].items()}
        found: dict[str, dict[str, str | None]] = {}
        for name, pair in self.changed.items():
            then = before.get(name, pair.get("before"))
            if then != pair.get("after"):
                found[name] = {"before": then, "after": pair.get("after")}
        return found

    def markdown(self) -> str:
        """The card for people, with the front matter that model hubs read."""
        return markdown(self)


def _no_card(place: str, error: Exception) -> RedactError:
    return RedactError(f"{place}: is not a redaction card ({error}); restore it from a backup.")


def _wrong_of_one(one: Any) -> list[str]:
    """Names of the fields of :data:`OF_ONE` that are of another type."""
    if not isinstance(one, dict):
        return ["entry"]
    plain = {"method": dict, "request": dict, "notes": list, "created": str, "scope": str}
    wrong = [name for name, kind in plain.items() if not isinstance(one.get(name), kind)]
    return wrong + _wrong(
        one, {"changed": dict, "versions": str, "measures": int | float, "cost": int | float}
    )


def _wrong(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[str]:
    """Names of the ``values`` that are no dictionaries with entries of these ``kinds``."""
    return [
        name
        for name, kind in kinds.items()
        if not isinstance(held := values.get(name), dict)
        or not all(isinstance(v, kind) for v in held.values())
    ]


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
