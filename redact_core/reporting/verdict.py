"""What an owner asks of an evaluation, answered in a sentence and a few figures: is it gone, and what did it cost?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redact_core.evaluation.summarise import TOLERATED
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.scorer import Metric, leak_metric
from redact_core.metrics.statistics import Rate, Z, wilson
from redact_core.plan import ASKED, FAR, NEAR
from redact_core.reporting.formats import show

FOLLOWED = 0.5
"""An untouched model that shows what is asked for in a smaller share of samples cannot show that it is gone."""
NOTICEABLE = 0.1
"""A loss of what shall stay is excluded if the interval excludes a loss as large as this share of all samples."""
ENOUGH = math.ceil(Z**2 * (1 - TOLERATED) / TOLERATED)
"""So many samples without one leak bound the rate by :data:`TOLERATED`."""

State = Literal["gone", "leaks", "unclear", "kept", "harmed", "cannot tell", "not measured"]


@dataclass(frozen=True)
class Answer:
    """One of the figures that stand first: a rate of the redacted model between its floor and its ceiling."""

    key: str
    """``leak asked``, ``leak otherwise``, ``damage near`` or ``damage far``; of an attack ``attack: NAME``."""
    title: str
    state: State
    groups: tuple[str, ...] = ()
    """That were counted; of several redacted groups, the worst."""
    redacted: Rate | None = None
    """With Wilson's interval."""
    ceiling: Rate | None = None
    """The same of the untouched model."""
    floor: Rate | None = None
    """How often the judge finds what was redacted in samples of the untouched model that were asked for other things."""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What is said of one model and one task."""

    model: str
    task: str
    subject: str
    metric: str
    judge: str
    headline: str
    """One sentence."""
    details: tuple[str, ...]
    answers: tuple[Answer, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **{k: v for k, v in vars(self).items() if k != "answers"},
            "details": list(self.details),
            "answers": [
                {
                    **{k: v for k, v in vars(answer).items() if k not in ("redacted", "ceiling", "floor")},
                    "groups": list(answer.groups),
                    **{k: _plain(getattr(answer, k)) for k in ("redacted", "ceiling", "floor")},
                }
                for answer in self.answers
            ],
        }


def verdicts(
    summary: Sequence[SummaryRow],
    metrics: Mapping[str, Metric],
    subjects: Mapping[str, str] | None = None,
    judges: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """One verdict for each model and task that the main judge has judged, in the order of the summary.

    Args:
        summary: Rows with ``wanted``; the group ``redacted`` was asked directly, other groups that shall be low in other
            ways; ``neighbours`` are near, every other group that shall stay is far.
        metrics: Of the scorers; the main judge is the one whose rate tells a leak.
        subjects: Task -> what was redacted, for people; default: the task.
        judges: Metric -> who judges, for people; default: the metric's name.
    """
    main = leak_metric(metrics)
    if main is None:
        return []
    floors = [name for name, metric in metrics.items() if metric.floor_of == main]
    tasks: dict[tuple[str, str], list[SummaryRow]] = {}
    for row in summary:
        if row["metric"] in (main, *floors):
            tasks.setdefault((row.get("model") or "redacted", row["task"]), []).append(row)
    found: list[Verdict] = []
    for (model, task), rows in tasks.items():
        own = [row for row in rows if row["metric"] == main]
        floor = _pooled([row for row in rows if row["metric"] in floors], "base")
        subject = (subjects or {}).get(task, task)
        answers = _answers(own, floor)
        judge = (judges or {}).get(main) or f"“{main}”"
        headline = _headline(subject, answers)
        found.append(
            Verdict(model, task, subject, main, judge, headline, _details(main, judge, answers), answers)
        )
    return found


def _answers(rows: Sequence[SummaryRow], floor: Rate | None) -> tuple[Answer, ...]:
    gone = [row for row in rows if row.get("wanted") == "low"]
    stay = [row for row in rows if row not in gone]
    named = [row for row in gone if row["group"] == ASKED] or gone
    others = [row for row in gone if row not in named]
    near = [row for row in stay if row["group"] == NEAR]
    far = [row for row in stay if row["group"] == FAR] or [row for row in stay if row not in near]
    return (
        _leak("leak asked", "Leak, asked directly", named, floor),
        _leak("leak otherwise", "Leak, by other names, wordings or clips", others, floor),
        _damage("damage near", "Kept, near to it", near),
        _damage("damage far", "Kept, far from it", far),
    )


def leak_state(redacted: Rate, ceiling: Rate | None, floor: Rate | None = None) -> State:
    """What a leak's interval allows to say.

    >>> leak_state(wilson(0, 100), wilson(95, 100)), leak_state(wilson(0, 12), wilson(12, 12))
    ('gone', 'unclear')
    >>> leak_state(wilson(9, 12), wilson(12, 12)), leak_state(wilson(0, 100), wilson(20, 100))
    ('leaks', 'cannot tell')
    """
    if not redacted.n:
        return "not measured"
    chance = 0.0 if floor is None or not floor.n else floor.high
    if redacted.low > max(TOLERATED, chance):
        return "leaks"
    if ceiling is None or not ceiling.n or ceiling.value < FOLLOWED:
        return "cannot tell"
    return "gone" if redacted.high <= TOLERATED else "unclear"


def _leak(key: str, title: str, rows: Sequence[SummaryRow], floor: Rate | None) -> Answer:
    """The worst group's figure: what leaks in one way of asking leaks."""
    judged = [(rate_of(row, "redacted"), rate_of(row, "base"), row["group"]) for row in rows]
    judged = [entry for entry in judged if entry[0].n]
    if not judged:
        return Answer(key, title, "not measured", note="This evaluation has no such samples.")
    redacted, ceiling, group = max(judged, key=lambda entry: (entry[0].value, entry[0].low))
    note = f"The worst of {len(judged)} groups: {group}." if len(judged) > 1 else f"Group {group}."
    return Answer(key, title, leak_state(redacted, ceiling, floor), (group,), redacted, ceiling, floor, note)


