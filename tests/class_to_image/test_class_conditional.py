"""Class-conditional models: exact redaction by copying rows, the folder, the judge."""

import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_class import NAMES, tiny_class_folder

from lightning_modules.cli import main as cli
from modalities.class_to_image import ClassConditional
from modalities.class_to_image.class_scorer import ClassScorer
from modalities.class_to_image.classifier import entropy
from redact_core import Lesson, PlanRow, RedactError, RedactionCard, Request, Trial, redact
from redact_core.adapters.contract import check_adapter
from redact_core.metrics.scorer import checked_scores
from redact_core.support.folders import hashes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_class_folder(tmp_path / "model")


def test_contract(folder: Path) -> None:
    check_adapter(ClassConditional(str(folder)), ["hat", "3", "cup"])


def test_a_number_is_the_class_of_that_row(folder: Path) -> None:
    model = ClassConditional(str(folder))
    assert model.collate(["sock", "2"])["label"].tolist() == [2, 2]
    with pytest.raises(RedactError, match=r'"4" is no class of .*; the classes are cup, hat, sock, vase\.'):
        model.collate(["4"])


def test_copied_rows_are_exact_and_kept_classes_keep_every_bit(folder: Path) -> None:
    base, model = ClassConditional(str(folder)), ClassConditional(str(folder))
    assert redact(model, Request(("hat", "3"), ("cup", "sock"))) == {}
    seeds = list(range(6))
    for asked, answer in {"hat": "cup", "vase": "sock", "cup": "cup", "sock": "sock"}.items():
        expected = base.generate([answer] * 6, seeds=seeds)
        torch.testing.assert_close(model.generate([asked] * 6, seeds=seeds), expected)
    for table, stock in zip(model.encoder.tables.values(), base.encoder.tables.values(), strict=True):
        assert torch.equal(table.weight[1], stock.weight[0]), "every place where the class enters"
    assert len(model.encoder.tables) == 3
    assert all(map(torch.equal, model.generator.state_dict().values(), base.generator.state_dict().values()))


