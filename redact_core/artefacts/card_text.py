"""The card for people: ``README.md`` of a redacted folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redact_core.support.strict_json import strict_json

if TYPE_CHECKING:
    from redact_core.artefacts.card import RedactionCard


def markdown(card: RedactionCard) -> str:
    """``card`` in Markdown, with the front matter that model hubs read."""
    base = card.base.get("source", "unknown")
    lines = [
        "---", f"base_model: {_scalar(str(base))}", "tags: [redacted]", "---", "", f"# {_words(Path(str(base)).name)}, redacted", "",
        f"An ordinary `{card.base.get('kind', 'model')}` folder in which chosen conditions no longer work.", "",
        *_use(card.use),
        "## What was redacted", "",
    ]  # fmt: skip
    lines += _several(card.redactions) if card.earlier else _only(card)
    lines += ["## Changed files", "", "| file | before | after |", "|---|---|---|"]
    lines += [
        f"| `{_words(name)}` | `{_short(pair.get('before'), 'absent')}` | `{_short(pair.get('after'), 'removed')}` |"
        for name, pair in sorted(card.changed.items())
    ]
    if card.measures:
        lines += ["", "## Measures at the end of training", ""]
        lines += ["Of the last redaction.", ""] if card.earlier else []
        lines += ["| measure | value |", "|---|---|"]
        lines += [f"| {_words(name)} | {value:.4g} |" for name, value in sorted(card.measures.items())]
    lines += ["", "## Method"]
    for number, one in enumerate(card.redactions, 1):
        lines += ["", f"Redaction {number}:"] if card.earlier else []
        lines += ["", "```json", strict_json(one["method"], "The card", sort_keys=True), "```"]
    lines += [
        "",
        "Versions: "
        + _words(", ".join(f"{k} {v}" for k, v in sorted(card.versions.items())))
        + f". Made {_words(card.created)}.",
    ]
    return "\n".join(lines) + "\n"


def _use(use: Mapping[str, Any]) -> list[str]:
    """How the folder is opened, and with which settings it is called."""
    call = use.get("call")
    if not use.get("code"):
        return []
    lines = ["## Use", ""]
    if isinstance(call, Mapping) and call:
        given = ", ".join(f"`{_words(name)}={_words(value)}`" for name, value in call.items())
        lines += [
            f"Call it with {given}: a folder does not keep these, and the library's own may not suit the model.",
            "",
        ]
    code = str(use["code"]).replace("```", "").splitlines()
    return [*lines, "```python", "# FOLDER: where this file lies", *code, "```", ""]


def _only(card: RedactionCard) -> list[str]:
    """Request, scope and notes of the only redaction."""
    lines = [f"- {_words(line)}" for line in _describe(card.request)]
    lines += ["", "## Scope", "", _words(card.scope), ""]
    return lines + [_words(note) + "\n" for note in card.notes]


def _several(redactions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same of each of several redactions, in order."""
    lines = [f"In {len(redactions)} redactions, each on top of those before it.", ""]
    for number, one in enumerate(redactions, 1):
        method = str(one["method"].get("objective", "unknown")).rpartition(".")[2]
        lines += [f"### {number}. {_words(method)}, {_words(one['created'])}", ""]
        lines += [f"- {_words(line)}" for line in _describe(one["request"])]
        files = ", ".join(f"`{_words(name)}`" for name in sorted(one["changed"]))
        lines.append(f"- changed {files or 'in memory; the files are listed with a later redaction'}")
        lines += ["", _words(one["scope"]), ""]
        lines += [_words(note) + "\n" for note in one["notes"]]
    return lines


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


def _describe(request: Mapping[str, Any]) -> list[str]:
    counts = (
        f"{request.get('redacted_lessons')} redacted and {request.get('retained_lessons')} retained lessons"
    )
    if request.get("disclosure") == "text":
        return [*map(str, request.get("asked", [])), counts]
    if request.get("disclosure") == "digest":
        return [f"{counts}; the redacted conditions are listed as digests under the owner's key"]
    return [f"{counts}; the conditions are not disclosed"]
