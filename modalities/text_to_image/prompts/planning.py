"""What an evaluation of pictures asks: the groups of :mod:`.groups` as rows with expected labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modalities.text_to_image.prompts.expansion import understand
from modalities.text_to_image.prompts.groups import Case, groups
from modalities.text_to_image.prompts.names import tidied, without_article
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import PlanRow, RedactError, Request
from redact_core.evaluation.damage import LABEL
from redact_core.plan import SUBJECT

_REDACTED = {"redacted", "reworded", "synonyms"}
_NEAREST = 10


def named(request: Request, vocabulary: Vocabulary) -> Request:
    """The request with names as the vocabulary writes them; what it does not know stays.

    Raises:
        RedactError: A text is empty or several names.
    """

    def name(text: str) -> str:
        if not text.strip():  # no reference: a style is left out
            return text
        subject = understand(text, vocabulary)
        if subject.kind == "concept":
            bare = without_article(tidied(text)).lower()
            return bare if vocabulary.find(bare) else text
        known = vocabulary.style(subject.names[0]) if subject.kind == "style" else None
        return text if known is None or known in text else known

    found = tuple(dict.fromkeys(name(text) for text in request.redact if text.strip()))
    if len(found) < len(request.redact) and len(request.references) > 1:
        raise RedactError(
            "One thing is named twice in --redact; name each once, with one reference for each."
        )
    return replace(request, redact=found, references=tuple(map(name, request.references)))


def plan(
    request: Request,
    vocabulary: Vocabulary,
    distances: Mapping[str, Mapping[str, float]],
    bundled: bool,
    n: int,
) -> list[PlanRow]:
    """``n`` prompts of each group and subject; the seed of a row is its number.

    Rows that shall stay are labelled with ``rank`` (1 is the nearest) and ``distance`` of their
    concept from the subject, where these are known.

    Args:
        request: Concepts and styles of the vocabulary.
        vocabulary: Of the base.
        distances: Subject -> other concept -> how far it is from the subject, nearest first.
        bundled: Whether the base is the bundled one, whose understood phrasings are known.
        n: Prompts of a group.

    Raises:
        RedactError: A subject is a list of prompts or not in the vocabulary, or lacks its reference.
    """
    path = Path(__file__).parents[1] / "bundled" / "understood.json"
    understood = frozenset(json.loads(path.read_text(encoding="utf-8"))) if bundled else None
    rows: list[PlanRow] = []
    for i, subject in enumerate(request.redact):
        known = understand(subject, vocabulary)
        kind, name = known.kind, known.names[0] if known.names else subject
        if kind == "prompts" or (kind == "concept" and vocabulary.find(subject) is None):
            raise RedactError(
                f'"{subject}" is not in the vocabulary, so no conditions are known for it; give --plan FILE.'
            )
        reference = request.reference_of(i)
        if reference is None and kind == "concept":
            raise RedactError(f'The reference of "{subject}" is not named; give --reference WHAT.')
        cases = groups(
            subject, reference or "", vocabulary, list(distances.get(subject, {}))[:_NEAREST], n=n,
            understood=understood, seed=request.seed,
        )  # fmt: skip
        order = {name: k for k, name in enumerate(distances.get(subject, {}), 1)}
        task = kind if len(request.redact) == 1 else f"{kind} {subject}"
        for group, members in cases.items():
            gone = group in _REDACTED
            kept = members if gone else _without(members, request.redact, vocabulary)
            asked = kind if gone else "concept"
            made = [
                _row(case, group, task, asked, gone, reference, len(rows) + k, name)
                for k, case in enumerate(kept)
            ]
            rows += made if gone else [_placed(row, order, distances.get(subject, {})) for row in made]
    return rows


def _row(
    case: Case,
    group: str,
    task: str,
    kind: str,
    redacted: bool,
    reference: str | None,
    seed: int,
    subject: str,
) -> PlanRow:
    labels = {"kind": kind, "concept": case.concept, "style": case.style, SUBJECT: subject}
    if redacted and reference:
        labels["reference"] = reference
    return PlanRow(case.prompt, group, task, seed, redacted, labels)


def _placed(row: PlanRow, order: Mapping[str, int], distances: Mapping[str, float]) -> PlanRow:
    """The row with its concept's rank and distance."""
    name = row.labels["concept"]
    if name not in order:
        return row
    return replace(row, labels={**row.labels, "rank": str(order[name]), LABEL: f"{distances[name]:.4f}"})


def _without(cases: Sequence[Case], subjects: Sequence[str], vocabulary: Vocabulary) -> list[Case]:
    """Without what another subject of the same request redacts."""
    concepts, styles = set[str](), set[str]()
    for subject in subjects:
        known = vocabulary.find(subject)
        if known is not None:
            concepts.add(known.name)
        if understand(subject, vocabulary).kind == "style":
            styles |= set(understand(subject, vocabulary).names)
    return [case for case in cases if case.concept not in concepts and case.style not in styles]