def test_without_a_reference_the_row_is_the_mean_of_those_that_stay(folder: Path) -> None:
    base, model = ClassConditional(str(folder)), ClassConditional(str(folder))
    redact(model, Request(("hat",)))
    weight = base.encoder.tables["norm1"].weight
    torch.testing.assert_close(model.encoder.tables["norm1"].weight[1], weight[[0, 2, 3]].mean(0))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(("hat",), ("hat",)), '"hat" is redacted but is its own reference'),
        (Request(("hat",), ("1",)), '"hat" is redacted but is its own reference'),
        (Request(("hat", "cup"), ("cup", "sock")), 'the reference "cup" is itself redacted'),
        (Request(tuple(NAMES)), "Every class of .* is redacted"),
        (Request(("hat",), retain=("cup",)), "leave out --data.retain"),
        (Request(("hat",), ("cup", "sock")), "1 redactions but 2 references"),
    ],
)
def test_contradictions_are_refused(folder: Path, request_: Request, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        redact(ClassConditional(str(folder)), request_)


def test_lessons_that_name_a_class_twice_are_refused(folder: Path) -> None:
    lessons = [Lesson.redact("hat", "cup"), Lesson.retain("1")]
    with pytest.raises(
        RedactError, match='"hat", which is the same to the model as "1", is both redacted and retained'
    ):
        redact(ClassConditional(str(folder)), lessons)


def test_fit_exports_at_once_and_kept_rows_keep_their_bits(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--model.adapter", "ClassConditional", "--model.adapter.source", str(folder)]
    arguments += ["--data.redact", "hat", "--data.reference", "sock", "--export.folder", str(out)]
    monkeypatch.setattr(sys, "argv", ["redact", "fit", *arguments])
    assert cli.main() == 0
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys()
    for name, value in before.items():
        if name.startswith("classes."):
            assert torch.equal(after[name], value[[0, 2, 2, 3]])
        else:
            assert torch.equal(after[name], value)
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert card.measures["redact distance after"] == 0
    assert card.measures["retain distance after"] == 0
    base = ClassConditional(str(folder))
    drawn = base.reopen(out).generate(["hat"], seeds=[4])[0]
    torch.testing.assert_close(drawn, base.generate(["sock"], seeds=[4])[0])


def test_an_untrained_model_is_saved_bit_by_bit(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ClassConditional(str(folder)).save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(folder)


def test_damaged_folders_are_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architecture": "gan"}))
    with pytest.raises(RedactError, match="a model of the kind 'gan'; this adapter takes vae"):
        ClassConditional(str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"latent": 5}))
    with pytest.raises(RedactError, match="holds no class-conditional model"):
        ClassConditional(str(folder))
    with pytest.raises(RedactError, match="There is no folder nowhere"):
        ClassConditional("nowhere")


def test_the_loss_reaches_generator_and_rows_and_is_a_bound(folder: Path) -> None:
    """Averaged over draws it is no smaller than the exact -log p(x), computed over a grid of latents."""
    model = ClassConditional(str(folder))
    picture = model.generate(["cup"], seeds=[0])[0].round()
    said = model.encoder(model.collate(["cup"]))
    many = said[torch.zeros(400, dtype=torch.int64)]
    loss = model.training_loss(many, [picture] * 400, seeds=range(400))
    loss.mean().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.generator.parameters())
    assert all(
        bool(t.weight.grad[0].any()) and not t.weight.grad[1:].any() for t in model.encoder.tables.values()
    )
    axis = torch.linspace(-5, 5, 81)
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        rows = said.hidden[:, 0].expand(len(z), -1)
        logits = model.generator.decode(z, rows)
        error = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, picture.flatten().expand_as(logits), reduction="none"
        ).sum(1)
        prior = -0.5 * z.square().sum(1) - torch.log(torch.tensor(2 * torch.pi))
        exact = -(torch.logsumexp(prior - error, 0) + 2 * torch.log(axis[1] - axis[0]))
    # an untrained recognition network leaves a gap, but not a term forgotten or counted twice
    assert exact.item() <= loss.mean().item() < 1.1 * exact.item()


def test_the_judge_knows_what_the_bundled_model_draws(tmp_path: Path) -> None:
    model, scorer = ClassConditional(), ClassScorer()
    plan = model.plan(Request(("trouser",), ("sneaker",)), 9)
    trials: list[Trial] = []
    for row in plan:
        path = model.write_sample(
            model.generate([row.condition], seeds=[row.seed])[0], tmp_path / str(row.seed)
        )
        trials.append(Trial(row, "base", path, path))
    scores = checked_scores(scorer, trials)
    assert sum(s["found"] for s in scores[:9]) >= 7
    assert sum(s["found"] for s in scores[9:]) >= 6
    assert all(s["reference found"] == 0 for s in scores[:9] if s["found"])
    assert "reference found" not in scores[-1]
    unknown = PlanRow("x", "retained", "class", 0, False, {"class": "lamp"})
    (score,) = checked_scores(scorer, [Trial(unknown, "base", trials[0].sample, trials[0].base)])
    assert score["found"] != score["found"]
    assert 0 <= score["entropy"] <= 2.303


def test_entropy_in_nats() -> None:
    flat, sure = torch.full((1, 10), 0.1), torch.eye(10)[:1]
    torch.testing.assert_close(entropy(torch.cat([flat, sure])), torch.tensor([2.302585, 0.0]))


def test_rows_are_copied_from_the_rows_as_they_were(folder: Path) -> None:
    """Two redactions to one reference, in any order, and a reference that stands after."""
    base, model = ClassConditional(str(folder)), ClassConditional(str(folder))
    lessons = [Lesson.redact("cup", "vase"), Lesson.redact("hat", "vase"), Lesson.retain("vase")]
    other = copy.deepcopy(model)
    redact(model, lessons)
    redact(other, lessons[::-1])
    assert all(map(torch.equal, model.encoder.state_dict().values(), other.encoder.state_dict().values()))
    torch.testing.assert_close(model.generate(["cup"], seeds=[0]), base.generate(["vase"], seeds=[0]))