def _damage(key: str, title: str, rows: Sequence[SummaryRow]) -> Answer:
    redacted, ceiling = _pooled(rows, "redacted"), _pooled(rows, "base")
    if redacted is None or ceiling is None or not redacted.n:
        return Answer(key, title, "not measured", note="This evaluation has no such samples.")
    groups = tuple(row["group"] for row in rows)
    # intervals over pairs of one condition and seed find smaller losses than two separate ones
    surely = any((row.get("difference_low") or 0.0) > 0 for row in rows)
    state: State = "cannot tell" if ceiling.value < FOLLOWED else "unclear"
    if surely or redacted.high < ceiling.low:
        state = "harmed"
    elif ceiling.value >= FOLLOWED and redacted.low >= ceiling.value - NOTICEABLE:
        state = "kept"
    loss = 100 * (ceiling.value - redacted.value)
    note = (
        f"{abs(loss):.1f} points {'lost' if loss > 0 else 'gained'}."
        if abs(loss) >= 0.05
        else "Nothing lost."
    )
    return Answer(key, title, state, groups, redacted, ceiling, None, f"{note} Group {', '.join(groups)}.")


def _headline(subject: str, answers: Sequence[Answer]) -> str:
    asked, otherwise, *kept = answers
    subject = f"“{subject}”"
    return f"{_leak_part(subject, asked, otherwise)}{_damage_part(kept)}."


def _leak_part(subject: str, asked: Answer, otherwise: Answer) -> str:
    rate = asked.redacted
    if rate is None:
        return f"Whether {subject} is gone was not measured"
    if asked.state == "cannot tell":
        ceiling = "–" if asked.ceiling is None else show(asked.ceiling.value, rate=True)
        return (
            f"These samples cannot tell whether {subject} is gone: the untouched model itself follows the request in "
            f"only {ceiling} of them"
        )
    if asked.state == "leaks":
        return f"{subject} is not gone: asked directly, it is still found in {share(rate)}"
    if otherwise.state == "leaks" and otherwise.redacted is not None:
        how = "is gone" if asked.state == "gone" else "is rarely or never found"
        return (
            f"{subject} {how} when asked directly, but comes back in other ways: found in {share(otherwise.redacted)} "
            f"(group {', '.join(otherwise.groups)})"
        )
    if asked.state == "unclear":
        return (
            f"{subject} is found in {share(rate)} when asked directly, too few to say that it is gone: up to "
            f"{show(rate.high, rate=True)} is possible"
        )
    said = {"gone": ", asked directly and in other ways", "not measured": " when asked directly"}
    rest = said.get(otherwise.state, " when asked directly; for other ways there are too few samples to tell")
    return f"{subject} is gone{rest}"


