"""What was asked of gates beside what was measured, as a table."""

CLEAN = (
    ("unseen clips, identified among everybody: chance, within its interval", "unseen", "identified"),
    ("AUROC of unseen clips against strangers: at most 0.55", "unseen", "auroc"),
    ("given people who stay: same bits", "kept, given", "same to the bit"),
    ("their unseen clips: cosine of 0.9995", "kept, given people's unseen clips", "cosine"),
    ("the nearest three of them: 0.99", "kept, given people's unseen clips, nearest three", "cosine"),
    ("people whom the gate does not know: cosine of 0.9995", "kept, unknown", "cosine"),
    ("the nearest three of them: 0.99", "kept, unknown, nearest three", "cosine"),
    ("kB a voice: at most 200", "cost", "kilobytes"),
)
"""Target, group and metric, of runs without attacks."""
ATTACKS = [(whose, snr) for whose in ("own", "others'") for snr in (30, 20)]
FIFTY = 50


def shown(value: float | None) -> str:
    """Four digits at most; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def percent(share: float) -> str:
    """With one digit."""
    return f"{100 * share:.1f} %"


def target_table(
    ge2e: dict, ecapa: dict | None, ge2e_attacks: dict, ecapa_attacks: dict | None, many: dict, one: dict | None, fifty: dict | None
) -> str:  # fmt: skip
    """Of two encoders side by side: means over people and the worst of them, or pooled rates and their intervals."""
    lines = ["| target | GE2E | bundled ECAPA |", "|---|---|---|"]
    clean, attacked = (ge2e, ecapa), (ge2e_attacks, ecapa_attacks)
    for target, group, metric in CLEAN:
        lines.append(f"| {target} | {' | '.join(_cell(run, group, metric) for run in clean)} |")
    for whose, snr in ATTACKS:
        group = f"attack on {whose} clips, {snr} dB"
        for target, metric in (
            ("identified among everybody, at most 5 %", "identified"),
            ("among sixteen", "identified among people"),
        ):
            cells = " | ".join(_cell(run, group, metric) for run in attacked)
            lines.append(f"| {whose} clips attacked at {snr} dB: {target} | {cells} |")
    limits = " | ".join(_limits(run) for run in attacked)
    lines.append(
        f"| largest likeness under attack: at most that of the nearest who stays; the bound | {limits} |"
    )
    if one and fifty:
        whole = f"{one['CPU seconds']:.0f}; {fifty['CPU seconds']:.0f}"
        lines.append(
            f"| one voice in 15 s, fifty in 120 s: CPU seconds with {one['kept clips']} clips of people who stay to embed | {whole} | – |"
        )
    alone = _row(ge2e, "cost", "seconds of the gate")["redacted"]
    together = next(r["seconds"] for r in many["at once"] if r["voices"] == FIFTY)
    lines.append(
        f"| seconds for one gate, for fifty, with all embeddings there | {alone:.2f}; {together:.1f} | – |"
    )
    return "\n".join(lines)


def _row(run: dict, group: str, metric: str) -> dict:
    return next(row for row in run["rows"] if (row["group"], row["metric"]) == (group, metric))


def _cell(run: dict | None, group: str, metric: str) -> str:
    if run is None:
        return "–"
    row = _row(run, group, metric)
    if "low" in row:
        return f"{percent(row['redacted'])} [{percent(row['low'])}, {percent(row['high'])}], n = {row['n']}"
    if metric == "same to the bit":
        return percent(row["redacted"])
    return f"{shown(row['redacted'])}; worst person {shown(row['worst'])}"


def _limits(run: dict | None) -> str:
    if run is None:
        return "–"
    reached = max(
        row["worst"]
        for row in run["rows"]
        if row["group"].startswith("attack") and row["metric"] == "likeness"
    )
    nearest, bound = _row(run, "gate", "nearest who stays"), _row(run, "any embedding", "likeness, bound")
    return f"{reached:.3f}; {nearest['redacted']:.3f} on the average; {bound['worst']:.3f}"
