"""Which embeddings are of one voice, where nobody says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core.types import Condition


def by_folder(conditions: Sequence[Condition]) -> list[list[int]]:
    """Which of ``conditions`` lie in one folder; those that are no paths of files in folders are together."""
    folders: dict[Path, list[int]] = {}
    for i, condition in enumerate(conditions):
        folders.setdefault(Path(condition).parent, []).append(i)
    return list(folders.values())


def voices_of(conditions: Sequence[Condition], embeddings: Tensor, together: float) -> list[list[int]]:
    """Rows of one voice: those of a folder, if they are alike, else those that are.

    A folder may hold one clip of each of many people; then it says nothing.

    Args:
        conditions: One for each row.
        embeddings: ``(n, dim)`` directions.
        together: Cosine from which rows belong together.
    """
    found: list[list[int]] = []
    for rows in by_folder(conditions):
        some = embeddings[rows]
        pairs = (some @ some.T)[~torch.eye(len(rows), dtype=torch.bool)]
        if len(rows) == 1 or pairs.mean() >= together:
            found.append(rows)
        else:
            found += [[rows[i] for i in group] for group in groups_of(some, together)]
    return found


def groups_of(embeddings: Tensor, together: float) -> list[list[int]]:
    """Rows that belong together: each joins the group whose mean is nearest, or begins one.

    Args:
        embeddings: ``(n, dim)`` directions.
        together: Cosine to the group's mean from which a row joins.
    """
    groups: list[list[int]] = []
    sums: list[Tensor] = []
    for i, row in enumerate(embeddings):
        if sums:
            alike = normalize(torch.stack(sums), dim=1) @ row
            best = int(alike.argmax())
            if alike[best] >= together:
                groups[best].append(i)
                sums[best] = sums[best] + row
                continue
        groups.append([i])
        sums.append(row)
    return groups
