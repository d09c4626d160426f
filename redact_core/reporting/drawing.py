"""Matplotlib figures as SVG elements of the report: its colours, its fonts, and tooltips without a script.

The report forbids itself scripts, because what it shows may come from somebody else. A mark of a plot is therefore an
SVG group that holds its own tooltip, and the stylesheet shows that when the mark is pointed at, tapped or focused.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

Series = Literal["base", "redacted"]

# the light colours of report.css; in the page each gives way to the variable of that name
INK, SOFT, RULE, RAISED, BASE, REDACTED = "#1c1f22", "#565c63", "#d5d9dd", "#f2f3f3", "#0069a8", "#b04300"
PAPER = "#fcfcfb"
COLOURS: dict[Series, str] = {"base": BASE, "redacted": REDACTED}
_VARIABLES = {
    INK: "var(--ink)", SOFT: "var(--soft)", RULE: "var(--rule)", RAISED: "var(--raised)", PAPER: "var(--paper)",
    BASE: "var(--base)", REDACTED: "var(--redacted)",
}  # fmt: skip
_SETTINGS: Any = {
    "svg.fonttype": "none",  # letters stay letters: they can be found, read aloud, and take the page's font
    "svg.hashsalt": "redact",  # the same plot has the same bytes
    "text.parse_math": False,  # names come from plans, and a dollar sign is one
    "font.size": 12, "font.sans-serif": ["DejaVu Sans"],  # which comes with matplotlib
    "text.color": INK,
    "xtick.color": SOFT, "ytick.color": SOFT, "axes.labelcolor": SOFT,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.major.pad": 5, "ytick.major.pad": 6,
    "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False, "axes.spines.bottom": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": RULE, "grid.linewidth": 1,
}  # fmt: skip
_DOT = {"base": "o", "redacted": "D"}
_MARGIN = 4.0
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_XLINK = "{http://www.w3.org/1999/xlink}href"


def with_settings(draw: Callable[..., str]) -> Callable[..., str]:
    """``draw`` under the report's settings, whatever the user's ``matplotlibrc`` says."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> str:
        with mpl.rc_context(), warnings.catch_warnings():
            # the browser has the letters that matplotlib's font lacks
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            mpl.rcdefaults()
            mpl.rcParams.update(_SETTINGS)
            return draw(*args, **kwargs)

    return drawn


def printable(text: str) -> str:
    """``text`` with only what XML can hold."""
    return _UNPRINTABLE.sub("\ufffd", text)


def element_id(text: str) -> str:
    """``text`` as the id of an element: names of models and attacks may hold anything.

    >>> element_id('a model"><b>-leak')
    'a-model-b--leak'
    """
    return re.sub(r"[^\w-]+", "-", text)


