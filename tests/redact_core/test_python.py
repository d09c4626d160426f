"""The five lines of Python: redact by name, a result, samples that can be saved, and the folder with its card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from command import redact as command

from redact_core import (
    Condition,
    Conditioning,
    Guard,
    Lesson,
    RedactError,
    Redaction,
    RedactionCard,
    Request,
    redact,
)
from redact_core.adapters.contract import ToyAdapter

LESSONS = [Lesson.redact("plum", "pear"), Lesson.retain("fig")]


class Plain(Guard):
    """A guard that leaves everything as it is."""

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[torch.Tensor]:
        return self.inner.generate(conditions, seeds=seeds)


TOY = "redact_core.adapters.contract.ToyAdapter"


def test_names_a_request_and_rows_say_the_same() -> None:
    weights = []
    for what, more in (
        ("plum", {"reference": "pear"}),
        (["plum"], {"reference": ["pear"]}),
        (Request("plum", "pear"), {}),
        (ToyAdapter().expand(Request("plum", "pear")), {}),
    ):
        toy = ToyAdapter()
        redact(toy, what, steps=3, batch_size=4, **more)
        weights.append(toy.encoder.state_dict())
    assert all(torch.equal(own["mix"], weights[0]["mix"]) for own in weights)


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        (Request("plum"), {"reference": "pear"}, "reference and retain belong to names"),
        (LESSONS, {"retain": "fig"}, "reference and retain belong to names"),
        (["plum", LESSONS[0]], {}, "Names and rows stand in one list"),
        (["plum", "fig"], {"reference": ["pear", "kiwi", "lime"]}, "2 redactions but 3 references"),
    ],
)
def test_what_cannot_be_meant_is_refused(what, more: dict, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        redact(ToyAdapter(), what, steps=1, **more)


def test_the_result_has_losses_seconds_measures_and_the_card() -> None:
    seen: list[int] = []
    result = redact(
        ToyAdapter(), "plum", reference="pear", steps=20, on_step=lambda step, terms: seen.append(step)
    )
    assert isinstance(result, Redaction)
    assert dict(result) == result.losses
    assert set(result) == {"redact", "retain"}
    assert result.seconds > 0
    assert result.measures["redact distance after"] < result.measures["redact distance before"]
    assert result.card.request["asked"] == ["plum -> pear"]
    assert result.card.method["steps"] == len(seen) == 20
    assert repr(result).startswith("Redaction(plum -> pear: redact=")


def test_the_adapter_names_the_steps_where_nobody_does() -> None:
    class Short(ToyAdapter):
        def default_steps(self) -> int:
            return 4

    seen: list[int] = []
    redact(Short(), "plum", reference="pear", on_step=lambda step, terms: seen.append(step))
    assert seen == [0, 1, 2, 3]


def test_a_training_that_moves_little_says_so() -> None:
    with pytest.warns(UserWarning, match="Take this model as not redacted"):
        result = redact(ToyAdapter(), "plum", reference="pear", steps=1, lr=1e-9)
    assert "Take this model as not redacted" in result.shortfalls[0]


def test_a_card_of_python_equals_that_of_the_command(tmp_path: Path) -> None:
    toy = ToyAdapter()
    redact(toy, "plum", reference="pear", steps=30, batch_size=4, seed=3)
    toy.save_pretrained(tmp_path / "python")
    assert command(
        "fit", "--model.adapter", TOY, "--data.redact", "plum", "--data.reference", "pear", "--data.batch_size", 4,
        "--data.seed", 3, "--trainer.max_steps", 30, "--trainer.accelerator", "cpu", "--export.folder", tmp_path / "fit",
    ) == 0  # fmt: skip
    ours, theirs = (json.loads((tmp_path / way / "redaction.json").read_text()) for way in ("python", "fit"))
    assert yaml.safe_load((tmp_path / "fit" / "config.yaml").read_text())["data"]["redact"] == ["plum"]
    for card in (ours, theirs):
        assert set(card["cost"]) == {"seconds", "peak_bytes"}
        for own in ("created", "cost"):
            del card[own]
        for of_files in ("files", "changed"):  # only a command has a config
            card[of_files].pop("config.yaml", None)
    assert ours == theirs
    assert RedactionCard.read(tmp_path / "python").verify(tmp_path / "python") == []


def test_nothing_is_saved_before_a_redaction(tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"Nothing has been redacted in this model.*call redact\(model"):
        ToyAdapter().save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_put_back_is_not_saved(tmp_path: Path) -> None:
    toy, stock = ToyAdapter(), ToyAdapter()
    redact(toy, "plum", reference="pear", steps=3)
    toy.encoder.load_state_dict(stock.encoder.state_dict())
    with pytest.raises(RedactError, match="Every weight is still the base's"):
        toy.save_pretrained(tmp_path / "out")


def test_a_second_redaction_keeps_what_the_first_one_was(tmp_path: Path) -> None:
    toy = ToyAdapter()
    redact(toy, "plum", reference="pear", steps=30)
    result = redact(toy, "fig", reference="kiwi", steps=30)
    assert [one["request"]["asked"] for one in result.card.redactions] == [["plum -> pear"], ["fig -> kiwi"]]
    assert result.card.request["redacted_lessons"] == 1
    assert repr(result).startswith("Redaction(plum -> pear; fig -> kiwi: ")


def test_names_are_hidden_where_they_should_be(tmp_path: Path) -> None:
    toy = ToyAdapter()
    redact(toy, "plum", reference="pear", steps=30)
    with pytest.raises(RedactError, match="Digests need a key"):
        toy.save_pretrained(tmp_path / "out", disclosure="digest")
    toy.save_pretrained(tmp_path / "out", disclosure="count")
    assert "plum" not in (tmp_path / "out" / "redaction.json").read_text()


def test_a_call_gives_samples_that_can_be_saved(tmp_path: Path) -> None:
    toy = ToyAdapter()
    one, two = toy(["plum", "fig"], seed=7).samples
    assert torch.equal(one.values, toy.generate(["plum"], seeds=[7])[0])
    assert torch.equal(two.values, toy.generate(["fig"], seeds=[7])[0])
    assert one.save(tmp_path / "one").is_file()
    assert torch.equal(Plain(toy)("plum", seed=7).samples[0].values, one.values)
    with pytest.raises(RedactError, match="2 conditions but 1 seeds"):
        toy(["plum", "fig"], seed=[1])


def test_a_redaction_through_a_guard_is_the_models() -> None:
    toy = ToyAdapter()
    result = redact(Plain(toy), "plum", reference="pear", steps=3)
    assert toy.redaction is result
