"""Writing a redacted model: the original library's folder, the card, and the config if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from redact_core.adapters.base import Adapter
from redact_core.artefacts.card import FILE, OWN_FILES, SCOPE, Disclosure, RedactionCard, describe_lessons
from redact_core.artefacts.disclosure import disclosed_config, disclosed_source
from redact_core.artefacts.history import (
    departures,
    disclosed_base,
    disclosed_redaction,
    earlier_redactions,
    history_of,
    since_the_base,
)
from redact_core.artefacts.work import Work
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective
from redact_core.support.folders import hashes, new_folder, sha256
from redact_core.support.versions import versions

UNCHANGED = (
    "Every weight is still the base's, in the base's number format: nothing was redacted and nothing was exported. "
    "Train for more steps, or with a higher learning rate or redact_weight; if all of it had been redacted before, the base is "
    "what you want."
)
_LIBRARIES = ("torch", "lightning", "transformers", "diffusers", "speechbrain", "safetensors")


def card_of(
    adapter: Adapter, work: Work, disclosure: Disclosure = "text", key: bytes | None = None
) -> RedactionCard:
    """The card of a model in memory: all but the hashes of its files, of which there are none yet.

    Args:
        adapter: The redacted model.
        work: What was done to it.
        disclosure: What may be said about the redacted conditions.
        key: Of digests.

    Raises:
        RedactError: Digests are wanted and there is no key.
    """
    origin, history = adapter.origin, history_of(adapter.origin)
    base = {
        "source": disclosed_source(origin.source, disclosure),
        "kind": origin.kind,
        "revision": origin.revision,
    }
    earlier = earlier_redactions(history, work.objective, work.earlier)
    own = record_of(adapter, work, disclosure, key)
    own["notes"] += history.notes
    return RedactionCard(
        base=base if history.card is None else disclosed_base(history.card, disclosure),
        files={},
        use={"code": code, "call": dict(adapter.call_settings())} if (code := adapter.usage()) else {},
        earlier=[disclosed_redaction(one, disclosure, key) for one in earlier],
        **own,
    )


def record_of(
    adapter: Adapter, work: Work, disclosure: Disclosure = "text", key: bytes | None = None
) -> dict[str, Any]:
    """What a card says of one redaction, as :attr:`.RedactionCard.earlier` keeps it; the arguments are those of :func:`card_of`."""
    objective, done = work.objective, work.done
    method = {
        "adapter": _name(adapter),
        "objective": _name(objective),
        "objective_arguments": disclosed_config(_plain(vars(objective)), disclosure) | _parts(objective),
        "steps": done.steps if done else 0,
        "learning_rate": work.learning_rate,
        "batch_size": work.batch_size,
        "seed": work.seed,
    }
    return {
        "request": describe_lessons(work.asked, work.lessons, disclosure, key),
        "method": method | (done.settings if done else {}),
        "changed": {},
        "measures": dict(work.measures),
        "versions": versions(_LIBRARIES),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "scope": objective.scope or SCOPE,
        "notes": work.notes(),
        "cost": dict(work.cost),
    }


def write_artefact(
    folder: Path, adapter: Adapter, card: RedactionCard, *, config: str = "", advice: str = "then run again"
) -> RedactionCard:
    """Save the adapter's folder with card and config; see :func:`redact_core.support.folders.new_folder`.

    Args:
        folder: To be made.
        adapter: The redacted model.
        card: Of :func:`card_of`.
        config: Text of ``config.yaml``; empty for none.
        advice: Of :func:`redact_core.support.folders.new_folder`.

    Returns:
        The card as it was written, with the hashes of the files.

    Raises:
        RedactError: The folder exists or cannot be written, or every file of the model is the base's.
    """
    origin, before = adapter.origin, history_of(adapter.origin).card
    in_memory = takewhile(lambda one: not one["changed"], reversed(card.earlier))
    untouched = all(scope == SCOPE for scope in (card.scope, *(one["scope"] for one in in_memory)))
    with new_folder(folder, advice) as part:
        adapter.save(part)
        if config:
            (part / "config.yaml").write_text(config, encoding="utf-8")
        files = {name: value for name, value in hashes(part).items() if name not in (FILE, "README.md")}
        then = {
            name: sha256(path)
            for name, path in origin.files.items()
            if name in files or name in origin.entries
        }
        changed: dict[str, dict[str, str | None]] = {}
        for name, after in files.items():
            if then.get(name) != after and not (untouched and name not in then and origin.keeps(name)):
                changed[name] = {"before": then.get(name), "after": after}
        for name in sorted(origin.entries - set(files)):
            changed[name] = {"before": then[name], "after": None}
        # a configuration that was adapted redacts nothing
        if not {name for name in set(changed) - OWN_FILES if not name.endswith(".json")}:
            raise RedactError(UNCHANGED)
        changed = since_the_base(before, changed, files)
        notes = [*card.notes, *(departures(before, then) if before else ())]
        whole = replace(card, files=files, changed=changed, notes=notes)
        whole.write(part)
    return whole


def _name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _parts(objective: Objective) -> dict[str, str]:
    """The methods that a method is made of."""
    return {name: _name(part) for name, part in objective.named_children() if isinstance(part, Objective)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = (bool, int, float, str)
    return {
        k: v for k, v in values.items() if isinstance(v, plain) and not k.startswith("_") and k != "training"
    }