class Drawing:
    """One figure; a unit is a CSS pixel on a narrow phone, where the figure is as wide as the page.

    Args:
        width: In units.
        height: In units.
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self.figure.patch.set_visible(False)
        self._marks: dict[str, tuple[Series, str]] = {}

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Axes that fill the rectangle between these coordinates, in units from the upper left corner."""
        box = (
            left / self.width,
            1 - bottom / self.height,
            (right - left) / self.width,
            (bottom - top) / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        return axes

    def dot(self, axes: Axes, series: Series, x: float, y: float, size: float = 8.0) -> None:
        """A mark of the series: a ring for the base, a diamond for the redacted model."""
        face = PAPER if series == "base" else REDACTED
        self.line(
            axes,
            series,
            [x],
            [y],
            linestyle="none",
            marker=_DOT[series],
            markersize=size,
            markerfacecolor=face,
        )

    def line(self, axes: Axes, series: Series, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
        """A line of the series."""
        (line,) = axes.plot(x, y, **{"color": COLOURS[series], "linewidth": 1.75, **style}, clip_on=False)
        self._tag(line, series)

    def tip(self, axes: Axes, series: Series, x: float, y: float, text: str, reach: float = 22.0) -> None:
        """Show ``text`` when the pointer, a finger or the keyboard is on this place.

        Args:
            axes: Where ``x`` and ``y`` are coordinates.
            series: Whose mark it is.
            x: Its middle.
            y: Its middle.
            text: One line or several.
            reach: Side of the square that can be hit, in units.
        """
        (hit,) = axes.plot(
            [x],
            [y],
            linestyle="none",
            marker="s",
            markersize=reach,
            color=INK,
            alpha=0,
            clip_on=False,
            zorder=8,
        )
        name = self._tag(hit, series, text)
        at_x, at_y = axes.transData.transform((x, y))
        above = at_y + 46 < self.height
        box = self.figure.text(
            at_x / self.width, (at_y + (14 if above else -14)) / self.height, printable(text), fontsize=11.5,
            ha="center", va="bottom" if above else "top", zorder=9, linespacing=1.35, multialignment="left",
            bbox={"boxstyle": "round,pad=0.35", "facecolor": RAISED, "edgecolor": SOFT, "linewidth": 0.75},
        )  # fmt: skip
        half = box.get_window_extent().width / 2 + _MARGIN + 3
        box.set_x(min(max(at_x, half), max(self.width - half, half)) / self.width)
        box.set_gid(f"{name}-tip")

    def svg(self, title: str, said: str, name: str) -> str:
        """The element.

        Args:
            title: What is plotted; read aloud, not seen.
            said: All its figures, read aloud; nothing if the page says them beside the plot.
            name: Prefix of the element ids, unique in the page.
        """
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        self.figure.savefig(file, format="svg", metadata=nothing)
        root = ElementTree.fromstring(file.getvalue())
        name = element_id(name)
        tips = {id_: element for element in root.iter() if (id_ := element.get("id", "")).endswith("-tip")}
        _drop(root, list(tips.values()))
        for element in list(root.iter()):
            self._tidy(element, name, tips)
        root.attrib.clear()
        root.set("class", "plot")
        root.set("viewBox", f"0 0 {self.width:g} {self.height:g}")
        if title:
            heads = [ElementTree.Element(tag, {"id": f"{name}-{tag}"}) for tag in ("title", "desc")]
            heads[0].text, heads[1].text = printable(title), printable(said)
            root[:0] = heads
            root.set("role", "group" if tips else "img")
            root.set("aria-labelledby", f"{name}-title {name}-desc")
        else:
            root.set("aria-hidden", "true")
        return ElementTree.tostring(root, encoding="unicode")

    def _tag(self, artist: Artist, series: Series, text: str = "") -> str:
        name = f"mark{len(self._marks)}"
        artist.set_gid(name)
        self._marks[name] = (series, text)
        return name

    def _tidy(self, element: ElementTree.Element, name: str, tips: dict[str, ElementTree.Element]) -> None:
        """Leave of ids what is referred to, of styles what the page does not know better; give marks their tips."""
        element.tag = _bare(element.tag)
        own = element.attrib.pop("id", "")
        if own in self._marks:
            series, text = self._marks[own]
            element.set("class", f"of-{series}")
            if text:
                tip = tips[f"{own}-tip"]
                for part in list(tip.iter()):
                    self._tidy(part, name, {})
                tip.set("class", "tip")
                tip.set("aria-hidden", "true")
                element.append(tip)
                element.attrib |= {
                    "class": f"mark of-{series}",
                    "tabindex": "0",
                    "role": "img",
                    "aria-label": printable(text).replace("\n", ", "),
                }
        elif element.tag == "path" and own:
            element.set("id", f"{name}-{own}")
        if link := element.attrib.pop(_XLINK, ""):
            element.set("href", f"#{name}-{link[1:]}")
        element.attrib.pop("clip-path", None)
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        if style := element.get("style"):
            element.set("style", _style(style))


def ticks(axis: Any, count: int, *, rate: bool = False, whole: bool = False) -> None:
    """At most ``count`` steps between round numbers, in percent where it is a ``rate``."""
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 5, 10], integer=whole))
    factor, unit = (100, " %") if rate else (1, "")
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v * factor:.6g}{unit}".replace("-", "−")))


def legend() -> str:
    """Switches that show and hide both series in the plots of a section."""
    return '<p class="legend">' + "".join(
        f'<label><input type="checkbox" class="show-{series}" checked> <span class="{series}">{escape(said)}</span></label>'
        for series, said in (("base", "base"), ("redacted", "redacted"))
    ) + "</p>"  # fmt: skip


def _bare(tag: str) -> str:
    """A tag without its namespace: HTML knows its own SVG."""
    return tag.rpartition("}")[2]


def _drop(element: ElementTree.Element, tips: Sequence[ElementTree.Element]) -> None:
    """Leave out tips, which get another place, and what the page needs not: nothing is clipped, groups may be empty."""
    element.text = None if not (element.text or "").strip() else element.text
    for child in list(element):
        child.tail = None
        _drop(child, tips)
        empty = _bare(child.tag) in ("g", "defs") and not len(child)
        if empty or child in tips or _bare(child.tag) in ("metadata", "style", "clipPath"):
            element.remove(child)


def _style(style: str) -> str:
    """The page's variables for colours, and its font for that of matplotlib."""
    style = re.sub(r"#[0-9a-f]{6}", lambda match: _VARIABLES[match[0]], style)
    style = re.sub(r"font-family: [^;]*(; )?", "", style)
    return re.sub(  # as matplotlib before 3.10 writes it
        r"font: (?P<bold>bold |700 |)(?P<size>[\d.]+)px [^;]*",
        lambda match: f"font-size: {match['size']}px" + ("; font-weight: 700" if match["bold"] else ""),
        style,
    )
