"""What was done to a model before it was redacted now, as the folder that it came from records it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from redact_core.adapters.base import Origin
from redact_core.artefacts.card import FILE, SCOPE, Disclosure, RedactionCard, digest
from redact_core.artefacts.disclosure import HIDDEN, disclosed_config, disclosed_source
from redact_core.artefacts.receipt import FILE as RECEIPT
from redact_core.artefacts.receipt import read_receipt, withdrawn_people
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective

_OURS = re.compile(r"(redact_core|modalities|lightning_modules)(\.\w+)+")
"""Names of classes in a method, which tell nothing of what was redacted."""


@dataclass(frozen=True)
class History:
    """What the folder of a base says of itself."""

    card: RedactionCard | None = None
    """Its card."""
    notes: Sequence[str] = ()
    """Sentences for the next card."""


def history_of(origin: Origin) -> History:
    """What is known of the folder that ``origin`` names files of; nothing where it has neither card nor receipt."""
    folder = _folder(origin)
    return History() if folder is None else read_history(folder)


def read_history(folder: Path) -> History:
    """What ``folder`` says of itself.

    A card that cannot be read costs nobody the training that was made on the folder: a note says so in its place.
    """
    card, notes = None, []
    if (folder / RECEIPT).is_file():
        try:
            receipt = read_receipt(folder)
            count = withdrawn_people(receipt)
            notes.append(
                f"Of {count} {'people' if count > 1 else 'person'} the voices had been withdrawn from the encoder before "
                f"(receipt of {receipt['created']})."
            )
            card = (
                None
                if receipt.get("card") is None
                else RedactionCard.of(receipt["card"], str(folder / RECEIPT))
            )
        except RedactError:
            notes.append(_unread(RECEIPT))
    if (folder / FILE).is_file():
        try:
            card = RedactionCard.read(folder)
        except RedactError:
            notes.append(_unread(FILE))
    return History(card, notes)


def base_named(folder: Path) -> str:
    """The untouched model that the card of ``folder`` names as its base; empty where there is no card."""
    card = read_history(folder).card
    return "" if card is None else str(card.base.get("source") or "")


def earlier_redactions(
    history: History, objective: Objective, in_memory: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All redactions before the last, in order.

    Args:
        history: Of the base.
        objective: The last method, which may have begun with the weights of an earlier redaction.
        in_memory: Those since the base was loaded.
    """
    found = history.card.redactions if history.card else []
    for part in objective.modules():
        folder = part.begins_with if isinstance(part, Objective) else None
        started = None if folder is None else read_history(folder).card
        found += [one for one in (started.redactions if started else ()) if one not in found]
    return [*found, *map(dict, in_memory)]


def not_asked_for(earlier: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for the card of a changed generator, where the encoder had been redacted before.

    It compares no conditions, of which the card may not be allowed to tell.

    Args:
        earlier: Of :func:`earlier_redactions`.
    """
    numbers = [str(i) for i, one in enumerate(earlier, 1) if one["scope"] == SCOPE]
    if not numbers:
        return []
    return [
        f"The encoder had been changed before the generator was (redaction {' and '.join(numbers)}). What was redacted there "
        "reaches the generator as its reference, so of that this redaction made the generator forget nothing, and the stock "
        "encoder may bring it back. To redact it in both, begin with the untouched model: the generator first, then the encoder."
    ]


def disclosed_redaction(
    one: Mapping[str, Any], disclosure: Disclosure, key: bytes | None = None
) -> dict[str, Any]:
    """An earlier redaction with no more about it than may be said now, and no more than was said then.

    Args:
        one: Of :attr:`.RedactionCard.redactions`.
        disclosure: What may be said now.
        key: Of digests.
    """
    request = one["request"]
    then = request.get("disclosure")
    if disclosure == "text" or then == "count" or disclosure == then:
        return dict(one)
    counts = {name: request.get(name) for name in ("redacted_lessons", "retained_lessons")}
    told: dict[str, Any] = {"disclosure": "count", **counts}
    pairs = request.get("lessons")
    if disclosure == "digest" and key and isinstance(pairs, list):
        conditions = {str(pair[0]) for pair in pairs if isinstance(pair, list) and pair}
        told |= {"disclosure": "digest", "digests": sorted(digest(text, key) for text in conditions)}
    method = dict(one["method"])
    arguments = method.get("objective_arguments")
    if isinstance(arguments, Mapping):
        hidden = disclosed_config(arguments, disclosure)
        ours = {k: v for k, v in arguments.items() if isinstance(v, str) and _OURS.fullmatch(v)}
        method["objective_arguments"] = hidden | ours
    return {**one, "request": told, "method": method}


def disclosed_base(card: RedactionCard, disclosure: Disclosure) -> dict[str, Any]:
    """The untouched model that ``card`` names, with no more about it than may be said now."""
    base = {name: card.base.get(name) for name in ("source", "kind", "revision")}
    if disclosure == "text" or card.request.get("disclosure") != "text":
        return base
    named = str(base["source"])
    source = disclosed_source(named, disclosure)
    if source == named != "bundled" and base["revision"] is None:
        source = HIDDEN  # what is no folder here may have been one where the card was written
    return base | {"source": source}


def since_the_base(card: RedactionCard | None, changed: Mapping[str, Mapping[str, str | None]], files: Mapping[str, str]) -> dict[str, dict[str, str | None]]:  # fmt: skip
    """Files that differ from the untouched model: SHA-256 before all redactions and after.

    Args:
        card: Of the folder that was redacted last; ``None``: that is the untouched model.
        changed: What differs from that folder.
        files: All files now.
    """
    whole: dict[str, dict[str, str | None]] = {name: dict(pair) for name, pair in changed.items()}
    for name, pair in card.changed.items() if card else ():
        if name in files or pair.get("after") is None or name in changed:
            whole[name] = {"before": pair.get("before"), "after": files.get(name)}
    return {name: pair for name, pair in sorted(whole.items()) if pair["before"] != pair["after"]}


def departures(card: RedactionCard, now: Mapping[str, str]) -> list[str]:
    """A sentence for the next card where the folder's files are not those that its card lists.

    Args:
        card: Of the folder.
        now: SHA-256 of its files.
    """
    names = [
        n for n, pair in sorted(card.changed.items()) if n in now and pair.get("after") not in (None, now[n])
    ]
    if not names:
        return []
    return [
        f"In the folder that was redacted here, {', '.join(names)} differed from what its card says, so the earlier "
        "redactions may have been undone."
    ]


def _folder(origin: Origin) -> Path | None:
    """The folder that the files of ``origin`` are named in."""
    for name, path in origin.files.items():
        parts = PurePosixPath(name).parts
        if path.parts[-len(parts) :] == parts:
            return path.parents[len(parts) - 1]
    return None


def _unread(name: str) -> str:
    return (
        f"The folder that was redacted here held a {name} that cannot be read, so what was redacted in it before is not "
        "told."
    )
