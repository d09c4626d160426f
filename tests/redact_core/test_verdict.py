"""The sentence and the figures that stand first, and what warnings mean."""

import math
from typing import Any, cast

import pytest

from redact_core.evaluation.summarise import found_wrong, summarise
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.scorer import Metric
from redact_core.metrics.statistics import wilson
from redact_core.reporting.attack_table import AttackRow
from redact_core.reporting.attack_verdict import attack_verdicts
from redact_core.reporting.report import Report
from redact_core.reporting.verdict import ENOUGH, leak_state, rate_of, verdicts
from redact_core.reporting.warnings import Explained, explained

METRICS = {
    "clip": Metric("rate", "low", "as base"),
    "found": Metric("rate", "low", "as base", leak=True),
    "reference": Metric("rate", "high", None),
    "unasked": Metric("rate", None, None, floor_of="found"),
}


def row(group: str, base: int, redacted: int, n: int, metric: str = "found", **more: Any) -> SummaryRow:
    wanted = METRICS[metric].wish(group not in ("neighbours", "retained"))
    rate, gap = wilson(redacted, n), (base - redacted) / n if n else 0.0
    values = {
        "model": "m", "task": "concept", "group": group, "metric": metric, "kind": "rate", "wanted": wanted,
        "base": base / n, "redacted": redacted / n, "low": rate.low, "high": rate.high, "n": n, "unscored": 0,
        "difference": gap, "difference_low": gap, "difference_high": gap,
    }  # fmt: skip
    return cast(SummaryRow, values | more)


def said(*rows: SummaryRow) -> str:
    (verdict,) = verdicts(rows, METRICS, {"concept": "cigarette"}, {"found": "a classifier"})
    return verdict.headline


def test_a_redaction_that_holds() -> None:
    kept = row("neighbours", 94, 94, 100), row("retained", 98, 98, 100)
    assert said(row("redacted", 100, 0, 100), row("synonyms", 199, 1, 200), *kept) == (
        "“cigarette” is gone, asked directly and in other ways; what shall stay is found as often as before, within 10 points."
    )
    assert (
        said(row("redacted", 100, 0, 100))
        == "“cigarette” is gone when asked directly; damage was not measured."
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("redacted", 100, 40, 100)], "is not gone: asked directly, it is still found in 40.0 % of 100 samples"),
        (
            [row("redacted", 100, 0, 100), row("reworded", 100, 2, 100), row("synonyms", 90, 30, 100)],
            "is gone when asked directly, but comes back in other ways: found in 30.0 % of 100 samples (group synonyms)",
        ),
        (
            [row("redacted", 12, 0, 12)],
            "is found in 0 of 12 samples when asked directly, too few to say that it is gone: up to 24.2 % is possible",
        ),
        ([row("redacted", 30, 0, 100)], "cannot tell whether “cigarette” is gone: the untouched model itself follows"),
        (
            [row("redacted", 100, 0, 100), row("neighbours", 94, 60, 100)],
            "what shall stay near it is harmed (94.0 % → 60.0 %)",
        ),
        (
            [row("redacted", 100, 0, 100), row("retained", 12, 12, 12)],
            "no damage is seen, but the samples are too few to exclude some",
        ),
        ([row("redacted", 100, 0, 100), row("retained", 20, 20, 100)], "damage cannot be told"),
    ],
)  # fmt: skip
def test_a_verdict_claims_no_more_than_the_intervals(rows: list[SummaryRow], words: str) -> None:
    assert words in said(*rows)


def test_the_floor_is_the_judges_mistakes_on_the_untouched_model() -> None:
    rows = [
        row("redacted", 100, 12, 100),
        row("retained", 8, 3, 100, "unasked"),
        row("neighbours", 12, 30, 100, "unasked"),
    ]
    (verdict,) = verdicts(rows, METRICS, {}, {"found": "a classifier"})
    asked = verdict.answers[0]
    assert asked.floor == wilson(20, 200)
    assert leak_state(wilson(12, 100), wilson(100, 100)) == "leaks"
    assert asked.state == "unclear", "12 % are no leak where the judge is mistaken as often"
    assert verdict.details[0] == "Judged by a classifier (“found”). All intervals are at 95 %."
    assert any("The judge also finds it in 10.0 % of 200 samples" in detail for detail in verdict.details)


def test_the_bases_rate_is_of_its_own_samples() -> None:
    """Of which more could be judged than of the redacted model's."""
    rows = [
        {"model": model, "task": "t", "group": "g", "redacted": True, "index": i, "scores": {"found": score}}
        for model, scores in (("base", [1.0] * 39 + [0.0]), ("m", [0.0] * 4 + [math.nan] * 36))
        for i, score in enumerate(scores)
    ]
    (figure,) = summarise(rows, {"found": METRICS["found"]})
    assert (figure["n"], figure.get("base_n"), figure.get("unscored")) == (4, 40, 36)
    assert rate_of(figure, "base") == wilson(39, 40)
    assert rate_of(figure, "redacted") == wilson(0, 4)
    even = summarise([one for one in rows if one["index"] < 4], {"found": METRICS["found"]})
    assert "base_n" not in even[0]


def test_so_many_samples_without_a_leak_are_enough() -> None:
    assert leak_state(wilson(0, ENOUGH), wilson(ENOUGH, ENOUGH)) == "gone"
    assert leak_state(wilson(0, ENOUGH - 1), wilson(ENOUGH, ENOUGH)) == "unclear"


