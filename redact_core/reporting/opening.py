"""The figures that an owner asks for first, as cards: each rate with its interval, its ceiling and its floor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from redact_core.metrics.statistics import Rate
from redact_core.reporting.formats import MISSING, show, span
from redact_core.reporting.plots import scale
from redact_core.reporting.verdict import Answer, State

STATES: Mapping[State, str] = {
    "gone": "gone",
    "leaks": "leaks",
    "unclear": "too few samples to tell",
    "kept": "kept",
    "harmed": "harmed",
    "cannot tell": "cannot tell: the untouched model does not follow",
    "not measured": "not measured",
}
"""What a card says of its figure."""


def answer_cards(answers: Sequence[Answer], cost: Mapping[str, Any] | None, name: str) -> list[str]:
    """A list of cards.

    Args:
        answers: Of a verdict.
        cost: Of the redacted model, from :func:`redact_core.evaluation.cost.costs_of`; ``None`` where cost is no
            question.
        name: Prefix of the element ids, unique in the page.
    """
    cards = [_card(answer, f"{name}-{i}") for i, answer in enumerate(answers, 1)]
    if cost is not None:
        cards.append(_cost_card(cost))
    return ['<ul class="answers">', *cards, "</ul>"]


def _card(answer: Answer, name: str) -> str:
    rate, floor = answer.redacted, answer.floor
    figure = MISSING if rate is None else show(rate.value, rate=True)
    facts: list[tuple[str, str]] = []
    if rate is not None:
        facts.append(("interval at 95 %", f"{span(rate.low, rate.high, rate=True)}, n = {rate.n}"))
        facts.append(("untouched model (ceiling)", _rate(answer.ceiling)))
        if answer.key.startswith("leak"):
            facts.append(("mistakes of the judge (floor)", _rate(floor)))
    return _html(
        answer.title, figure, answer.state, STATES[answer.state], facts, answer.note, _scale(answer, name)
    )


def _cost_card(cost: Mapping[str, Any]) -> str:
    slower, training = cost.get("slower"), cost.get("training") or {}
    facts = [
        ("seconds a sample", show(cost.get("seconds_per_sample"))),
        ("new files", _megabytes(cost.get("changed_bytes"))),
        ("training", f"{training['seconds']:,.0f} s" if "seconds" in training else MISSING),
    ]
    figure = MISSING if slower is None or math.isnan(slower) else f"{slower:.2f} ×"
    note = "Time a sample takes, in relation to the untouched model. The section on cost says more."
    return _html("Cost", figure, "", "the base's time" if slower else "not measured", facts, note, "")


def _html(
    title: str, figure: str, state: str, said: str, facts: Sequence[tuple[str, str]], note: str, scale: str
) -> str:
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    mark = f' data-state="{escape(state)}"' if state else ""
    return (
        f'<li class="answer"{mark}><h3>{escape(title)}</h3>'
        f'<p class="figure">{escape(figure)} <span class="state">{escape(said)}</span></p>{scale}'
        f"<dl>{listed}</dl><p>{escape(note)}</p></li>"
    )


def _scale(answer: Answer, name: str) -> str:
    """The figures of a card as marks between 0 and 100 %; they stand beside it as text."""
    rate = answer.redacted
    return scale(rate, answer.ceiling, name) if rate is not None and rate.n else ""


def _rate(rate: Rate | None) -> str:
    if rate is None or not rate.n:
        return "not measured"
    return f"{show(rate.value, rate=True)} ({span(rate.low, rate.high, rate=True)}), n = {rate.n}"


def _megabytes(value: float | None) -> str:
    return MISSING if value is None else f"{value / 1e6:,.1f} MB"
