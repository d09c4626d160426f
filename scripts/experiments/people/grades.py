"""How much of a person is left in embeddings, among everybody and among few, and what another encoder says to it."""

import math
import statistics
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from people.embeddings import Clip, Listener, middle
from redact_core.metrics.statistics import Rate, auroc, bootstrap_mean, wilson


def eer(positive: Tensor, negative: Tensor) -> float:
    """Where as many of the negatives are taken as positives are missed."""
    levels = torch.cat([positive, negative]).unique()
    missed = (positive[None] < levels[:, None]).float().mean(1)
    taken = (negative[None] >= levels[:, None]).float().mean(1)
    best = (missed - taken).abs().argmin()
    return ((missed + taken) / 2)[best].item()


class Grades:
    """The rows of one person."""

    def __init__(self, person: str):
        self.person, self.rows = person, list[dict]()

    def add(
        self, group: str, metric: str, base: Rate | float, redacted: Rate | float, n: int | None = None
    ) -> None:
        rate = redacted if isinstance(redacted, Rate) else Rate(redacted, redacted, redacted, n or 0)
        first = base.value if isinstance(base, Rate) else base
        row = {"person": self.person, "group": group, "metric": metric, "base": first, "redacted": rate.value,
               "n": rate.n, "low": rate.low, "high": rate.high}  # fmt: skip
        self.rows.append({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})

    def share(self, group: str, metric: str, base: Tensor, redacted: Tensor) -> None:
        self.add(
            group, metric, wilson(int(base.sum()), len(base)), wilson(int(redacted.sum()), len(redacted))
        )

    def mean(self, group: str, metric: str, base: Tensor, redacted: Tensor) -> None:
        self.add(group, metric, bootstrap_mean(base.tolist()), bootstrap_mean(redacted.tolist()))


class Gallery:
    """Everybody, enrolled by the untouched encoder."""

    def __init__(self, people: dict[str, Tensor], others: dict[str, Tensor]):
        self.people = list(people)
        self.names = [*people, *others]
        self.rows = torch.stack([*people.values(), *others.values()])

    def named(self, embeddings: Tensor, person: str) -> tuple[Tensor, Tensor, Tensor]:
        """Nearest of all; nearest among people; likeness to the person: ``(n,)`` each."""
        alike = normalize(embeddings, dim=1) @ self.rows.T
        column = self.people.index(person)
        few = alike[:, : len(self.people)]
        return alike.argmax(1) == column, few.argmax(1) == column, alike[:, column]

    def nearest(self, embeddings: Tensor) -> Tensor:
        return (normalize(embeddings, dim=1) @ self.rows.T).argmax(1)


class Judge:
    """An encoder of another kind: how like the person it finds whoever the encoder under test names, and the reference.

    An embedding of the encoder under test means nothing to it, so it listens to a clip of the one who is named.
    """

    def __init__(self, listener: Listener, everybody: dict[str, list[Clip]]):
        self.listener, self.everybody = listener, everybody

    def embed(self, clips: Sequence[Clip]) -> Tensor:
        return torch.stack([self.listener(clip.path, 1).embedding for clip in clips])

    def grade(
        self, grades: Grades, own: list[Clip], reference: list[Clip], strangers: list[list[Clip]],
        gallery: Gallery, before: Tensor, behind: Tensor,
    ) -> None:  # fmt: skip
        """Rows of the reference's clips, and of those whom ``before (n, dim)`` and ``behind (n, dim)`` are nearest to."""
        voice = middle(self.embed(own))
        found = normalize(self.embed(reference), dim=1) @ voice
        others = normalize(self.embed([one[0] for one in strangers][:40]), dim=1) @ voice
        grades.add(
            "reference, by the judge", "likeness", others.mean().item(), found.mean().item(), len(found)
        )
        grades.add("reference, by the judge", "auroc", 0.5, auroc(found, others), len(found))
        named = [
            torch.stack([self._last(gallery.names[i]) @ voice for i in gallery.nearest(rows).tolist()])
            for rows in (before, behind)
        ]
        grades.mean("whom the encoder names, by the judge", "likeness", *named)
        grades.add("strangers, by the judge", "likeness", math.nan, others.mean().item(), len(others))

    def _last(self, name: str) -> Tensor:
        """``(dim,)`` of a person's last clip, which taught nothing if there are enough."""
        return normalize(self.embed(self.everybody[name][-1:])[0], dim=0)


def table(rows: list[dict]) -> str:
    """Means over people."""
    found: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        found.setdefault((row["group"], row["metric"]), []).append(row)
    lines = ["| group | metric | people | before | after | worst person |", "|---|---|---|---|---|---|"]

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".") or "0"

    for (group, metric), some in found.items():
        before = [r["base"] for r in some if r["base"] is not None]
        after = [r["redacted"] for r in some if r["redacted"] is not None]
        if not after:
            continue
        worst = min(after) if group.startswith("kept") else max(after)
        first = shown(statistics.fmean(before)) if before else ""
        lines.append(
            f"| {group} | {metric} | {len(some)} | {first} | {shown(statistics.fmean(after))} | {shown(worst)} |"
        )
    return "\n".join(lines) + "\n"
