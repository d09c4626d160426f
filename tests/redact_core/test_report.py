"""The page that people read, the summary that programs read, and how both fail."""

import base64
import errno
import html
import io
import json
import math
import os
import re
import stat
import subprocess
import wave
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from redact_core.errors import RedactError
from redact_core.evaluation.summary import SummaryRow, read_summary, write_summary
from redact_core.reporting.report import Report

EVIL = '<script>alert("1")</script> & \'"><img src=x onerror=y>'


def row(**changes: Any) -> SummaryRow:
    values = {"task": "concept", "group": "redacted", "metric": "found", "base": 0.95, "redacted": 0.05}
    return cast(SummaryRow, values | {"n": 60, "low": 0.017, "high": 0.137} | changes)


def png(color: str, side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 0.25) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(2 * int(8000 * seconds)))
    return file.getvalue()


def full(words: str = "a cigarette in noto style") -> Report:
    report = Report(words, words)
    rows = [row(task=words), row(group=words, metric="similarity", low=None, high=None), row(base=math.nan)]
    report.table(rows, title=words, caption=words)
    report.intervals(rows, title=words, caption=words)
    report.pictures(words, [words] * 4, [png("red")] * 4, [png("blue", 300)] * 4, note=words)
    report.sounds(words, [(words, wav(), wav(0.5))], note=words)
    report.text(words, words, code=words)
    return report


def test_no_text_is_read_as_markup() -> None:
    page = full(EVIL).html()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "onerror" in page  # shown, not dropped
    assert page.count(html.escape(EVIL)) > 10


def test_every_tag_is_closed() -> None:
    class Check(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "link", "img", "input"):
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    check = Check()
    check.feed(full(EVIL).html())
    assert check.open == []


def test_nothing_is_fetched() -> None:
    page = full().html()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", page))
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^#"]+)"', page))
    assert "default-src 'none'" in page


def test_pictures_and_sounds_are_carried_whole(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png("green"))
    (tmp_path / "b.wav").write_bytes(wav(0.1))
    report = Report("t")
    report.pictures("p", ["x"], [png("red")], [tmp_path / "b.png"])
    report.sounds("s", [("x", str(tmp_path / "b.wav"), b"OggS-"), ("y", b"fLaC-", wav())])
    carried = [
        (kind, base64.b64decode(data, validate=True))
        for kind, data in re.findall(r'src="data:([a-z/]+);base64,([^"]*)"', report.html())
    ]
    assert carried == [
        ("image/png", png("red")),
        ("image/png", png("green")),
        ("audio/wav", wav(0.1)),
        ("audio/ogg", b"OggS-"),
        ("audio/flac", b"fLaC-"),
        ("audio/wav", wav()),
    ]


@pytest.mark.parametrize(
    ("side", "shown", "enlarged"), [(32, 96, True), (64, 128, True), (128, 128, False), (512, 256, False)]
)
def test_small_pictures_grow_by_whole_factors(side: int, shown: int, enlarged: bool) -> None:
    report = Report("t")
    report.pictures("p", ["a tiger"], [png("red", side)], [png("blue", side)])
    page = report.html()
    assert page.count(f'width="{shown}" height="{shown}"') == 2
    assert ('class="pixels"' in page) == enlarged
    assert 'alt="base: a tiger"' in page
    assert 'alt="redacted: a tiger"' in page


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    report, absent = Report("t"), tmp_path / "absent.png"
    with pytest.raises(RedactError, match=r"absent\.png cannot be read \(No such file or directory\)"):
        report.pictures("p", ["x"], [png("red")], [absent])
    with pytest.raises(RedactError, match="redacted: x is not a PNG picture; give PNG files"):
        report.pictures("p", ["x"], [png("red")], [b"GIF89a"])
    with pytest.raises(RedactError, match="base: x is neither WAV nor OGG nor FLAC"):
        report.sounds("s", [("x", b"ID3", wav())])
    with pytest.raises(ValueError, match="2 captions, 1 base and 1 redacted pictures"):
        report.pictures("p", ["x", "y"], [png("red")], [png("red")])
    assert "<section" not in report.html()  # no half section is left