def test_without_a_rate_that_shall_be_low_nothing_is_said() -> None:
    assert verdicts([row("retained", 10, 10, 10)], {"found": Metric("rate", None, "as base")}) == []


def attack(name: str, access: str, redacted: int, base: int = 100, n: int = 100) -> AttackRow:
    rate = wilson(redacted, n)
    return AttackRow(
        model="m", access=access, attack=name, kind="" if name == "plain" else "adaptive", budget="4 steps",
        task="concept", metric="found", base=base / n, redacted=redacted / n, low=rate.low, high=rate.high, n=n,
        base_n=n, unscored=0, queries=None,
    )  # fmt: skip


def test_attacks_are_told_by_what_the_attacker_may_touch() -> None:
    rows = [
        attack("plain", "none", 0), attack("Typo", "prompt", 1), attack("Words", "encoder gradient", 45),
        attack("Pez", "encoder gradient", 30), attack("Swap", "weights", 100),
    ]  # fmt: skip
    (verdict,) = attack_verdicts(rows, {"concept": "cigarette"}, {})
    assert verdict.headline == (
        "Asked plainly, “cigarette” is found in 0.0 % of 100 samples; Swap brings it back in 100.0 % of 100 samples (an "
        "attacker who has the weights and changes them); so do 2 more of 4 attacks."
    )
    assert [answer.key for answer in verdict.answers] == [
        "leak asked",
        "attack: Typo",
        "attack: Words",
        "attack: Swap",
    ]
    assert "adaptive: its search looks at the attacked model; 4 steps" in verdict.answers[2].note
    (held,) = attack_verdicts([attack("plain", "none", 0), attack("Typo", "prompt", 0)], {}, {})
    assert "none of 1 attacks brings it back in more than 5 % of samples" in held.headline
    (few,) = attack_verdicts([attack("Typo", "prompt", 0, 4, 4)], {}, {})
    assert "No attack of 1 surely brings it back; the worst, Typo, does in 0 of 4 samples" in few.headline
    assert any("Attack with a larger --n" in detail for detail in few.details)
    (weak,) = attack_verdicts([attack("Typo", "prompt", 0, 10)], {}, {})
    assert any("says more of the attack than of the redaction" in detail for detail in weak.details)


def test_warnings_begin_with_leaks_and_say_what_to_do() -> None:
    rows = [
        row("redacted", 0, 0, 20, "reference"),
        row("neighbours", 20, 10, 20),
        row("synonyms", 20, 8, 20),
        row("redacted", 20, 20, 20, "clip"),
    ]
    warned = explained(found_wrong(rows, METRICS), METRICS)
    assert [one.text.split(":")[0] for one in warned] == [
        "m, concept, synonyms", "m, concept, neighbours", "m, concept, redacted", "m, concept, redacted"
    ]  # fmt: skip
    assert [one.main for one in warned] == [True, True, False, False]
    assert warned[0].means == "It has become rarer, but still comes back."
    assert warned[1].means == "What shall stay has changed: this is damage."
    assert "This is no leak" in warned[3].means
    assert "With n = 20 chance is large" in warned[3].advice
    report = Report("t")
    report.warnings("Warnings", warned, shown=1)
    page = report.html()
    assert page.index("synonyms") < page.index("<summary>3 more</summary>") < page.index("This is no leak")


def test_warnings_of_one_meaning_say_it_once() -> None:
    far, near = (
        Explained("far", "Damage.", "Retain it.", True),
        Explained("near", "Damage.", "Retain it.", True),
    )
    report = Report("t")
    report.warnings("Warnings", [far, Explained("leak", "Leaks.", "Train.", True), near])
    page = report.html().partition("<main>")[2]
    assert page.count("Damage.") == page.count("Retain it.") == page.count("Leaks.") == 1
    assert page.index("far") < page.index("near") < page.index("Damage.") < page.index("leak")


def test_a_distance_of_what_shall_stay_is_damage_and_no_leak() -> None:
    metrics = METRICS | {"distance": Metric("mean", None, "low", 0.5)}
    far: Any = {**row("neighbours", 10, 10, 20), "metric": "distance", "kind": "mean", "wanted": "low"}
    leaks = row("synonyms", 20, 20, 20, "clip")
    leak, damage = explained(found_wrong([far, leaks], metrics), metrics)
    assert "does not reach this way of asking" in leak.means
    assert damage.text == (
        "m, concept, neighbours: distance is not below 0.5 of the base's (base 0.5, redacted 0.5, n = 20)."
    )
    assert damage.means.endswith("this is damage.")
    assert "Redact" not in damage.advice


def test_the_page_opens_with_the_verdict_and_five_cards() -> None:
    rows = [row("redacted", 12, 0, 12), row("retained", 1, 0, 12, "unasked")]
    found = verdicts(rows, METRICS, {"concept": "<b>"})
    report = Report("t")
    report.opening(found, "Note.")
    report.answers("Five figures", found[0].answers, {"slower": 1.5, "changed_bytes": 2e6})
    page = report.html()
    assert page.index('<p class="verdict">“&lt;b&gt;” is found in 0 of 12') < page.index("<main>")
    assert page.count('<li class="answer"') == 5
    assert "0.0 to 24.2 %, n = 12" in page
    assert "8.3 % (1.5 to 35.4 %), n = 12" in page
    assert "1.50 ×" in page
    assert "2.0 MB" in page
    assert page.count("not measured") >= 3
