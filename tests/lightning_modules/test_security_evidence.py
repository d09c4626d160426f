"""Evidence and cards of others: nothing in them is imported, leads out of the folder, or acts in a page."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import pytest
from command import redact
from PIL import Image
from toy_attacks import OpenToy
from toy_evaluation import WordScorer, without_plums

from lightning_modules.evaluation.attempt_files import load_attempt
from lightning_modules.support import names
from lightning_modules.support.output import printable
from lightning_modules.support.recorded import recorded
from modalities.text_to_image.metrics.detectors import DetectorScorer
from redact_core import RedactError, RedactionCard, Scorer
from redact_core.evaluation.damage import Curve, Point
from redact_core.reporting.plots import Dots, curves, damage_plot, dots_and_whiskers
from redact_core.support.folders import sha256
from redact_core.support.inside import inside

EVIL = "evil_judge.Judge"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attacks on a toy and on its redaction, scored; do not write into it."""
    root = tmp_path_factory.mktemp("evidence")
    redacted = without_plums(OpenToy(), root)
    assert (
        redact(
            "attack", "--base", "toy_attacks.OpenToy", "--redacted", redacted, "--redact", "plum", "--reference",
            "fig", "--n", "2", "--attacks", "[toy_attacks.Bypass, toy_attacks.Spelling]", "--device", "cpu",
            "--out", root / "whole",
        )
        == 0
    )  # fmt: skip
    return root / "whole"


