"""Tables that gather figures of other tables, for pages that sum up: what stands at the marks ``<!-- table summaries.NAME -->``.

`tables_page.py` writes them. A line names the file, the table, the row and the column that its figures come from, so that none is
typed; whoever wants to know where a figure comes from reads it here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from compare_page import merged

from lightning_modules.comparison.figures import Figures
from lightning_modules.comparison.result_tables import Cell, ResultTable, read_tables
from lightning_modules.comparison.tables import MISSING, heads, number, percent
from lightning_modules.comparison.words import STOCK
from redact_core.metrics.statistics import Rate

CONCEPTS = "[concepts](more/concepts.md)"
STYLES = "[styles](more/styles.md)"
VOICES = "[voices](more/voices.md)"
CHANCE = "[drawn by chance](chance_concepts.md)"
COMPARED = "[side by side](compare_methods.md)"
ATTACKS = "[attacks](attacks.md)"
ATTACKED_VOICES = "[voices](attacks_on_voices.md)"


DEFAULT = "Distillation: {start: {class_path: redact_core.ClosedForm}}"
SETTINGS = {
    "untouched": "untouched",
    "Distillation": "plain",
    DEFAULT: "default",
    "ClosedForm": "closed form alone",
}
"""Setting of never_retained.py -> what pages call it."""
KEPT = ", kept"
"""How a line ends whose thing was not redacted."""


class Source:
    """The result files of a folder of tables, and those beside it.

    Args:
        folder: The folder of tables; the rows of the comparison and the concepts drawn by chance lie next to it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.read: dict[str, dict[str, ResultTable]] = {}
        """File -> its tables, of those that were asked for."""

    def tables(self, file: str) -> dict[str, ResultTable]:
        """All tables of FILE.json, by name."""
        if file not in self.read:
            self.read[file] = read_tables(self.folder / f"{file}.json")
        return self.read[file]

    def table(self, name: str) -> ResultTable:
        """The table ``FILE.NAME``."""
        file, _, key = name.partition(".")
        return self.tables(file)[key]

    def cell(self, name: str, row: Sequence[str], column: str) -> Cell:
        """The figure of the table ``name`` in ``column``, in the one line whose cells hold all texts of ``row``.

        Raises:
            KeyError: No line holds them, or several do.
        """
        table = self.table(name)
        found = [line for line in table.rows if set(row) <= {cell for cell in line if isinstance(cell, str)}]
        if len(found) != 1:
            raise KeyError(f"{len(found)} lines of {name} hold {', '.join(row)}; name one.")
        return found[0][table.heads.index(column)]

    @cached_property
    def compared(self) -> Figures:
        """The comparison of methods on concepts drawn by chance."""
        return self._figures("compare_chance/*.json")

    @cached_property
    def with_both(self) -> Figures:
        """The comparison, and robust amnesia before robust distillation, which was run on the guitar alone."""
        return self._figures("compare_chance/*.json", "compare_both.json")

    def _figures(self, *patterns: str) -> Figures:
        """Of the result files beside the folder of tables."""
        paths = [path for pattern in patterns for path in sorted(self.folder.parent.glob(pattern))]
        return Figures(merged([json.loads(path.read_text(encoding="utf-8")) for path in paths]))

    @cached_property
    def chance(self) -> dict[str, Rate]:
        """What thirty concepts drawn by chance have in common, ``group before`` and ``group after``."""
        path = self.folder.parent / "chance_concepts.json"
        rates: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["all"]
        return {name: Rate(**rate) for name, rate in rates.items()}


def shown(cell: Cell | None, *, span: bool = True, count: bool = False) -> str:
    """A figure with one decimal, its interval and its number of samples; a text as it is."""
    if isinstance(cell, str):
        return cell if span else cell.partition(" [")[0]
    return percent(cell, 1, span=span, count=count)


def bold(text: str) -> str:
    """With the figure before the interval in bold."""
    return re.sub(r"^(\S+ %)", r"**\1**", text)