def cells(page: str) -> list[list[str]]:
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", page)
    return [
        [html.unescape(text) for text in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in lines
    ]


def test_table_shows_percent_and_dashes() -> None:
    report = Report("t")
    report.table(
        [
            row(),
            row(metric="similarity", redacted=-0.5, low=-0.6, high=-0.4, n=1200),
            row(base=None, redacted=math.nan, low=None, high=None, n=0),
        ]
    )
    page = report.html()
    assert cells(page) == [
        ["Task", "Group", "Metric", "Base", "Redacted", "Interval", "n"],
        ["concept", "redacted", "found", "95.0 %", "5.0 %", "1.7 to 13.7 %", "60"],
        ["concept", "redacted", "similarity", "0.950", "−0.500", "−0.600 to −0.400", "1,200"],
        ["concept", "redacted", "found", "–", "–", "–", "0"],
    ]
    assert page.count('<th role="columnheader" scope="col" class="number">') == 4
    assert page.count('<th role="rowheader" scope="row">') == 3
    assert "<caption" in page


def test_table_of_other_rows() -> None:
    report = Report("t", rates={"auroc"})
    report.table(
        [
            {"file": "a", "bytes": 2048, "hash": None},
            {"file": "b", "bytes": None, "hash": "ff"},
            {"file": "c", "bytes": 1, "hash": ""},
        ],
        {"file": "File", "bytes": "Bytes", "hash": "SHA-256"},
        caption="Files",
    )
    report.table([row(metric="auroc"), row()], {"metric": "Metric", "base": "Base"})
    assert cells(report.html()) == [
        ["File", "Bytes", "SHA-256"],
        ["a", "2,048", "–"],
        ["b", "–", "ff"],
        ["c", "1", "–"],
        ["Metric", "Base"],
        ["auroc", "95.0 %"],
        ["found", "0.950"],
    ]


def test_plots_say_what_they_show() -> None:
    report = Report("t")
    report.intervals([row(), row(group="retained", base=None), row(metric="similarity"), row(metric="cer")])
    page = report.html()
    assert page.count('<svg class="plot"') == 3
    assert "concept: found, base and redacted</title>" in page
    assert (
        "redacted: base 95.0 %, redacted 5.0 % (interval 1.7 to 13.7 %), n = 60; "
        "retained: base –, redacted 5.0 % (interval 1.7 to 13.7 %), n = 60.</desc>"
    ) in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count('class="mark of-base"') == 3
    assert page.count('class="mark of-redacted"') == 4


def test_contents_are_listed_from_four_sections() -> None:
    report = Report("t")
    for title in "abc":
        report.text(title, "…")
    assert "<nav" not in report.html()
    report.text("d & e", "…")
    assert '<li><a href="#s4">d &amp; e</a></li>' in report.html()
    assert '<section id="s4" ' in report.html()


def test_write_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    full("one \udc80").write(path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    before = path.read_bytes()
    for write in (Report("two").write, lambda p: write_summary(p, [])):
        with pytest.raises(RedactError, match=r"report\.html exists; nothing is overwritten\. Give another"):
            write(path)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(RedactError, match="exists"):
        Report("two").write(tmp_path / "link")
    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_an_interrupted_write_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    kind = RedactError if isinstance(error, OSError) else KeyboardInterrupt
    text = r"was not written \(No space left on device\) and nothing was left behind"
    with pytest.raises(kind, match=text if kind is RedactError else None):
        Report("t").write(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RedactError, match=r"r\.html was not written \("):
        Report("t").write(tmp_path / "file" / "r.html")


def test_summary_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    written = [row(group="käfer \udc80", base=1), row(base=math.nan, redacted=None, n=0, low=None, high=None)]
    write_summary(path, written)
    assert read_summary(path) == [written[0], written[1] | {"base": None}]
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values["schema"] == 1
    assert list(values["rows"][0]) == ["task", "group", "metric", "base", "redacted", "n", "low", "high"]
    assert values["rows"][1]["base"] is None


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in row().items() if k != key}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(task=3), "row 2: task is 3; give a text"),
        (row(base="0.5"), "row 2: base is '0.5'; give a number or null"),
        (row(redacted=True), "row 2: redacted is True; give a number or null"),
        (row(high=math.inf), "row 2: high is infinite; give a finite number or null"),
        (row(n=-1), "row 2: n is -1; give a whole number from 0"),
        (row(n=6.0), "row 2: n is 6.0; give a whole number from 0"),
        (row(n=None), "row 2: n is None; give a whole number from 0"),
        (row(redacted=0.2), "row 2: redacted 0.2 is not between low 0.017 and high 0.137"),
        (row(extra=1), "row 2: 'extra' is no key of a summary; remove it"),
        (without("low"), "row 2: low is missing"),
        ([1], "row 2: is [1]; give task, group, metric, base, redacted, n, low, high"),
    ],
)
def test_faulty_rows_are_explained(tmp_path: Path, bad: Any, message: str) -> None:
    path = tmp_path / "summary.json"
    with pytest.raises(RedactError, match="was not written: " + re.escape(message) + "$"):
        write_summary(path, [row(), bad])
    assert not path.exists()
    with pytest.raises(RedactError, match="cannot be plotted: " + re.escape(message) + "$"):
        Report("t").intervals([row(), bad])
    path.write_text(json.dumps({"schema": 1, "rows": [row(), bad]}))
    with pytest.raises(RedactError, match="cannot be used: " + re.escape(message) + "$"):
        read_summary(path)