@pytest.fixture
def received(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to poison; beside it, a module that leaves a file behind when it is imported."""
    (tmp_path / "evil_judge.py").write_text(
        f"open({str(tmp_path / 'marker')!r}, 'w')\nfrom toy_evaluation import WordScorer as Judge\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evil_judge", raising=False)
    return Path(shutil.copytree(whole, tmp_path / "received"))


def edit(path: Path, change: Any) -> None:
    """Let ``change`` change every line of JSON, or the one object, of a file."""
    text = path.read_text(encoding="utf-8")
    values = [json.loads(text)] if path.suffix == ".json" else [json.loads(one) for one in text.splitlines()]
    for value in values:
        change(value)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def name_judge(received: Path, path: object, **arguments: object) -> None:
    def change(line: dict[str, Any]) -> None:
        if "class_path" in line:
            line |= {"class_path": path, "init_args": arguments}

    for file in (received / "scores").glob("*.jsonl"):
        edit(file, change)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert redact(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_a_record_imports_nothing_of_others(received: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name_judge(received, EVIL)
    error = refusal(capsys, "score", received)
    assert f"names the class '{EVIL}', which is none of redact's" in error
    assert "--scorers+=MODULE.CLASS" in error
    assert redact("report", received) == 0
    assert not (received.parent / "marker").exists()
    assert redact("score", received, f"--scorers+={EVIL}") == 0  # named by the person who calls
    assert (received.parent / "marker").exists()


def test_a_set_scorer_or_an_argument_of_a_record_imports_nothing_either(
    received: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (received / "sets").mkdir(exist_ok=True)
    head = {"scorer": "S", "class_path": EVIL, "init_args": {}, "files": {}, "metrics": {}, "figures": []}
    (received / "sets" / "S.json").write_text(json.dumps(head))
    assert EVIL in refusal(capsys, "score", received)
    (received / "sets" / "S.json").unlink()
    nested: list[object] = [
        [EVIL],
        [{"class_path": EVIL}],
        [
            {
                "class_path": "modalities.text_to_image.metrics.detectors.NudeNet",
                "init_args": {"weights": "x"},
            },
            EVIL,
        ],
        [{"class_path": "modalities.text_to_image.metrics.detectors.NudeNet", "dict_kwargs": {}}],
    ]
    for value in nested:
        name_judge(received, "modalities.text_to_image.metrics.detectors.DetectorScorer", detectors=value)
        refusal(capsys, "score", received)
    assert not (received.parent / "marker").exists()


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("os.system", {}, "is no class"),
        ("subprocess.Popen", {}, "as a Scorer, which it is not"),
        ("redact_core.nothing.Thing", {}, "cannot be imported"),
        (None, {}, "names the class None"),
        ("toy_evaluation.WordScorer", {"sight": 1}, "an argument 'sight' that it does not have"),
        ("redact_core.Adapter", {}, "as a Scorer, which it is not"),
    ],
)
def test_records_are_checked_before_they_are_built(path: object, arguments: Any, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        recorded(Scorer, [{"class_path": path, "init_args": arguments}])


def test_records_of_ours_pass() -> None:
    spec = {"class_path": "toy_evaluation.WordScorer", "init_args": {"blind": True}}
    assert recorded(Scorer, [{**spec, "files": {}, "metrics": {}}]) == [spec]  # imported already
    assert WordScorer.__module__ in sys.modules
    q16 = {
        "class_path": "modalities.text_to_image.metrics.detectors.Q16",
        "init_args": {"clip": "a", "prompts": "b"},
    }
    path = f"{DetectorScorer.__module__}.DetectorScorer"
    spec = {"class_path": path, "init_args": {"detectors": [q16]}}
    assert recorded(Scorer, [spec]) == [spec]


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/secret.png", "samples/../../secret.png", "..", "", 7, "a\\b"]
)
def test_names_of_files_may_not_lead_out(
    received: Path, name: object, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = received.parent / "secret.png"
    Image.new("RGB", (2, 2)).save(secret)

    def change(row: dict[str, Any]) -> None:
        row |= {"sample": name, "sha256": sha256(secret)}

    kept = (received / "rows.jsonl").read_text()
    edit(received / "rows.jsonl", change)
    assert "names the file" in refusal(capsys, "report", received)
    (received / "rows.jsonl").write_text(kept)
    for part in (received / "parts").rglob("*.jsonl"):
        edit(part, change)
    for verb in ("report", "score"):
        assert "names the file" in refusal(capsys, verb, received)
    assert not (received / "report.html").exists()


def test_attempts_may_not_lead_out(
    received: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    for name in ("../secret.wav", str(tmp_path / "secret.wav"), "attempts/../../secret.wav"):
        with pytest.raises(RedactError, match="lies outside its folder; do not use this folder"):
            load_attempt(received, {"kind": "clip", "attack": "A", "file": name})

    def change(row: dict[str, Any]) -> None:
        if row["attack"] == "Bypass":
            row["file"] = "../stolen.safetensors"

    for path in (received / "attempts").rglob("*.jsonl"):
        edit(path, change)
    out = tmp_path / "out"
    error = refusal(
        capsys, "attack", "--base", "toy_attacks.OpenToy", "--redacted", received.parent / "no_plum_", "--replay",
        received, "--from", "base", "--out", out,
    )  # fmt: skip
    assert "there is no folder" in error
    redacted = without_plums(OpenToy(), tmp_path)
    error = refusal(
        capsys, "attack", "--base", "toy_attacks.OpenToy", "--redacted", redacted, "--replay", received, "--from",
        "base", "--out", out, "--device", "cpu",
    )  # fmt: skip
    assert "'../stolen.safetensors', which lies outside its folder" in error


def test_a_replay_imports_nothing_that_the_evidence_names(received: Path, tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        for record in manifest["attacks"].values():
            record |= {"class_path": EVIL}
        for model in manifest["models"].values():
            model |= {"class": EVIL}

    edit(received / "evidence.json", change)
    redacted = without_plums(OpenToy(), tmp_path)
    assert (
        redact(
            "attack", "--base", "toy_attacks.OpenToy", "--redacted", redacted, "--replay", received, "--from",
            "base", "--out", tmp_path / "out", "--device", "cpu",
        )
        == 0
    )  # fmt: skip
    assert redact("report", received) == 0
    assert not (tmp_path / "marker").exists()


def test_links_of_evidence_may_not_lead_out(received: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = received.parent / "outside"
    outside.mkdir()
    (outside / "mine.json").write_text("{}")
    (received / "sets").symlink_to(outside)
    for verb in ("score", "report"):
        assert "sets is a link that leads out of the evidence" in refusal(capsys, verb, received)
    assert (outside / "mine.json").exists()
    (received / "sets").unlink()
    (received / "round").symlink_to("round")
    assert "round is a link" in refusal(capsys, "report", received)


@pytest.mark.parametrize("name", ["../base", "/tmp/x", "a/b", "", "."])
def test_names_of_models_are_names(received: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit(received / "evidence.json", lambda m: m["models"].update({name: m["models"]["no_plum"]}))
    assert "is no name of a model" in refusal(capsys, "report", received)


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    ALLOWED: ClassVar[set[str]] = {
        "a", "audio", "body", "caption", "code", "dd", "defs", "desc", "details", "div", "dl", "dt", "em",
        "figcaption", "figure", "g", "h1", "h2", "h3", "head", "header", "html", "i", "img", "input", "label", "li", "link",
        "main", "meta", "nav", "ol", "p", "path", "pre", "section", "small", "span", "strong", "style", "summary", "svg",
        "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul", "use",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.ALLOWED:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (
                name in {"src", "href"} and not (value or "").startswith(("data:", "#"))
            ):
                self.found.append(f"{tag} {name}={value}")


def acts(page: str) -> list[str]:
    tags = Tags()
    tags.feed(page)
    return tags.found


def test_the_page_shows_texts_as_texts(received: Path) -> None:
    evil = '"><script>alert(1)</script><img src=http://example.org onerror=alert(1)>\u2028<!--'
    edit(received / "evidence.json", lambda m: m["commands"].append(evil))
    edit(received / "evidence.json", lambda m: m["attacks"]["Bypass"].update(budget=evil))

    def change(row: dict[str, Any]) -> None:
        row |= {"condition": row["condition"] + evil, "labels": row["labels"] | {"sentence": evil}}

    edit(received / "rows.jsonl", change)
    edit(
        received / "attempts" / "no_plum.jsonl",
        lambda row: row.update(condition=evil) if "condition" in row else 0,
    )
    assert redact("report", received) == 0
    page = (received / "report.html").read_text(encoding="utf-8")
    assert acts(page) == []
    assert page.count("&lt;script&gt;alert(1)") > 5
    assert acts("<p onclick=x><script>") == ["p onclick=x", "script"]  # the judge sees


def test_names_in_plots_are_texts() -> None:
    evil = '"><script>alert(1)</script>'
    assert acts(curves(evil, {"base": [(0.0, 0.0), (1.0, 1.0)]}, evil)) == []
    points = (Point(0.1, 0.0, -0.1, 0.1, 3), Point(0.5, 0.0, -0.1, 0.1, 3))
    curve = Curve(evil, evil, evil, points, 0.0, 0.0, 0.0, 6)
    assert acts(damage_plot(curve, True, evil)) == []
    assert acts(dots_and_whiskers(evil, [Dots(evil, 0.0, 1.0, 0.0, 1.0, 3)], True, evil)) == []


def test_cards_of_others_are_read_as_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = RedactionCard(
        base={"source": "x\nlicense: mit\n---\n<b>"}, method={}, measures={"a|b": 1.0}, versions={}, created="now\x1b]0;x\x07",
        request={"disclosure": "text", "asked": ["<script>x</script>\n# big", "[a](javascript:b)", "\x1b[2J gone"]},
        changed={"../a`b": {"before": None, "after": "0" * 64}}, files={"../../etc/passwd": "0" * 64},
    )  # fmt: skip
    card.write(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert page.splitlines()[:4] == [
        "---",
        'base_model: "x\\nlicense: mit\\n---\\n<b>"',
        "tags: [redacted]",
        "---",
    ]
    assert not re.search(r"(?<!\\)<|^# big|(?<!\\)\[a\]\(", page.partition("tags:")[2], re.MULTILINE)
    (tmp_path / "out").symlink_to(Path("/"))
    assert redact("card", tmp_path) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "../../etc/passwd is missing" in shown.err
    assert "out is a link that leads out of the folder" in shown.err
    values = json.loads((tmp_path / "redaction.json").read_text())
    for change in (
        {"files": []},
        {"changed": {"a": "b"}},
        {"measures": {"a": "b"}},
        {"base": "x"},
        {"notes": {}},
    ):
        (tmp_path / "redaction.json").write_text(json.dumps(values | change))
        with pytest.raises(RedactError, match="is not a redaction card"):
            RedactionCard.read(tmp_path)
    assert printable("a\u202eb\tc\n") == "a\ufffdb\tc\n"


def test_inside_is_inside(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "out").symlink_to(tmp_path)
    assert inside(tmp_path / "folder", "a/b.wav", "x") == tmp_path / "folder" / "a" / "b.wav"
    with pytest.raises(RedactError, match=r"x names out/b\.wav, a link that leads out"):
        inside(tmp_path / "folder", "out/b.wav", "x")


def test_two_classes_of_a_name_are_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package, name in (("first_of_two", "Twin"), ("second_of_two", "Twin"), ("second_of_two", "Alone")):
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
        with (tmp_path / package / "parts.py").open("a") as file:
            file.write(f"class {name}(object):\n    pass\n\n\nclass Note:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(names, "PACKAGES", ("first_of_two", "second_of_two"))
    assert names.path_of("Alone") == "second_of_two.parts.Alone"
    assert names.path_of("Note") == "first_of_two.parts.Note"  # no option takes it
    assert names.path_of("Nobody") is None
    wanted = (
        "Twin is the name of 2 classes, first_of_two.parts.Twin and second_of_two.parts.Twin; write the path"
    )
    with pytest.raises(RedactError, match=wanted):
        names.path_of("Twin")
    assert wanted in refusal(capsys, "fit", "--model.adapter", "Twin")
    assert wanted in refusal(capsys, "score", tmp_path, "--scorers+=Twin")


def test_no_two_of_our_classes_share_a_name() -> None:
    shared = {name: modules for name, modules in names.places().items() if len(modules) > 1}
    assert shared == {}