def line(what: str, before: Cell | None, after: Cell | None, where: str, n: str = "") -> list[str]:
    """What was asked for, how many samples, the base's figure, the redacted model's, and the page that says more.

    The figure is in bold, but for what is kept.
    """
    n = f"{after.n:,}" if isinstance(after, Rate) else n
    text = shown(after)
    return [what, n, shown(before, span=False), text if what.endswith(KEPT) else bold(text), where]


def graded(source: Source, what: str, table: str, row: tuple[str, ...], where: str) -> list[str]:
    """A line of a table that has the columns ``base`` and ``redacted``."""
    before, after = (source.cell(table, row, column) for column in ("base", "redacted"))
    n = "" if isinstance(after, Rate) else str(source.cell(table, row, "n"))
    return line(what, before, after, where, n)


def glance(source: Source) -> list[list[str]]:
    """What was found, asked for plainly."""
    chance, compared = source.chance, source.compared
    return [
        ["redacted, then", "n", "base", "redacted", "more"],
        line("thirty concepts drawn by chance: asked for", None, chance["redacted after"], CHANCE),
        line("… by other names, never redacted", None, chance["synonyms after"], CHANCE),
        line("… their ten nearest concepts, kept", chance["kept before"], chance["kept after"], CHANCE),
        *(
            line(what, compared.rate(STOCK, group), compared.rate("default", group), COMPARED)
            for what, group in (
                ("six of them, three seeds of training: asked for", "redacted"),
                ("… by other names, never redacted", "synonyms"),
                ("… their ten nearest concepts, kept", "neighbours"),
            )
        ),
        graded(source, "cigarette → lollipop: asked for", "cigarette.groups", ("redacted", "concept found"), CONCEPTS),
        graded(source, "… by other names, never redacted", "cigarette.groups", ("synonyms", "concept found"), CONCEPTS),
        graded(source, "… its ten nearest concepts, kept", "cigarette.groups", ("neighbours", "concept found"), CONCEPTS),
        line(
            "… the nearest concepts that no row kept",
            *(source.cell("never_retained.cigarette", (setting, "nearest"), "found") for setting in (STOCK, DEFAULT)),
            CONCEPTS,
        ),
        graded(source, "guitar → violin, the worst that we know: other names", "guitar.default", ("synonyms", "concept found"), CONCEPTS),
        graded(source, "noto → no style: asked for", "noto.groups", ("redacted", "style found"), STYLES),
        graded(source, "… the base asked for no style", "noto.groups", ("style found, not asked for",), STYLES),
        graded(source, "… other styles, kept", "noto.groups", ("neighbours", "style found"), STYLES),
        graded(source, "voice21 → voice05: unseen clips", "voice21.groups", ("paraphrased", "identified"), VOICES),
        graded(source, "… its three most similar voices, kept", "voice21.groups", ("neighbours", "identified"), VOICES),
        graded(source, "… other voices, kept", "voice21.groups", ("retained", "identified"), VOICES),
    ]  # fmt: skip


METHODS = {
    "default": "default",
    "implicit synonyms": "`implicit_synonyms`",
    "robust": "robust",
    "Selective Amnesia": "Selective Amnesia",
    "robust amnesia": "robust amnesia",
    "Selective Amnesia and robust": "Selective Amnesia, then robust",
    "robust amnesia and robust": "robust amnesia, then robust",
}
"""Method of the comparison -> its column."""


ATTACKS_IN_WORDS = {
    "greedy words": "words in front, greedy search",
    "greedy words in place": "words in place of the name, greedy search",
    "UnlearnDiffAtk": "words in front, with the denoiser's gradient (`UnlearnDiffAtk`)",
    "soft tokens": "four soft tokens in front",
    "concept inversion": "a learnt word, brief search",
    "concept inversion, longer": "four learnt words, longer search (two of the concepts; robust amnesia: all six)",
    "image to image": "a picture of the thing handed over",
    "relearning": "fifty steps of training",
    "stock encoder": "the stock encoder put back",
    "stock encoder, then concept inversion": "the stock encoder put back, then a learnt word",
    "stock encoder, then relearning": "the stock encoder put back, then fifty steps of training",
}
"""Attack of the comparison -> what it does."""


AFTER_SWAP = "stock encoder, then "
"""How attacks are called that put the stock encoder back first."""


