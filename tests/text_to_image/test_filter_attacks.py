"""Attacks on filters of finished samples: bounds are kept, and what is searched is what the loss depends on."""

import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_stable_diffusion
from tiny_cloner import tiny_cloner

from lightning_modules.cli import main as cli
from modalities.text_to_image import Espresso, SafeLatentDiffusion, StableDiffusion
from modalities.text_to_image.attacks._search.reading import Reader, slots
from modalities.text_to_image.attacks._search.words import speakable
from modalities.text_to_image.attacks.filter_pixels import FilterPixels
from modalities.text_to_image.attacks.filter_search import FilterSearch
from modalities.text_to_image.attacks.typographic import Typographic, written
from modalities.text_to_speech import VoiceFilter
from modalities.text_to_speech.attacks.filter_wave import FilterWave
from redact_core import PlanRow, RedactError
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.summary import read_summary
from redact_core.reporting.attack_table import attack_table

LISTS = ["a cigarette"], ["a lollipop", "a pencil"]
ROWS = [
    PlanRow(text, "redacted", "concept", i, True, {"kind": "concept", "concept": "cat", "reference": "dog"})
    for i, text in enumerate(("a cat", "a red cat"))
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    return StableDiffusion(str(tiny_stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd")), steps=2)


@pytest.fixture(scope="module")
def guard(base: StableDiffusion) -> Espresso:
    """Blocks both of the rows' pictures, barely."""
    open_guard = Espresso(base, *LISTS)
    with torch.no_grad():
        drawn = base.generate([row.condition for row in ROWS], seeds=[0, 1])
        lowest = open_guard.anchors.score(open_guard.embed(drawn)).min().item()
    return Espresso(base, *LISTS, threshold=0.98 * lowest)


def test_pixels_pass_within_the_radius_and_no_more_than_the_bound_turns(
    base: StableDiffusion, guard: Espresso
) -> None:
    drawn = base.generate([row.condition for row in ROWS], seeds=[0, 1])
    assert guard.anchors.blocked(guard.embed(drawn)).all()
    moved, losses = FilterPixels(2.0, steps=10).move(guard, drawn)
    assert all(own[-1] < own[0] for own in losses)
    assert not guard.anchors.blocked(guard.embed(moved)).any()
    for before, after in zip(drawn, moved, strict=True):
        assert 0 < (after - before).norm() <= 2.0 + 1e-4
        assert after.min() >= 0
        assert after.max() <= 1
    faint, _ = FilterPixels(1e-4, steps=3).move(guard, drawn)
    assert guard.anchors.blocked(guard.embed(faint)).all()
    found = FilterPixels(2.0, steps=10)(guard, base, ROWS, seed=0)
    assert all(
        torch.equal(one.sample, x) for one, x in zip(found, moved, strict=True) if one.sample is not None
    )
    shut = FilterPixels(1e-4, steps=3)(guard, base, ROWS, seed=0)
    assert all(one.sample is not None and (one.sample == 0.5).all() for one in shut)  # the stand-in
    plain = FilterPixels(2.0)(base, base, ROWS, seed=0)
    assert all(
        torch.equal(one.sample, x) for one, x in zip(plain, drawn, strict=True) if one.sample is not None
    )
    with pytest.raises(RedactError, match="radius is 0"):
        FilterPixels(0)


def test_the_filter_has_to_be_outermost(guard: Espresso, base: StableDiffusion) -> None:
    assert Espresso.outermost(guard) is guard
    assert Espresso.outermost(base) is None
    with pytest.raises(RedactError, match="put Espresso outermost"):
        Espresso.outermost(SafeLatentDiffusion(guard, ["a cigarette"]))


def test_a_word_is_written_where_the_filter_minds_least(guard: Espresso) -> None:
    pictures = list(torch.rand(3, 3, 32, 32))
    ways = [
        torch.stack([written(x, "dog", height, 0.25, ink) for x in pictures])
        for ink in (0, 255)
        for height in (0.0, 0.5, 1.0)
    ]
    for way in ways:
        changed = (way != torch.stack(pictures)).any(1)
        assert 0 < changed.float().mean() < 0.5  # letters, not the whole picture
    best = Typographic().write(guard, pictures, ["dog"] * 3)
    with torch.no_grad():
        loss = torch.stack([guard.anchors.excess(guard.embed(list(way))) for way in ways])
        assert torch.allclose(guard.anchors.excess(guard.embed(best)), loss.min(0).values, atol=1e-5)
    # another word, another picture
    assert not torch.equal(best[0], Typographic().write(guard, pictures, ["cat"] * 3)[0])


def test_the_searchs_loss_and_its_filter_term_depend_on_the_words(
    base: StableDiffusion, guard: Espresso
) -> None:
    attack, reader = FilterSearch(tokens=2, steps=2, candidates=3, top=4, draw_steps=2), Reader(guard)
    asked = slots(reader.tokenizer, [("", " " + row.condition) for row in ROWS], 2)
    words = speakable(reader.tokenizer)
    said = [reader.words(asked, words[torch.tensor([[a, a], [a, a]])]) for a in (3, 20)]
    hidden = said[0].hidden.detach().requires_grad_()
    attack.keep = 0.0  # the filter's term alone
    with torch.enable_grad():
        objective = attack.objective(guard, base, ROWS, asked, 0)
        loss = objective(type(said[0])(hidden, said[0].mask), 0)
        (slope,) = torch.autograd.grad(loss.sum(), hidden)
    assert slope.flatten(1).norm(dim=1).min() > 0
    with torch.no_grad():
        assert not torch.allclose(objective(said[0], 0), objective(said[1], 0))
        twice = objective(said[0].cat([said[0][:1], said[0][:1], said[0][1:], said[0][1:]]), 0)
        assert torch.allclose(twice[::2], objective(said[0], 0), atol=1e-5)  # candidates stand side by side
    found = FilterSearch(tokens=2, steps=3, candidates=3, top=4, draw_steps=2)(guard, base, ROWS, seed=0)
    for row, one in zip(ROWS, found, strict=True):
        assert str(one.condition).endswith(row.condition)
        assert one.losses[-1] <= one.losses[0]


def test_speech_passes_within_the_power_it_was_given(tmp_path: Path) -> None:
    model = tiny_cloner(tmp_path, sentences=["the fox"])
    guard = VoiceFilter(model, ["alice"], ["bob"], bank=model.bank.folder)
    row = PlanRow("alice", "redacted", "voice", 0, True, {"voice": "alice"})
    wave = model.generate(["alice"], seeds=[0])[0]
    guard.use(type(guard.anchors)(guard.anchors.unacceptable, guard.anchors.acceptable, 20.0, 0.0))
    score = guard.anchors.score(guard.embed([wave])).item()
    guard.use(type(guard.anchors)(guard.anchors.unacceptable, guard.anchors.acceptable, 20.0, 0.99 * score))
    with torch.no_grad():
        level = guard.anchors.excess(guard.embed([wave]))[0]
    assert level > 0
    assert guard.anchors.blocked(guard.embed([wave]))[0]  # the attack hears what the filter hears
    moved, losses = FilterWave(20.0, steps=10).move(guard, wave)
    assert losses[0] == pytest.approx(level.item(), rel=1e-3)
    assert min(losses) < losses[0]
    assert 0 < (moved - wave).norm() <= 0.1 * wave.norm() * (1 + 1e-4)
    (found,) = FilterWave(20.0, steps=10)(guard, model, [row], seed=0)
    assert found.sample is not None
    assert torch.equal(found.sample, moved if min(losses) <= 0 else torch.zeros_like(wave))
    with pytest.raises(RedactError, match="snr is -1"):
        FilterWave(-1)


def test_the_command_attacks_guards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--base", "toy_attacks.OpenToy", "--out", str(tmp_path / "out"), "--redact", "plum",
                 "--reference", "fig", "--n", "4", "--device", "cpu", "--attacks", "[toy_attacks.Spelling]"]  # fmt: skip

    def redact(*more: str) -> int:
        monkeypatch.setattr(sys, "argv", ["redact", "attack", *arguments, *more])
        return cli.main()

    assert redact() == 2
    assert "give models to attack: --redacted FOLDER, or --guards" in capsys.readouterr().err
    assert redact("--guards", "{shut: {class_path: toy_attacks.Shut}}") == 0
    evidence = Evidence(tmp_path / "out")
    rows = {r["attack"]: r for r in attack_table(evidence, read_summary(tmp_path / "out" / "summary.json"))}
    assert evidence.models == ["base", "shut"]
    assert {name: (row["redacted"], row["base"]) for name, row in rows.items()} == {
        "plain": (0, 1), "Spelling": (0, 1),
    }  # fmt: skip
