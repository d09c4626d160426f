"""Plots say their figures to eyes, pointers and screen readers, and bring nothing into the page but themselves."""

import html
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from redact_core.evaluation.damage import Curve, Point
from redact_core.metrics.statistics import Rate
from redact_core.reporting.drawing import element_id
from redact_core.reporting.plots import Dots, curves, damage_plot, dots_and_whiskers, scale
from redact_core.reporting.report import Report

ODD = "50 $ of_\\frac{ & <b> 猫 \udc80\x07"
SHOWN = "50 $ of_\\frac{ & <b> 猫 \ufffd\ufffd"


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """Every text that is no tooltip, with its place."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get("class") == "tip":
                parent.remove(child)
    return {str(text.text): (float(text.attrib["x"]), float(text.attrib["y"])) for text in root.iter("text")}


def marks(svg: str, series: str) -> list[tuple[str, float, float]]:
    """What can be pointed at: what it says and where it is."""
    found = []
    for group in ElementTree.fromstring(svg).iter("g"):
        if group.get("class") == f"mark of-{series}":
            use = next(group.iter("use"))
            found.append((group.attrib["aria-label"], float(use.attrib["x"]), float(use.attrib["y"])))
    return found


def paths(svg: str, series: str) -> list[list[tuple[float, float]]]:
    found = []
    for group in ElementTree.fromstring(svg).iter("g"):
        if group.get("class") == f"of-{series}":
            found += [
                [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path.attrib["d"])]
                for path in group.findall("path")
            ]
    return found


def damage(slope: float = -1.0) -> Curve:
    points = (Point(0.1, 0.5, 0.3, 0.7, 3), Point(0.5, 0.1, -0.1, 0.3, 3))
    return Curve("m", "t", "found", points, slope, slope, slope, 6)


def every(name: str) -> list[str]:
    return [
        dots_and_whiskers(name, [Dots(name, 0.9, 0.1, 0.0, 0.2, 4)], True, f"{name}-a"),
        curves(
            name, {"base": [(1, 2.0), (2, 3.0)], "redacted": [(1, 1.0), (2, 0.5)]}, f"{name}-b", across=name
        ),
        damage_plot(damage(), True, f"{name}-c"),
        scale(Rate(0.1, 0.0, 0.2, 40), Rate(0.9, 0.8, 1.0, 40), f"{name}-d"),
    ]


def test_marks_lie_where_the_axis_says() -> None:
    rows = [Dots("g", 1.0, 0.5, 0.0, 1.0, 4), Dots("h", 0.0, None, None, None, 0)]
    svg = dots_and_whiskers("t", rows, True, "n")
    at = texts(svg)
    left, middle, right = (at[tick][0] for tick in ("0 %", "50 %", "100 %"))
    assert [x for _, x, _ in marks(svg, "base")] == [right, left]
    assert [x for _, x, _ in marks(svg, "redacted")] == [middle]
    (whisker,) = paths(svg, "redacted")
    assert [x for x, _ in whisker] == [left, right]
    assert at["g"][1] < marks(svg, "base")[0][2] < marks(svg, "redacted")[0][2] < at["h"][1]


def test_a_mark_says_its_figures() -> None:
    svg = dots_and_whiskers("t", [Dots("g", 0.95, 0.05, 0.017, 0.137, 60)], True, "n")
    assert [said for said, *_ in marks(svg, "base")] == ["base 95.0 %, n = 60"]
    assert [said for said, *_ in marks(svg, "redacted")] == ["redacted 5.0 %, n = 60, interval 1.7 to 13.7 %"]
    lines = re.search(r'class="mark of-redacted".*?class="tip".*?</g></g>', svg)
    assert lines
    assert re.findall(">([^<]+)</text>", lines[0]) == ["redacted 5.0 %, n = 60", "interval 1.7 to 13.7 %"]


def test_an_axis_reaches_past_one() -> None:
    svg = dots_and_whiskers("t", [Dots("g", 1.4, -0.2, None, None, 4)], True, "n")
    at = texts(svg)
    assert [text for text in at if re.fullmatch(r"−?\d+ %", text)] == ["−100 %", "0 %", "100 %", "200 %"]
    assert [x for _, x, _ in marks(svg, "base")] == [
        pytest.approx(0.6 * at["100 %"][0] + 0.4 * at["200 %"][0])
    ]


def test_curves_share_their_axes() -> None:
    svg = curves("t", {"base": [(0, 1.0)], "redacted": [(0.0, 0.0), (10.0, 0.5)]}, "n", rate=True)
    at = texts(svg)
    (first, last), ((_, base_x, base_y),) = paths(svg, "redacted")[0], marks(svg, "base")
    assert (first[0], last[0]) == (pytest.approx(at["0"][0]), pytest.approx(at["10"][0]))
    assert base_x == first[0]
    assert base_y < last[1] < first[1]
    assert last[1] == pytest.approx((first[1] + base_y) / 2), "half of the height"
    assert marks(svg, "redacted")[1][0] == "redacted 50.0 %, step 10"


def test_a_long_curve_can_be_pointed_at_in_places() -> None:
    svg = curves("t", {"redacted": [(i, math.sin(i / 50)) for i in range(500)]}, "n")
    assert 12 <= len(marks(svg, "redacted")) <= 24
    assert "redacted: 0.000 at 0 to −0.527 at 499." in svg


def test_the_fitted_line_stays_in_the_plot() -> None:
    steep = damage_plot(damage(-10.0), True, "n")
    dashed = re.search(r'd="M ([\d.]+) ([\d.]+)\s+L ([\d.]+) ([\d.]+)[^>]*stroke-dasharray', steep)
    assert dashed
    assert all(12 <= float(y) <= 160 for y in (dashed[2], dashed[4]))
    assert "dasharray" not in damage_plot(damage(math.nan), True, "n")
    assert marks(steep, "redacted")[0][0] == "distance 0.1: 50.0 %, (30.0 to 70.0 %), n = 3"


def test_names_of_others_are_letters() -> None:
    svg = dots_and_whiskers(ODD, [Dots(ODD, 0.9, 0.1, 0.0, 0.2, 4)], True, ODD)
    assert SHOWN in texts(svg)
    assert f'<title id="{element_id(ODD)}-title">{html.escape(SHOWN, quote=False)}</title>' in svg
    assert SHOWN in texts(curves("t", {"base": [(0, 1)]}, "n", across=ODD))


def test_a_plot_takes_its_colours_from_the_page_and_nothing_from_elsewhere() -> None:
    plots = [*every("one"), *every("two")]
    for svg in plots:
        assert not re.search(r"#[0-9a-f]{6}\b|url\(|http|font-family|<style|<script", svg)
        assert "var(--redacted)" in svg
        assert len(svg) < 20_000
    ids = re.findall(r' id="([^"]+)"', "".join(plots))
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', "".join(plots))) <= set(ids)


def test_settings_of_the_user_neither_change_nor_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = every("x")
    monkeypatch.setitem(mpl.rcParams, "font.size", 40.0)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    assert every("x") == plain
    assert mpl.rcParams["font.size"] == 40.0


WRAPPER = """<!DOCTYPE html><iframe style="width:390px;height:900px"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const inside = frame.contentDocument, seen = {};
  const look = element => frame.contentWindow.getComputedStyle(element);
  const marks = [...inside.querySelectorAll(".mark")], tip = marks[0].querySelector(".tip");
  seen.before = look(tip).visibility;
  marks[0].focus();
  seen.focused = look(tip).visibility;
  const box = tip.getBoundingClientRect();
  seen.cut = box.left < 0 || box.right > inside.documentElement.clientWidth;
  inside.querySelector(".show-base").click();
  seen.shown = marks.map(mark => look(mark).display);
  document.body.dataset.result = JSON.stringify(seen);
};
frame.srcdoc = PAGE;
</script>"""


def test_a_browser_shows_the_figures_of_a_mark(
    tmp_path: Path, chromium: Callable[..., CompletedProcess[str]]
) -> None:
    report = Report("t")
    row = {"task": "concept", "group": "redacted", "metric": "found", "base": 1.0, "redacted": 0.05}
    report.intervals([row | {"n": 60, "low": 0.017, "high": 0.137}])  # pyright: ignore[reportArgumentType]
    page = tmp_path / "page.html"
    page.write_text(WRAPPER.replace("PAGE", json.dumps(report.html()).replace("</", "<\\/")))
    done = chromium("--dump-dom", page.as_uri())
    result = re.search(r'data-result="([^"]*)"', done.stdout)
    assert result, done.stderr
    assert json.loads(html.unescape(result[1])) == {
        "before": "hidden", "focused": "visible", "cut": False, "shown": ["none", "inline"],
    }  # fmt: skip
    assert "CONSOLE" not in done.stderr