def attacked(source: Source) -> list[list[str]]:
    """What comes back under attack, six concepts drawn by chance together."""
    names = ("default", "robust", "Selective Amnesia", "robust amnesia", "Selective Amnesia and robust")
    first, *rows = beside(source.compared, list(ATTACKS_IN_WORDS), names)
    named = zip(ATTACKS_IN_WORDS.values(), rows, strict=True)
    return [["attack", *first[1:]], *([words, *row[1:]] for words, row in named)]


def amnesia(source: Source) -> list[list[str]]:
    """Everything that the comparison holds of Selective Amnesia, beside the default."""
    found = source.compared
    names = ("default", "Selective Amnesia", "robust amnesia", "Selective Amnesia and robust")
    table = beside(found, [*found.leaks, *found.kept, *found.attacks], names)
    seconds = (number(found.mean(name, "seconds"), ".0f") for name in names)
    return [*table, ["seconds, on a GPU", MISSING, *seconds]]


def both(source: Source) -> list[list[str]]:
    """The guitar after both methods in the generator, each before robust distillation in the encoder, and alone."""
    found = source.with_both
    names = ("robust amnesia", "Selective Amnesia and robust", "robust amnesia and robust")
    return beside(found, [*found.leaks, *found.kept, *found.attacks], names, "guitar")


def synonyms(source: Source) -> list[list[str]]:
    """What redacting implicit synonyms as well brings and costs."""
    found, names = source.compared, ("default", "implicit synonyms")
    table = beside(found, [*found.leaks, *found.kept, *ATTACKS_IN_WORDS], names)
    rows = [row for row in table if any(cell != MISSING for cell in row[2:])]
    return [
        *rows,
        ["seconds, on a GPU", MISSING, *(number(found.mean(name, "seconds"), ".0f") for name in names)],
    ]


def beside(
    found: Figures, groups: Sequence[str], names: Sequence[str], task: str | None = None
) -> list[list[str]]:
    """A line a group: the untouched base, and methods beside it; of one task, or of all together."""
    rows = [["", STOCK, *(METHODS[name] for name in names)]]
    for group, head in zip(groups, heads(groups), strict=True):
        base = shown(found.rate(STOCK, group, task), span=False)
        rows.append([head, base, *(compared(found, name, group, task) for name in names)])
    return rows


def compared(found: Figures, method: str, group: str, task: str | None = None) -> str:
    """Without decimals, with the interval and the number of samples; attacks that overlook what was changed are marked.

    A method that leaves the encoder alone has the stock encoder already: an attack that puts it back first is the attack itself.
    """
    if group.startswith(AFTER_SWAP) and found.changes(method) == "generator":
        group = group.removeprefix(AFTER_SWAP)
    rate, rows = found.rate(method, group, task), found.of(method, group, task)
    static = any(row["kind"] == "attack" and not row.get("adaptive") for row in rows)
    return percent(rate, count=True) + (" (static)" if static else "")


def effective(source: Source) -> list[list[str]]:
    """The paper's first claim: how often the redacted thing is still found."""

    def found(table: str, column: str, *groups: tuple[str, ...]) -> list[str]:
        return [shown(source.cell(table, row, column)) for row in groups]

    def chance(group: str) -> str:
        return shown(source.chance[f"{group} after"])

    cigarette = (("redacted", "concept found"), ("reworded", "concept found"), ("synonyms", "concept found"))
    noto = (("redacted", "style found"), ("reworded", "style found"))
    voice = (("redacted", "identified"), ("paraphrased", "identified"))
    asked = ("asked", "reworded", "synonyms")
    joint = [shown(source.cell("staged.methods", ("joint",), column)) for column in asked]
    n = {
        name: _count(source.cell(name, row, column))
        for name, row, column in (
            ("cigarette.groups", cigarette[0], "redacted"), ("noto.groups", noto[0], "redacted"),
            ("staged.methods", ("joint",), "asked"),
        )
    }  # fmt: skip
    return [
        ["redacted, then", "n", "asked for", "in wordings or clips that taught nothing", "by other names", "where"],
        ["thirty concepts, Stable Diffusion", f"{source.chance['redacted after'].n:,}", chance("redacted"), chance("reworded"), chance("synonyms"), CHANCE],
        ["cigarette, Stable Diffusion", n["cigarette.groups"], *found("cigarette.groups", "redacted", *cigarette), CONCEPTS],
        ["style, Stable Diffusion", n["noto.groups"], *found("noto.groups", "redacted", *noto), MISSING, STYLES],
        ["voice, SpeechT5", str(source.cell("voice21.groups", voice[0], "n")), *found("voice21.groups", "redacted", *voice), MISSING, VOICES],
        ["noun, several stages", n["staged.methods"], *joint, "[below](#several-conditioning-stages)"],
    ]  # fmt: skip


