"""The page of an evidence folder in a real browser: no console errors, blurred until chosen."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from toy_evidence import make

from redact_core.reporting.evidence_report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

WRAPPER = """<!DOCTYPE html><iframe id="page" width="360" height="2000"></iframe><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const page = frame.contentDocument, style = node => frame.contentWindow.getComputedStyle(node);
  const boxes = [...page.querySelectorAll("input.reveal")];
  const image = box => box.nextElementSibling.querySelector("img");
  const before = style(image(boxes[0])).filter;
  boxes[1].focus();
  const focused = page.activeElement === boxes[1];
  boxes[0].nextElementSibling.click();
  const result = {
    boxes: boxes.length, before, focused, after: style(image(boxes[0])).filter,
    others: boxes.slice(1).every(box => style(image(box)).filter.includes("blur")),
    loaded: [...page.images].every(one => one.naturalWidth === 8), images: page.images.length,
    plain: [...page.querySelectorAll("div.both img")].every(one => style(one).filter === "none"),
    needed: page.documentElement.scrollWidth,
  };
  document.body.dataset.result = JSON.stringify(result);
};
frame.srcdoc = PAGE;
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    evidence = make(folder / "out", "redacting", "untouched", "deaf", n=12)
    evidence.note_command("redact evaluate --out 'a b' <script>")
    write_report(evidence, folder / "report.html")
    write_report(evidence, folder / "report.html")  # it is derived, so it may be made again
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["report.html"]
    return (folder / "report.html").read_text(encoding="utf-8")


def test_it_says_what_is_wrong_and_how_it_was_made(page: str) -> None:
    text = html.unescape(page)
    assert "untouched: “plum” is not gone: asked directly, it is still found in 12 of 12 samples" in text
    assert "what shall stay far from it is harmed (100.0 % → " in text
    assert "The floor, how often this judge is mistaken, was not measured here." in text
    assert "Attacker's access: none." in text
    assert "untouched, word, redacted: found is not lower than in the base" in text
    assert "redact evaluate --out 'a b' <script>" in text
    assert "&lt;script&gt;" in page
    assert "untouched: Worst by found" in text
    assert "deaf: Worst by found" in text
    assert "redacting: Worst by found" not in text
    assert re.search(r"encoder in memory [0-9a-f]{64}", text)
    assert page.count('class="reveal"') == page.count('<label class="both"') > 0


def test_a_browser_blurs_redacted_pictures_until_they_are_chosen(page: str, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; apt-get install chromium")
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(WRAPPER.replace("PAGE", json.dumps(page).replace("</", "<\\/")))
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=9000", "--dump-dom", wrapper.as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    result = re.search(r'data-result="([^"]*)"', done.stdout)
    assert result, done.stderr
    seen = json.loads(html.unescape(result[1]))
    assert "blur" in seen["before"]
    assert seen["after"] == "none"
    assert seen["focused"]
    assert seen["others"]
    assert seen["loaded"]
    assert seen["plain"]
    assert 2 * seen["boxes"] < seen["images"]
    assert seen["needed"] <= 360
    assert "CONSOLE" not in done.stderr
