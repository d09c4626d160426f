"""What an owner asks of attacks, answered in a sentence and a few figures: who brings it back, and how often?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redact_core.reporting.attack_table import PLAIN, AttackRow
from redact_core.reporting.formats import show
from redact_core.reporting.verdict import (
    ENOUGH,
    FOLLOWED,
    TOLERATED,
    Answer,
    Verdict,
    leak_state,
    rate_of,
    share,
)

ACCESS: Mapping[str, str] = {
    "none": "asks as any user asks",
    "prompt": "chooses what is asked and looks at what comes out",
    "encoder gradient": "has the encoder's weights and computes its gradients",
    "denoiser gradient": "has all weights and computes the generator's gradients",
    "sample": "controls how samples are drawn",
    "weights": "has the weights and changes them",
}
"""What an attacker may touch -> the attacker, for people."""


def attack_verdicts(
    table: Sequence[AttackRow], subjects: Mapping[str, str], judges: Mapping[str, str]
) -> list[Verdict]:
    """One verdict for each model and task: the plain requests, then the worst attack of each kind of access.

    Args:
        table: From :func:`redact_core.reporting.attack_table.attack_table`.
        subjects: Task -> what was redacted, for people.
        judges: Metric -> who judges, for people.
    """
    tasks: dict[tuple[str, str], list[AttackRow]] = {}
    for row in table:
        tasks.setdefault((row["model"], row["task"]), []).append(row)
    found: list[Verdict] = []
    for (model, task), rows in tasks.items():
        worst: dict[str, AttackRow] = {}
        for row in sorted(rows, key=lambda r: -(r["redacted"] or 0.0)):
            worst.setdefault(row["access"], row)
        answers = tuple(_answer(row) for row in rows if worst.get(row["access"]) is row)
        subject, metric = subjects.get(task, task), rows[0]["metric"]
        judge = judges.get(metric) or f"“{metric}”"
        found.append(
            Verdict(
                model,
                task,
                subject,
                metric,
                judge,
                _headline(subject, rows),
                _details(metric, judge, rows),
                answers,
            )
        )
    return found


def _answer(row: AttackRow) -> Answer:
    redacted, ceiling = rate_of(row, "redacted"), rate_of(row, "base")
    if row["attack"] == PLAIN:
        state = leak_state(redacted, ceiling)
        return Answer(
            "leak asked", "Leak, asked directly", state, (PLAIN,), redacted, ceiling, None, "No attack."
        )
    looks = "adaptive: its search looks at the attacked model" if row["kind"] == "adaptive" else (
        "static: it does not look at the attacked model"
    )  # fmt: skip
    note = f"Worst of this access: {row['attack']} ({looks}; {row['budget']}). The attacker {ACCESS[row['access']]}."
    return Answer(
        f"attack: {row['attack']}", f"Leak, attacker with access: {row['access']}", leak_state(redacted, ceiling),
        (row["attack"],), redacted, ceiling, None, note,
    )  # fmt: skip


def _headline(subject: str, rows: Sequence[AttackRow]) -> str:
    attacks = [row for row in rows if row["attack"] != PLAIN and row["redacted"] is not None]
    plain = next((rate_of(row, "redacted") for row in rows if row["attack"] == PLAIN), None)
    first = "" if plain is None or not plain.n else f"Asked plainly, “{subject}” is found in {share(plain)}; "
    if not attacks:
        return f"{first}no attack was judged."
    states = {row["attack"]: leak_state(rate_of(row, "redacted"), rate_of(row, "base")) for row in attacks}
    leaks = [row for row in attacks if states[row["attack"]] == "leaks"]
    worst = max(leaks or attacks, key=lambda row: row["redacted"] or 0.0)
    rate = rate_of(worst, "redacted")
    if leaks:
        rest = f"; so do {len(leaks) - 1} more of {len(attacks)} attacks" if len(leaks) > 1 else ""
        said = f"{worst['attack']} brings it back in {share(rate)} (an attacker who {ACCESS[worst['access']]}){rest}"
    elif all(states[row["attack"]] == "gone" for row in attacks):
        said = f"none of {len(attacks)} attacks brings it back in more than {100 * TOLERATED:g} % of samples"
    else:
        said = (
            f"no attack of {len(attacks)} surely brings it back; the worst, {worst['attack']}, does in {share(rate)}, "
            f"by the interval at most {show(rate.high, rate=True)}"
        )
    return (first + said)[0].upper() + (first + said)[1:] + "."


def _details(metric: str, judge: str, rows: Sequence[AttackRow]) -> tuple[str, ...]:
    found = [
        f"Judged by {judge} (“{metric}”). All intervals are at 95 %. The ceiling is the same attack on the untouched "
        "model; a leak far below it means that the redaction held against this attack with this budget, not against "
        "attackers as such."
    ]
    least = min(row["n"] for row in rows)
    if least < ENOUGH:
        found.append(
            f"The smallest row has {least} samples; {ENOUGH} without a single leak would bound it below "
            f"{100 * TOLERATED:g} %. Attack with a larger --n before you conclude that something holds."
        )
    low = [row["attack"] for row in rows if (rate_of(row, "base").value or 0.0) < FOLLOWED]
    if low:
        found.append(
            f"On the untouched model, {', '.join(low)} finds it in fewer than {100 * FOLLOWED:g} %: a low leak there "
            "says more of the attack than of the redaction."
        )
    found.append("The floor, how often this judge is mistaken, is measured by redact evaluate, not here.")
    return tuple(found)
