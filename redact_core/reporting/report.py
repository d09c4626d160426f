"""One HTML file that shows base and redacted side by side."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from redact_core.evaluation.summary import SummaryRow, checked
from redact_core.reporting.drawing import legend
from redact_core.reporting.formats import show
from redact_core.reporting.media import Source
from redact_core.reporting.opening import answer_cards
from redact_core.reporting.pairs import picture_pairs, sound_pairs
from redact_core.reporting.plots import Dots, dots_and_whiskers
from redact_core.reporting.table import table_parts
from redact_core.reporting.verdict import Answer, Verdict
from redact_core.reporting.warnings import Explained
from redact_core.support.folders import write_once
from redact_core.support.paths import at_home

RATES = frozenset({"found", "identified", "cer"})
COLUMNS: Mapping[str, str] = {
    "task": "Task",
    "group": "Group",
    "metric": "Metric",
    "base": "Base",
    "redacted": "Redacted",
    "interval": "Interval",
    "n": "n",
}
ANSWERS = (
    "Bars are intervals at 95 %. Ceiling: the same requests put to the untouched model. Floor: how often the judge finds "
    "what was redacted in samples of the untouched model that were asked for something else."
)
POINTING = "Point at a mark, or tap it, for its figures."
CAPTION = "Rates are in percent. The interval bounds the redacted figure; n counts what was judged."

# the page says itself that it may fetch and run nothing
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


class Report:
    """Sections in the order in which they were added; nothing is written before :meth:`write`.

    Every text is shown as it is given, never read as markup.

    Args:
        title: Heading of the page.
        lead: What a reader in a hurry should know.
        rates: Metrics that are shown in percent.
    """

    def __init__(self, title: str, lead: str = "", *, rates: Collection[str] = RATES):
        self._title, self._lead, self._rates = title, lead, rates
        self._sections: list[tuple[str, str, bool]] = []
        self._opening: list[str] = []

    def text(self, title: str, *paragraphs: str, code: str = "", folded: bool = False) -> None:
        """Add paragraphs, and below them commands or hashes to copy; ``folded`` until it is opened."""
        parts = [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]
        if code:
            parts.append(f'<pre tabindex="0"><code>{escape(code)}</code></pre>')
        self._add(title, *parts, folded=folded)

    def opening(self, verdicts: Sequence[Verdict], *notes: str) -> None:
        """Put verdicts above everything else: a sentence each, then what it rests on.

        Args:
            verdicts: One for each model and task.
            notes: Paragraphs about all of them.
        """
        several = len({verdict.model for verdict in verdicts}) > 1
        for verdict in verdicts:
            name = f"{verdict.model}: " if several else ""
            self._opening.append(f'<p class="verdict">{escape(name + verdict.headline)}</p>')
        for detail in dict.fromkeys(detail for verdict in verdicts for detail in verdict.details):
            self._opening.append(f"<p>{escape(detail)}</p>")
        self._opening += [f"<p>{escape(note)}</p>" for note in notes]

    def answers(
        self, title: str, answers: Sequence[Answer], cost: Mapping[str, Any] | None, *, note: str = ANSWERS
    ) -> None:
        """Add the figures that are asked for first, as cards.

        Args:
            title: Heading of the section.
            answers: Of a verdict.
            cost: Of the model; ``None`` where cost is no question.
            note: How to read them.
        """
        self._add(
            title,
            f"<p>{escape(note)}</p>",
            *answer_cards(answers, cost, f"s{len(self._sections) + 1}-answer"),
        )

    def warnings(self, title: str, warnings: Sequence[Explained], *, shown: int = 3) -> None:
        """Add figures that contradict their wish, with meaning and what to do, once for all that share them.

        Args:
            title: Heading of the section.
            warnings: In their order.
            shown: How many meanings are not folded.
        """
        alike: dict[tuple[str, str], list[str]] = {}
        for warning in warnings:
            alike.setdefault((warning.means, warning.advice), []).append(warning.text)
        items = [
            "<li>"
            + "".join(f"<p><strong>{escape(text)}</strong></p>" for text in texts)
            + f"<p>{escape(means)} <em>What to do:</em> {escape(advice)}</p></li>"
            for (means, advice), texts in alike.items()
        ]
        parts = ['<ul class="warnings">', *items[:shown], "</ul>"]
        if items[shown:]:
            parts += [
                f"<details><summary>{sum(map(len, list(alike.values())[shown:]))} more</summary>",
                '<ul class="warnings">', *items[shown:], "</ul></details>",
            ]  # fmt: skip
        self._add(title, *parts)

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Mapping[str, str] = COLUMNS,
        *,
        title: str = "Figures",
        caption: str = CAPTION,
        folded: bool = False,
    ) -> None:
        """Add a table of summary rows, or of any other rows.

        Args:
            rows: Texts, numbers, or ``None`` and ``nan`` for what is missing.
            columns: Key of a row -> heading; ``interval`` joins ``low`` and ``high``.
            title: Heading of the section.
            caption: How to read the table.
            folded: Show it only when it is opened.
        """
        name = f"s{len(self._sections) + 1}-caption"
        self._add(title, *table_parts(rows, columns, caption, self._rates, name), folded=folded)

    def groups(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Mapping[str, str],
        *,
        title: str,
        caption: str,
        notes: Mapping[str, str],
    ) -> None:
        """Add a table for each task and group, each folded under a line that says what it holds.

        Args:
            rows: Of a summary.
            columns: As for :meth:`table`.
            title: Heading of the section.
            caption: How to read the tables.
            notes: Metric -> what it means, shown where it stands.
        """
        groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in rows:
            groups.setdefault((row["task"], row["group"]), []).append(row)
        several = len({task for task, _ in groups}) > 1
        parts = [f"<p>{escape(caption)}</p>"]
        for i, ((task, group), members) in enumerate(groups.items(), 1):
            first = members[0]
            rate = first["metric"] in self._rates
            name = f"{task}, {group}" if several else group
            said = f"{name}: {first['metric']} {show(first['base'], rate)} → {show(first['redacted'], rate)}, n = {first['n']}"
            table = table_parts(
                members,
                columns,
                f"{name}, all figures",
                self._rates,
                f"s{len(self._sections) + 1}-caption{i}",
                notes,
            )
            parts += [f"<details><summary>{escape(said)}</summary>", *table, "</details>"]
        self._add(title, *parts)

    def intervals(
        self,
        rows: Sequence[SummaryRow],
        *,
        title: str = "Base and redacted",
        caption: str = "The line through a mark of the redacted model is its interval at 95 %.",
        folded: bool = False,
    ) -> None:
        """Add one plot for each task and metric, with all its groups.

        Raises:
            RedactError: A row is not a row of a summary.
        """
        panels: dict[tuple[str, str], list[Dots]] = {}
        for row in checked(rows, "The rows cannot be plotted"):
            panels.setdefault((row["task"], row["metric"]), []).append(
                Dots(row["group"], row["base"], row["redacted"], row["low"], row["high"], row["n"])
            )
        parts = [f"<p>{escape(caption)} {POINTING}</p>", legend(), '<div class="panels">']
        for i, ((task, metric), dots) in enumerate(panels.items(), 1):
            heading, name = f"{task}: {metric}", f"s{len(self._sections) + 1}-plot{i}"
            parts += [
                f"<figure><figcaption>{escape(heading)}</figcaption>",
                dots_and_whiskers(f"{heading}, base and redacted", dots, metric in self._rates, name),
                "</figure>",
            ]
        self._add(title, *parts, "</div>", folded=folded)

    def figures(self, title: str, note: str, plots: Sequence[tuple[str, str]]) -> None:
        """Add plots beside one another.

        Args:
            title: Heading of the section.
            note: How to read them.
            plots: Caption and SVG; the latter is written as it is.
        """
        parts = [
            f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>" for caption, svg in plots
        ]
        switches = [legend()] if any("of-base" in svg for _, svg in plots) else []
        self._add(
            title, f"<p>{escape(note)} {POINTING}</p>", *switches, '<div class="panels">', *parts, "</div>"
        )

    def pictures(
        self,
        title: str,
        captions: Sequence[str],
        base_pngs: Sequence[Source],
        redacted_pngs: Sequence[Source],
        *,
        note: str = "Each pair was made from the same prompt and seed.",
        blurred: bool = False,
        folded: bool = False,
    ) -> None:
        """Add pairs of pictures; small ones are enlarged by a whole factor, pixel by pixel.

        Args:
            title: Heading of the section.
            captions: One for each pair.
            base_pngs: What the base made.
            redacted_pngs: What the redacted model made.
            note: How to look at them.
            blurred: Hide each pair until it is clicked, tapped, or chosen with the space bar.
            folded: Show the section only when it is opened.

        Raises:
            RedactError: A picture cannot be read or is not PNG.
        """
        if not len(captions) == len(base_pngs) == len(redacted_pngs):
            raise ValueError(
                f"{len(captions)} captions, {len(base_pngs)} base and {len(redacted_pngs)} redacted pictures; "
                "give as many of each."
            )
        prefix = f"s{len(self._sections) + 1}-pair" if blurred else None
        pairs, widest = picture_pairs(captions, base_pngs, redacted_pngs, prefix)
        hint = " They are blurred; click or tap a pair to see it, or press the space bar on it."
        name = f"s{len(self._sections) + 1}-all"
        # before the pairs, so that the stylesheet can let it act on them
        every = f'<input type="checkbox" class="reveal-all" id="{name}"><label class="all" for="{name}">Show all</label>'
        self._add(
            title,
            f"<p>{escape(note + hint if blurred else note)}</p>",
            *([every] if blurred and len(pairs) > 1 else []),
            f'<div class="pairs" style="--side:{widest}px">',
            *pairs,
            "</div>",
            folded=folded,
        )

    def sounds(
        self, title: str, rows: Sequence[tuple[str, Source, Source]], *, note: str = "", folded: bool = False
    ) -> None:
        """Add pairs of players.

        Args:
            title: Heading of the section.
            rows: Caption, base and redacted; WAV, OGG or FLAC.
            note: What to listen for.
            folded: Show the section only when it is opened.

        Raises:
            RedactError: A clip cannot be read or has another format.
        """
        parts = [f"<p>{escape(note)}</p>"] if note else []
        self._add(title, *parts, *sound_pairs(rows), folded=folded)

    def html(self) -> str:
        """The page."""
        head = [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(self._title)}</title>",
            # without it a browser asks the server for an icon
            '<link rel="icon" href="data:,">',
            f"<style>\n{Path(__file__).with_name('report.css').read_text(encoding='utf-8')}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(self._title)}</h1>",
        ]
        lead = [f'<p class="lead">{escape(self._lead)}</p>'] if self._lead else []
        contents: list[str] = []
        if len(self._sections) > 3:
            items = [
                f'<li><a href="#s{i}">{escape(title)}</a></li>'
                for i, (title, *_) in enumerate(self._sections, 1)
            ]
            contents = [
                '<nav aria-label="Contents"><details><summary>Contents</summary><ol>', *items, "</ol></details></nav>"
            ]  # fmt: skip
        sections = [
            f'<section id="s{i}" aria-labelledby="s{i}-title">{self._heading(i)}</section>'
            for i in range(1, len(self._sections) + 1)
        ]
        lines = [
            *head,
            *self._opening,
            *lead,
            *contents,
            "</header>",
            "<main>",
            *sections,
            "</main>",
            "</body>",
            "</html>",
        ]
        return "\n".join(lines) + "\n"

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page, whole or not at all.

        Raises:
            RedactError: ``path`` exists or cannot be written.
        """
        # a file name that is not Unicode holds letters that UTF-8 has no bytes for
        write_once(at_home(path), self.html().encode("utf-8", "replace"))

    def _heading(self, number: int) -> str:
        """The inside of a section."""
        title, body, folded = self._sections[number - 1]
        heading = f'<h2 id="s{number}-title">{escape(title)}</h2>'
        if folded:
            return f"<details><summary>{heading}</summary>\n{body}\n</details>"
        return f"{heading}\n{body}\n"

    def _add(self, title: str, *parts: str, folded: bool = False) -> None:
        self._sections.append((title, "\n".join(parts), folded))
