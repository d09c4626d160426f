"""The page that compares two models: what a press does, what is refused, and the page itself in a browser."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from browser import CHROMIUM, needs_chromium
from command import redact
from torch import Tensor
from toy_by_hand import ToyByHand
from toy_evaluation import PictureToy, WordScorer

from lightning_modules.app.compare import Comparison, Figure, Subject, subjects_of
from lightning_modules.app.page import gradio, table
from redact_core import Condition, Conditioning, Guard, RedactError, RedactionCard
from redact_core.adapters.by_hand import Entry, try_by_hand


def comparison(*subjects: Subject) -> Comparison:
    return Comparison(
        ToyByHand(), ToyByHand("redacting"), [WordScorer()], subjects or [Subject("plum", "fig")]
    )


def test_both_models_get_the_same_and_are_judged() -> None:
    compare = comparison()
    found = compare({"prompt": " plum ", "steps": 3}, 7)
    assert found.verdict == "“plum”: found in the base's sample, not found in the redacted model's (“found”)."
    assert [found.base.parent, found.redacted.parent] == [compare.folder] * 2
    assert found.base.read_bytes() != found.redacted.read_bytes()
    said = {figure.name: (figure.base, figure.redacted) for figure in found.figures}
    assert said["found"] == ("yes", "no")
    assert said["reference found"] == ("no", "yes")
    kept = compare({"prompt": "pear", "steps": 3}, 7)
    assert kept.base.read_bytes() == kept.redacted.read_bytes()
    assert (
        kept.verdict == "“plum”: not found in the base's sample, not found in the redacted model's (“found”)."
    )
    assert len(list(compare.folder.iterdir())) == 4, "one file for each sample, nowhere else"
    other = comparison(Subject("plum"), Subject("pear"))({"prompt": "pear", "steps": 3}, 7, "pear")
    assert other.verdict == "“pear”: found in the base's sample, found in the redacted model's (“found”)."


def test_a_redacted_voice_is_chosen_first() -> None:
    class Voices(ToyByHand):
        def entries(self) -> list[Entry]:
            return [
                Entry("voice", "Voice", "choice", "ann", ("ann", "bob")),
                Entry("text", "Text", "text", "hello"),
            ]

    def first(*subjects: Subject) -> list[Any]:
        return [entry.value for entry in Comparison(Voices(), Voices(), [], subjects).entries()]

    assert first(Subject("cid"), Subject("bob")) == ["bob", "hello"]
    assert first() == ["ann", "hello"]


def test_without_a_subject_nothing_is_judged() -> None:
    found = Comparison(ToyByHand(), ToyByHand(), [WordScorer()], [])({"prompt": "plum"}, 0)
    assert found.figures == ()
    assert found.verdict == "Nobody says what was redacted, so nothing is judged; name it with --redact."


@pytest.mark.parametrize(
    ("values", "seed", "message"),
    [
        ({"prompt": " "}, 0, "Prompt is empty; give 1 to 20 characters."),
        ({"prompt": "x" * 21}, 0, "Prompt has 21 characters; give 1 to 20 characters."),
        ({"prompt": "plum", "steps": 0}, 0, "Steps is 0; give a whole number from 1 to 100."),
        ({"prompt": "plum", "steps": 1.5}, 0, "Steps is 1.5; give a whole number from 1 to 100."),
        ({"prompt": "plum", "steps": None}, 0, "Steps is None; give a number."),
        ({"prompt": "plum", "steps": float("nan")}, 0, "Steps is nan; give a whole number from 1 to 100."),
        ({"prompt": "plum"}, None, "The seed is None; give a whole number."),
        ({"prompt": "plum"}, -1, "The seed is -1; give a whole number from 0 to 2147483647."),
        ({"prompt": "plum"}, 1.5, "The seed is 1.5; give a whole number from 0 to 2147483647."),
        ({"prompt": "plum"}, float("inf"), "The seed is inf; give a whole number."),
        ({"prompt": "stone"}, 0, "“stone” is no word"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_message(values: dict[str, Any], seed: Any, message: str) -> None:
    with pytest.raises(RedactError) as caught:
        comparison()(values, seed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_nobody_asks_by_hand_is_refused() -> None:
    with pytest.raises(
        RedactError, match=r"TriedByHand\), which PictureToy does not have; use redact evaluate"
    ):
        Comparison(ToyByHand(), PictureToy(), [], [])


class Grey(Guard):
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        return [torch.zeros_like(sample) for sample in self.inner.generate(conditions, seeds=seeds)]


def test_a_guard_acts_on_what_is_tried_by_hand() -> None:
    """The capability is the guarded model's, the sample is the guard's."""
    compare = Comparison(ToyByHand(), Grey(ToyByHand()), [], [])
    assert [entry.name for entry in compare.entries()] == ["prompt", "steps"]
    plain = try_by_hand(ToyByHand(), {"prompt": "plum"}, 3)[1]
    row, grey = try_by_hand(Grey(ToyByHand()), {"prompt": "plum"}, 3)
    assert (row.condition, row.seed) == ("plum", 3)
    assert plain.abs().sum() > 0
    assert not grey.any()


def test_the_card_says_what_was_redacted_where_it_discloses_it(tmp_path: Path) -> None:
    assert subjects_of(tmp_path, [], []) == []
    asked = {
        "disclosure": "text",
        "asked": ["cigarette -> lollipop", "style: twemoji -> style: fluent", "voice21"],
    }
    RedactionCard({}, {}, asked, {}, {}, {}, {}, "").write(tmp_path)
    assert subjects_of(tmp_path, [], []) == [
        Subject("cigarette", "lollipop"), Subject("twemoji", "fluent"), Subject("voice21")
    ]  # fmt: skip
    assert subjects_of(tmp_path, ["a", "b"], ["c"]) == [Subject("a", "c"), Subject("b", "c")]
    assert subjects_of(tmp_path, ["a", "b"], ["c", "d"]) == [Subject("a", "c"), Subject("b", "d")]
    with pytest.raises(
        RedactError, match="3 redactions but 2 references; give one for all, one for each, or none"
    ):
        subjects_of(tmp_path, ["a", "b", "c"], ["d", "e"])
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    RedactionCard({}, {}, {"disclosure": "digest", "asked": ["0f"]}, {}, {}, {}, {}, "").write(hidden)
    assert subjects_of(hidden, [], []) == []


def test_figures_are_texts() -> None:
    shown = table([Figure("<script>", "yes", "no", "<b>")])
    assert "<script>" not in shown
    assert "&lt;script&gt;<small>&lt;b&gt;" in shown
    assert table([]) == ""


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(
        RedactError, match=r"needs the package gradio; install it: pip install 'redact-core\[app\]'"
    ):
        gradio()


class Lacking(PictureToy):
    """Not a patched PictureToy: jsonargparse remembers the parameters of a class for as long as the process lives."""

    def __init__(self) -> None:
        raise ImportError("No module named 'x'")


def test_a_package_that_a_model_lacks_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", ModuleType("gradio"))
    assert redact("app", "--base", f"{__name__}.Lacking", "--redacted", tmp_path) == 2
    assert capsys.readouterr().err == "redact: No module named 'x'\n"


@contextlib.contextmanager
def served(compare: Comparison) -> Iterator[str]:
    from lightning_modules.app.page import page, serve

    blocks = page(compare, "Base and redacted")
    try:
        yield serve(blocks, compare, "127.0.0.1", None, share=False, wait=False)
    finally:
        blocks.close()
        compare.close()
        assert not compare.folder.exists()


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_in_a_browser(width: int, scheme: Any, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    playwright = pytest.importorskip("playwright.sync_api")
    with served(comparison()) as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        elsewhere: list[str] = []
        view.on(
            "request",
            lambda request: (
                None if request.url.startswith((address, "data:", "blob:")) else elsewhere.append(request.url)
            ),
        )
        arrived: list[str] = []
        view.on("response", lambda response: arrived.append(response.url))
        view.goto(address)
        view.get_by_label("Prompt").fill("plum")
        view.get_by_role("button", name="Compare").click()
        view.get_by_text("“plum”: found in the base's sample, not found").wait_for(timeout=60_000)
        assert view.locator("img[src*='/file=']").count() >= 2
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        view.get_by_label("Prompt").fill("stone")
        view.get_by_role("button", name="Compare").click()
        view.get_by_text("“stone” is no word").first.wait_for(timeout=60_000)
        assert view.get_by_text("Traceback").count() == 0
        assert [url for url in arrived if not url.startswith((address, "data:", "blob:"))] == [], elsewhere
        browser.close()


def started(address: str, process: subprocess.Popen[str]) -> None:
    """Waits until the page is there."""
    for _ in range(240):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as page:
            assert b"gradio" in page.read()
            return
        time.sleep(0.5)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_an_interrupt_removes_what_was_made(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    for name in ("no_plum", "temporary"):
        (tmp_path / name).mkdir()
    ToyByHand().save(tmp_path / "no_plum")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_modules", "app", "--base", "toy_by_hand.ToyByHand", "--redacted",
         str(tmp_path / "no_plum"), "--redact", "plum", "--device", "cpu", "--port", str(port)],
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # as a terminal starts it: in the background of a script, an interrupt is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    started(address, process)
    asked = json.dumps({"data": [0, "plum", "plum", 2]}).encode()
    kind = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{address}/gradio_api/call/compare", asked, kind)
    ) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/compare/{event}", timeout=60) as answer:
        assert b"event: complete" in answer.read()
    (folder,) = (tmp_path / "temporary").glob("redact-app-*")
    assert len(list(folder.glob("*.png"))) == 2
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert list((tmp_path / "temporary").glob("redact-app-*")) == []
    assert "Traceback" not in out + error
    assert "press Ctrl+C to stop it" in out