def test_all_faults_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(
        RedactError, match=r"row 1: task is 3; give a text; row 1: n is -1; .*; row 2: low is"
    ):
        write_summary(tmp_path / "s.json", [row(task=3, n=-1), cast(SummaryRow, without("low"))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"cannot be read \(No such file or directory\); give a summary\.json"),
        ("{", "is not a summary"),
        ("[]", "is not a summary"),
        ('{"schema": 2, "rows": []}', "schema 2, this version reads 1; update redact"),
        ('{"schema": 1}', "rows is no list"),
    ],
)
def test_damaged_summaries_are_explained(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "summary.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RedactError, match=message) as caught:
        read_summary(path)
    assert "\n" not in str(caught.value)


WRAPPER = """<!DOCTYPE html><body style="margin:0;background:#f0f">
<iframe id="narrow" style="border:0;width:360px;height:1600px"></iframe>
<iframe id="wide" style="border:0;width:1200px;height:1600px"></iframe>
<script>
const page = PAGE, frames = [...document.querySelectorAll("iframe")];
function measure(frame) {
  const inside = frame.contentDocument, root = inside.documentElement;
  const tops = [...inside.querySelectorAll(".clip audio")].map(a => a.getBoundingClientRect().top);
  return {
    width: root.clientWidth, needed: root.scrollWidth,
    pictures: [...inside.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width]),
    seconds: [...inside.querySelectorAll("audio")].map(a => a.duration),
    stacked: tops[1] > tops[0], table: inside.querySelector(".wide").scrollWidth,
  };
}
async function ready(frame) {
  await new Promise(done => { frame.onload = done; frame.srcdoc = page; });
  const clips = [...frame.contentDocument.querySelectorAll("audio")];
  await Promise.all(clips.map(a => a.readyState || new Promise(done => { a.onloadedmetadata = a.onerror = done; })));
}
Promise.all(frames.map(ready)).then(() => {
  document.body.dataset.result = JSON.stringify(Object.fromEntries(frames.map(f => [f.id, measure(f)])));
});
</script>"""


def test_a_browser_shows_it_without_sideways_scrolling(
    tmp_path: Path, chromium: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    page = full("averylongwordwithoutanyspace" * 6).html()
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(WRAPPER.replace("PAGE", json.dumps(page).replace("</", "<\\/")))
    done = chromium("--dump-dom", wrapper.as_uri())
    result = re.search(r'data-result="([^"]*)"', done.stdout)
    assert result, done.stderr
    seen = json.loads(html.unescape(result[1]))
    for name, width in (("narrow", 360), ("wide", 1200)):
        got = seen[name]
        assert (got["width"], got["needed"]) == (width, width)
        assert got["seconds"] == [0.25, 0.5]
        assert [natural for natural, _ in got["pictures"]] == [32, 300] * 4
        assert got["pictures"][0][1] == 96
    assert seen["narrow"]["stacked"]
    assert not seen["wide"]["stacked"]
    assert seen["narrow"]["table"] <= 360  # its cells stand below one another
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_paints_it_light_and_dark(
    tmp_path: Path, chromium: Callable[..., subprocess.CompletedProcess[str]], width: int
) -> None:
    path = tmp_path / "report.html"
    report = Report("A report", "Base and redacted")
    report.pictures("Pictures", ["a tiger"], [png("#ff0000")], [png("#0000ff")])
    report.intervals([row()])
    report.write(path)
    for scheme, paper in ((), "#fcfcfb"), (("--force-dark-mode",), "#15181b"):
        shot = tmp_path / f"{paper}.png"
        chromium(f"--screenshot={shot}", f"--window-size={width},900", *scheme, path.as_uri())
        with Image.open(shot) as image:
            counts = image.convert("RGB").getcolors(1 << 24) or []
            assert image.size == (width, 900)
        by_color = {f"#{r:02x}{g:02x}{b:02x}": count for count, (r, g, b) in cast(Any, counts)}
        assert max(by_color, key=lambda color: by_color[color]) == paper
        # both pictures at 96 by 96, less their round corners
        assert 0.98 * 96 * 96 < by_color["#ff0000"] <= 96 * 96
        assert 0.98 * 96 * 96 < by_color["#0000ff"] <= 96 * 96
        assert len(by_color) > 50  # letters and marks are there