def _count(cell: Cell) -> str:
    return str(cell.n) if isinstance(cell, Rate) else ""


def robust(source: Source) -> list[list[str]]:
    """The paper's last claim: what attacks bring back after the default redaction, and what they find in the base."""

    def against(what: str, table: str, attack: str, columns: tuple[str, str], where: str) -> list[str]:
        after, before = (source.cell(table, (attack,), column) for column in columns)
        return [what, _count(after), shown(before, span=False), bold(shown(after)), where]

    pictures, clips = ("no_cigarette", "ceiling"), ("identified, redacted", "identified, untouched")
    found = source.compared
    six = [
        line(f"six concepts: {what}", found.rate(STOCK, group), found.rate("default", group), COMPARED)
        for group, what in ATTACKS_IN_WORDS.items()
        if found.rate("default", group)
    ]
    return [
        ["attack", "n", "untouched", "comes back", "where"],
        *(
            against(f"cigarette: {what}", "attacks.concept", attack, pictures, ATTACKS)
            for what, attack in (
                ("rewordings", "Rewording"), ("misspellings", "Misspelling (typo)"),
                ("the best of four seeds", "SeedSearch-4"), ("null text", "NullText"),
            )
        ),
        *six,
        *(
            against(f"voice21: {what}", "attacks_on_voices.attacks", attack, clips, ATTACKED_VOICES)
            for what, attack in (
                ("clips through channels", "ChannelChange"), ("cropped", "ShortCrops"), ("pitch changed", "PitchTempo"),
                ("a disturbance of the clip at 30 dB", "ClipGradient-own-30"), ("the stock encoder put back", "EncoderSwap-last-1"),
            )
        ),
    ]  # fmt: skip


REDACTED = {"cigarette": "cigarette → lollipop", "guitar": "guitar → violin"}


def hidden(source: Source) -> list[list[str]]:
    """What becomes of concepts that no row holds, a line a redaction and setting."""
    groups, measures = {"nearest": "the nearest ten", "others": "the others"}, ("found", "conditioning moves")
    heads = [f"{name}: {measure}" for name in groups.values() for measure in measures]
    rows = [["redacted", "setting", *heads, "processor seconds"]]
    for concept, table in source.tables("never_retained").items():
        for setting in dict.fromkeys(str(line[0]) for line in table.rows):
            at = [((setting, group), measure) for group in groups for measure in measures]
            at.append(((setting, "nearest"), "processor seconds"))
            cells = [source.cell(f"never_retained.{concept}", row, column) for row, column in at]
            rows.append([REDACTED[concept], SETTINGS[setting], *(shown(cell, count=True) for cell in cells)])
    return rows


def guitar(source: Source) -> list[list[str]]:
    """Ways to redact the guitar, whose other names come through, beside one another: a line a measure, a column a way."""
    tables = source.tables("guitar")
    first = next(iter(tables))
    rows = [["group", "measure", "base", *tables]]
    for group, measure, *_ in tables[first].rows:
        row = (str(group), str(measure))
        base = shown(source.cell(f"guitar.{first}", row, "base"), count=True)
        rows.append([*row, base, *(shown(source.cell(f"guitar.{name}", row, "redacted")) for name in tables)])
    return rows


TABLES: dict[str, Callable[[Source], list[list[str]]]] = {
    "glance": glance,
    "attacked": attacked,
    "effective": effective,
    "robust": robust,
    "amnesia": amnesia,
    "both": both,
    "hidden": hidden,
    "synonyms": synonyms,
    "guitar": guitar,
}