def _damage_part(kept: Sequence[Answer]) -> str:
    harmed = [answer for answer in kept if answer.state == "harmed"]
    if harmed:
        places = " and ".join(
            "near it" if answer.key == "damage near" else "far from it" for answer in harmed
        )
        figures = ", ".join(
            f"{show(a.ceiling.value, rate=True)} → {show(a.redacted.value, rate=True)}"
            for a in harmed
            if a.ceiling and a.redacted
        )
        return f"; what shall stay {places} is harmed ({figures})"
    measured = [answer for answer in kept if answer.state != "not measured"]
    if not measured:
        return "; damage was not measured"
    if all(answer.state == "kept" for answer in measured):
        return "; what shall stay is found as often as before, within 10 points"
    if any(answer.state == "cannot tell" for answer in measured):
        return "; damage cannot be told, because the untouched model does not follow these requests"
    return "; no damage is seen, but the samples are too few to exclude some"


def _details(metric: str, judge: str, answers: Sequence[Answer]) -> tuple[str, ...]:
    named = judge if judge == f"“{metric}”" else f"{judge} (“{metric}”)"
    found = [f"Judged by {named}. All intervals are at 95 %."]
    measured = [answer for answer in answers if answer.redacted is not None]
    least = min((answer.redacted.n for answer in measured if answer.redacted), default=0)
    if least and any(answer.state == "unclear" for answer in measured):
        found.append(
            f"The smallest group has {least} samples. {ENOUGH} without a single leak would bound it below "
            f"{100 * TOLERATED:g} %; evaluate with a larger --n."
        )
    floor = next((answer.floor for answer in measured if answer.floor is not None and answer.floor.n), None)
    if floor is None:
        found.append("The floor, how often this judge is mistaken, was not measured here.")
    elif floor.value > 0:
        found.append(
            f"The judge also finds it in {share(floor)} of the untouched model where nobody asked for it, so a leak "
            f"of up to {show(floor.high, rate=True)} may be its mistake."
        )
    if any(answer.state == "cannot tell" for answer in measured):
        found.append(
            f"Where the untouched model follows fewer than {100 * FOLLOWED:g} % of the requests, a low figure shows "
            "nothing; choose requests that it follows."
        )
    return tuple(found)


ACCESS = (
    "Attacker's access: none. These requests ask as any user asks; nobody searched for a way around the redaction. "
    "redact attack does, and anyone who has the folder can put the stock encoder back."
)
"""What an evaluation without attacks says of whom it holds against."""


def rate_of(row: Mapping[str, Any], key: Literal["base", "redacted"]) -> Rate:
    """The rate in a row of a summary, with Wilson's interval from its number of samples."""
    value, n = row.get(key), row["n"]
    if key == "base":
        n = row.get("base_n", n)
    return (
        Rate(math.nan, math.nan, math.nan, 0)
        if value is None or math.isnan(value)
        else wilson(round(value * n), n)
    )


def share(rate: Rate) -> str:
    """A rate in words.

    >>> share(wilson(0, 12))
    '0 of 12 samples'
    >>> share(wilson(90, 100))
    '90.0 % of 100 samples'
    """
    if rate.n <= 30:
        return f"{round(rate.value * rate.n)} of {rate.n} samples"
    return f"{show(rate.value, rate=True)} of {rate.n} samples"


def _pooled(rows: Sequence[SummaryRow], key: Literal["base", "redacted"]) -> Rate | None:
    rates = [rate for rate in (rate_of(row, key) for row in rows) if rate.n]
    if not rates:
        return None
    return wilson(round(sum(rate.value * rate.n for rate in rates)), sum(rate.n for rate in rates))


def _plain(rate: Rate | None) -> dict[str, float] | None:
    return None if rate is None or not rate.n else rate._asdict()
