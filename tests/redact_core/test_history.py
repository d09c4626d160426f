"""A model that was redacted more than once has a card that tells all of it, in order."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import redact as command
from diffusers import StableDiffusionPipeline

from modalities.text_to_image import StableDiffusion
from redact_core import (
    ClosedForm,
    Distillation,
    FromFolder,
    Lesson,
    Objective,
    RedactionCard,
    SelectiveAmnesia,
    redact,
)
from redact_core.artefacts.card import SCOPE
from redact_core.artefacts.disclosure import HIDDEN
from redact_core.artefacts.history import disclosed_redaction, read_history
from redact_core.support.folders import sha256

UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


def amnesia() -> SelectiveAmnesia:
    return SelectiveAmnesia(
        parameters="attn2", surrogates=2, replays=2, fisher_samples=2, fisher_times=2, learning_rate=1e-2
    )


def rows(what: str, reference: str) -> list[Lesson]:
    """Few: a request makes hundreds."""
    kept = ["a red bird", "the old man", ""]
    return [Lesson.redact(f"a {what}", f"a {reference}"), *map(Lesson.retain, kept)]


def asked(one: dict[str, Any]) -> str:
    ((what, reference),) = one["request"]["lessons"]
    return f"{what} -> {reference}"


def made(source: object, what: str, reference: str, objective: Objective, out: Path, **told: object) -> Path:
    model = StableDiffusion(str(source), steps=2)
    redact(model, rows(what, reference), objective=objective, steps=2, batch_size=2)
    return model.save_pretrained(out, **told)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def first(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tiny_sd, "cat", "dog", amnesia(), tmp_path_factory.mktemp("first") / "no_cat")


def test_a_redacted_folder_that_is_redacted_again_tells_of_both(
    tiny_sd: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = made(first, "car", "bus", ClosedForm(disturbed=0), tmp_path / "out")
    card, before = RedactionCard.read(out), RedactionCard.read(first)
    assert card.base == before.base
    assert card.base["source"] == str(tiny_sd)
    one, two = card.redactions
    assert one["request"] == before.request
    assert two["request"] == card.request
    assert [asked(one), asked(two)] == ["a cat -> a dog", "a car -> a bus"]
    assert one["method"] == before.method
    assert (one["created"], one["measures"], one["scope"]) == (before.created, before.measures, before.scope)
    assert [set(x["changed"]) for x in (one, two)] == [{UNET}, {TEXT}]
    # of the whole, from the untouched model to this folder
    for name in (UNET, TEXT):
        assert card.changed[name] == {"before": sha256(tiny_sd / name), "after": sha256(out / name)}
    assert set(card.changed) == {UNET, TEXT}
    assert card.verify(out) == []
    assert command("card", out) == 0
    shown = capsys.readouterr().out
    for earlier, later in (
        ("### 1. SelectiveAmnesia", "### 2. ClosedForm"), (f"changed `{UNET}`", f"changed `{TEXT}`"),
        ("The generator of this folder was changed", SCOPE),
    ):  # fmt: skip
        assert 0 < shown.index(earlier) < shown.index(later)
    assert "In 2 redactions, each on top of those before it." in shown
    assert shown.count('"objective": "redact_core.objectives') == 2


def test_three_redactions_are_listed_in_order_each_with_its_own_files(first: Path, tmp_path: Path) -> None:
    second = made(first, "car", "bus", ClosedForm(disturbed=0), tmp_path / "second")
    third = made(second, "cat", "dog", Distillation(), tmp_path / "third")
    card = RedactionCard.read(third)
    assert [asked(x)[:5] for x in card.redactions] == ["a cat", "a car", "a cat"]
    assert [set(x["changed"]) for x in card.redactions] == [{UNET}, {TEXT}, {TEXT}]
    assert card.redactions[2]["changed"][TEXT] == {
        "before": sha256(second / TEXT),
        "after": sha256(third / TEXT),
    }
    (third / TEXT).write_bytes((second / TEXT).read_bytes())
    assert card.verify(third) == [f"{TEXT} is that of an earlier redaction: the later one is undone"]
    (third / TEXT).write_bytes((first / TEXT).read_bytes())
    assert card.verify(third) == [f"{TEXT} is the stock file again: the redaction is undone"]


def test_a_generator_that_is_redacted_behind_a_redacted_encoder_is_said_to_forget_nothing_of_it(
    tiny_sd: Path, first: Path, tmp_path: Path
) -> None:
    """It is asked for the reference alone, and the stock encoder brings the rest back."""
    said = "The encoder had been changed before the generator was (redaction {})"
    encoder = made(tiny_sd, "cat", "dog", ClosedForm(disturbed=0), tmp_path / "encoder")
    both = RedactionCard.read(made(encoder, "cat", "dog", amnesia(), tmp_path / "both"))
    assert [note for note in both.notes if note.startswith(said.format(1))]
    inside = StableDiffusion(str(first), steps=2)
    assert not redact(inside, rows("car", "bus"), objective=ClosedForm(disturbed=0)).shortfalls
    with pytest.warns(UserWarning, match="the generator first, then the encoder"):
        result = redact(inside, rows("car", "bus"), objective=amnesia(), steps=2, batch_size=2)
    assert [note for note in result.card.notes if note.startswith(said.format(2))]
    for order in (first, made(first, "cat", "dog", ClosedForm(disturbed=0), tmp_path / "right")):
        assert "had been changed before" not in "".join(RedactionCard.read(order).notes)


def test_the_cost_is_that_of_all_redactions(first: Path, tmp_path: Path) -> None:
    one = RedactionCard.read(first)
    two = RedactionCard.read(made(first, "bird", "car", Distillation(), tmp_path / "two"))
    assert one.whole_cost() == one.cost
    assert two.whole_cost()["seconds"] == pytest.approx(one.cost["seconds"] + two.cost["seconds"])
    assert set(two.whole_cost()) == set(one.cost) & set(two.cost)
    silent = replace(two, earlier=[{**two.earlier[0], "cost": {}}])
    assert silent.whole_cost() == {}  # a part of a sum would look like the whole


def test_a_model_in_memory_that_is_redacted_twice_tells_of_both(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None), steps=2)
    redact(model, rows("cat", "dog"), objective=amnesia(), steps=2, batch_size=2)
    result = redact(model, rows("cat", "dog"), objective=ClosedForm(disturbed=0))
    assert [one["method"]["objective"].rpartition(".")[2] for one in result.card.redactions] == [
        "SelectiveAmnesia", "ClosedForm",
    ]  # fmt: skip
    card = RedactionCard.read(model.save_pretrained(tmp_path / "out"))
    assert {UNET, TEXT} <= set(card.changed)
    assert card.earlier[0]["changed"] == {}
    text = card.markdown()
    assert "changed in memory; the files are listed with a later redaction" in text
    assert text.index("### 1. SelectiveAmnesia") < text.index("### 2. ClosedForm")


def test_a_training_that_starts_from_a_folder_tells_of_it(tiny_sd: Path, tmp_path: Path) -> None:
    old = made(tiny_sd, "cat", "dog", ClosedForm(disturbed=0), tmp_path / "old")
    card = RedactionCard.read(
        made(tiny_sd, "car", "bus", Distillation(start=FromFolder(old)), tmp_path / "out")
    )
    assert [asked(x) for x in card.redactions] == ["a cat -> a dog", "a car -> a bus"]
    assert card.changed[TEXT]["before"] == sha256(tiny_sd / TEXT)


def test_no_more_is_said_of_earlier_redactions_than_may_be_said_now(first: Path, tmp_path: Path) -> None:
    out = made(first, "car", "bus", ClosedForm(disturbed=0), tmp_path / "count", disclosure="count")
    for name in ("redaction.json", "README.md"):
        told = (out / name).read_text()
        assert not [word for word in ("a cat", "a car", "a dog", "a bus", str(first.parent)) if word in told]
    card = RedactionCard.read(out)
    was = RedactionCard.read(first).request
    assert card.earlier[0]["request"] == {
        "disclosure": "count",
        "redacted_lessons": was["redacted_lessons"],
        "retained_lessons": was["retained_lessons"],
    }
    arguments = card.earlier[0]["method"]["objective_arguments"]
    assert (arguments["parameters_filter"], arguments["fisher_times"]) == (HIDDEN, 2)
    assert card.base["source"] == "a local folder"
    # and what was hidden then stays hidden, whatever may be said now
    open_ = RedactionCard.read(made(out, "red", "dog", ClosedForm(disturbed=0), tmp_path / "open"))
    assert [x["request"]["disclosure"] for x in open_.redactions] == ["count", "count", "text"]
    assert open_.base["source"] == "a local folder"
    key = tmp_path / "key"
    key.write_bytes(bytes(range(16)))
    hidden = made(
        first, "car", "bus", ClosedForm(disturbed=0), tmp_path / "digest", disclosure="digest", key=key
    )
    told = RedactionCard.read(hidden).earlier[0]["request"]
    assert "lessons" not in told
    assert len(told["digests"]) == len({row[0] for row in was["lessons"]})


def test_arguments_that_could_tell_are_hidden_of_an_earlier_redaction_too() -> None:
    one = {
        "request": {
            "disclosure": "text",
            "redacted_lessons": 1,
            "retained_lessons": 0,
            "asked": ["zebra -> emu"],
        },
        "method": {"objective_arguments": {"words": "zebra", "start": "redact_core.ClosedForm", "rate": 0.5}},
    }
    told = disclosed_redaction(one, "count")
    assert "zebra" not in str(told)
    arguments = told["method"]["objective_arguments"]
    assert arguments == {"words": HIDDEN, "start": "redact_core.ClosedForm", "rate": 0.5}
    assert disclosed_redaction(one, "text") == one


def test_what_cannot_be_believed_of_the_base_is_noted(first: Path, tiny_sd: Path, tmp_path: Path) -> None:
    again = made(tiny_sd, "cat", "dog", amnesia(), tmp_path / "again")
    (again / UNET).write_bytes((tiny_sd / UNET).read_bytes())
    undone = RedactionCard.read(made(again, "car", "bus", ClosedForm(disturbed=0), tmp_path / "undone"))
    assert any(f"{UNET} differed from what its card says" in note for note in undone.notes)
    assert set(undone.changed) == {TEXT}
    (again / "redaction.json").write_text("{")
    silent = RedactionCard.read(made(again, "car", "bus", ClosedForm(disturbed=0), tmp_path / "silent"))
    assert silent.earlier == []
    assert any("held a redaction.json that cannot be read" in note for note in silent.notes)


def test_the_card_of_one_redaction_has_no_list_of_earlier_ones(first: Path) -> None:
    assert "earlier" not in json.loads((first / "redaction.json").read_text())
    text = (first / "README.md").read_text()
    assert "### 1." not in text
    assert "## Scope" in text


def test_withdrawals_from_the_base_are_counted_and_their_card_is_read(first: Path, tmp_path: Path) -> None:
    clips = {"clips": [{"name": "a.wav", "sha256": "0" * 64}]}
    receipt = {
        "created": "2026-01-01T00:00:00+00:00", "gates": 2, "files": {}, "withdrawn": {"alice": clips, "bob": clips},
        "card": json.loads((first / "redaction.json").read_text()),
    }  # fmt: skip
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    found = read_history(tmp_path)
    assert found.card == RedactionCard.read(first)
    assert found.notes == [
        "Of 2 people the voices had been withdrawn from the encoder before (receipt of 2026-01-01T00:00:00+00:00)."
    ]
    (tmp_path / "receipt.json").write_text("{}")
    (note,) = read_history(tmp_path).notes
    assert "held a receipt.json that cannot be read" in note
