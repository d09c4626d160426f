"""What an evaluation of a table of voices asks: the redacted rows, the nearest ones, and the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_speech.voices.planning import SEPARATOR
from modalities.text_to_speech.voices.speaker_names import SpeakerNames
from redact_core import PlanRow, RedactError, Request
from redact_core.evaluation.damage import LABEL
from redact_core.plan import SUBJECT

NEIGHBOURS = 5


def plan(request: Request, names: SpeakerNames, table: Tensor, texts: Sequence[str], n: int) -> list[PlanRow]:
    """Groups ``redacted``, ``neighbours`` and ``retained``, ``n`` rows of each that is not empty.

    Rows that stay are labelled with their ``rank`` (1 is the nearest) and ``distance`` from the
    redacted speaker.

    Args:
        request: Names or ids of speakers.
        names: Of the table.
        table: ``(speakers, dim)`` of the untouched model.
        texts: Of which a seed chooses one.
        n: Rows of a group.

    Raises:
        RedactError: Unknown speakers, or nobody is retained.
    """
    gone = names.find(request.redact)
    voices = [names.name(speaker) for speaker in gone]
    rows: list[PlanRow] = []
    for i, speaker in enumerate(gone):
        given = request.reference_of(i)
        reference = names.name(names.find([given])[0]) if given not in (None, "mean") else None
        away = distances(table, speaker, names, [x for x in names.others(gone) if x != reference])
        order = list(away)
        if not order:
            raise RedactError(
                "No speaker is left beside the redacted ones and their reference; keep another."
            )
        near = order[: min(NEIGHBOURS, (len(order) + 1) // 2)]
        groups = {
            "redacted": [voices[i]], "neighbours": near, "retained": order[len(near) :]
        }  # fmt: skip
        task = "voice" if len(gone) == 1 else f"voice {voices[i]}"
        for k, (group, members) in enumerate(groups.items()):
            for j in range(n if members else 0):
                name, seed = members[j % len(members)], request.seed + 1000 * k + j
                labels = {
                    "voice": name, "sentence": texts[seed % len(texts)],
                    "redacted voices": SEPARATOR.join(voices), SUBJECT: voices[i],
                }  # fmt: skip
                if group == "redacted":
                    labels |= {"reference": reference} if reference else {}
                else:
                    labels |= {"rank": str(order.index(name) + 1), LABEL: f"{away[name]:.4f}"}
                rows.append(PlanRow(name, group, task, seed, group == "redacted", labels))
    return rows


def distances(table: Tensor, speaker: int, names: SpeakerNames, others: Sequence[str]) -> dict[str, float]:
    """Name -> 1 less the cosine of the centred rows, nearest first."""
    if not others:
        return {}
    rows = table.float() - table.float().mean(0)
    away = (1 - torch.cosine_similarity(rows[[speaker]], rows[names.find(others)])).tolist()
    return {others[i]: away[i] for i in sorted(range(len(away)), key=lambda i: away[i])}
