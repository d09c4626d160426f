"""Searches of scripts/experiments/gate_checks.py, which do without the gradient of gating units or have another one."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "experiments"))

from gate_checks import AnyWords, AtTheGate, ThroughSmooth, checks, smoothed
from gate_targets import BITS, METHOD, targets, tried
from prompt_gates import (
    ATTACKS,
    PAGE,
    RESULTS,
    UNTOUCHED,
    all_tables,
    attackers,
    beside,
    opening,
    tables,
    tables_of,
)

from lightning_modules.comparison.figures import Figures
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.gate_block import gate_blocks
from modalities.text_to_image.attacks._search.objectives import towards_hidden
from modalities.text_to_image.attacks._search.reading import Reader, slots
from redact_core import PlanRow
from redact_core.gates.units import SPARE


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    """With one unit that is open at every position behind the first."""
    model = StableDiffusion(str(tiny_sd), steps=2)
    with torch.no_grad():
        model.encoder.model.get_input_embeddings().weight.mul_(40)
        states = model.gate_states(model.collated(["a zebra", "a violin"]))
    model.add_gate(states[:1, -1], torch.tensor([0.0]), states[1:, -1], SPARE)
    return model


def test_a_slope_in_place_of_the_step_has_a_gradient_and_the_model_is_as_before_behind_it(
    model: StableDiffusion, tiny_sd: Path
) -> None:
    base = StableDiffusion(str(tiny_sd), steps=2)
    reader = Reader(model)
    asked = slots(reader.tokenizer, [("", " a zebra")], 2)
    target = towards_hidden(base, asked)
    free = reader.table[:2][None].clone().requires_grad_(True)

    def slope() -> torch.Tensor:
        return torch.autograd.grad(target(reader(asked, free), 0).sum(), free)[0].norm()

    step = slope()
    with smoothed(model.encoder.model, width=1.0):
        assert not gate_blocks(model.encoder.model)
        assert slope() > 3 * step
    assert torch.equal(slope(), step)
    assert len(gate_blocks(model.encoder.model)) == 1


@pytest.mark.parametrize("kind", [ThroughSmooth, AtTheGate])
def test_searches_of_words_yield_words_and_losses(model: StableDiffusion, tiny_sd: Path, kind: type) -> None:
    reader, attack = Reader(model), kind(2, 3, 4, replace_name=True)
    asked = slots(reader.tokenizer, [("a ", ""), ("one ", "")], 2)
    target = towards_hidden(StableDiffusion(str(tiny_sd), steps=2), asked)
    words = torch.arange(5, 60)
    found = list(attack.search(reader, asked, target, words, 0))
    assert [step[0].shape for step in found] == [(2, 2)] * 3
    losses = torch.stack([loss for _, loss in found])
    assert (losses[1:] <= losses[:-1] + 1e-6).all()
    assert len(gate_blocks(model.encoder.model)) == 1


def test_random_words_are_others_at_every_look(model: StableDiffusion) -> None:
    reader = Reader(model)
    asked = slots(reader.tokenizer, [("a ", "")], 3)
    found = list(AnyWords(3, 4).search(reader, asked, lambda c, s: c.hidden[:, 0, 0], torch.arange(5, 60), 0))
    assert len({tuple(words.flatten().tolist()) for words, _ in found}) == 4
    assert all(later < before for (_, before), (_, later) in pairwise(found))


def test_counts_have_names_of_their_own(model: StableDiffusion) -> None:
    names = [name for name, _ in checks(model, model, [("seed 1", model)], [], None, (15, 60))]
    assert len(set(names)) == len(names) > 10
    assert "transferred from seed 1: greedy, in place" in names


def test_the_page_has_tables_of_plain_requests_attacks_and_checks_with_their_attackers() -> None:
    known = attackers()
    inverted = next(name for name in known if name.startswith("ConceptInversion"))
    assert len(known) > len(ATTACKS)
    assert known[inverted] == "denoiser gradient, adaptive"
    columns = {
        "fish_0": {"setting": "UnitGating", "seconds of training": [54.6, 0], "redacted": [0, 40]},
        "trophy_0": {inverted: [17, 20], UNTOUCHED + inverted: [20, 20], "curve: 15 steps": [3, 20]},
    }
    found = tables(columns)
    assert found["plain"].splitlines() == [
        "| measure | fish_0 |",
        "|---|---|",
        "| seconds of training | 55 |",
        "| redacted | 0.0 % [0.0, 8.8] (n=40) |",
    ]
    head, _, *rows = found["attacks"].splitlines()
    assert head == "| measure | attacker | trophy_0 |"
    assert rows == [
        f"| {inverted} | denoiser gradient, adaptive | 85.0 % [64.0, 94.8] (n=20) |",
        f"| {UNTOUCHED}{inverted} | denoiser gradient, adaptive | 100.0 % [83.9, 100.0] (n=20) |",
    ]
    assert "| curve: 15 steps | 15.0 % [5.2, 36.0] (n=20) |" in found["checks"]


def test_prompts_are_counted_that_open_a_unit(model: StableDiffusion) -> None:
    rows = [PlanRow(text, "neighbours", "concept", 0, False) for text in ["a zebra", "two birds", ""]]
    assert opening(model, rows) == 3
    with torch.no_grad():
        gate_blocks(model.encoder.model)[-1].mlp.fc1.bias.fill_(-1e9)
    assert opening(model, rows) == 0


def test_methods_on_one_concept_stand_side_by_side_with_the_untouched_base_first() -> None:
    columns = {
        "fish_0_robust": {
            "setting": "robust",
            "redacted": [1, 40],
            "PEZ": [2, 20],
            UNTOUCHED + "PEZ": [20, 20],
        },
        "fish_0_units": {"setting": "units", "redacted": [0, 40], "redacted, untouched base": [40, 40]},
        "palm tree_1_units": {"seconds of training": [60.4, 0]},
    }
    found = beside(columns)
    assert found["beside palm tree"].splitlines()[-1] == "| seconds of training | – | 60 |"
    assert found["beside fish"].splitlines() == [
        "| measure | untouched | units | robust |",
        "|---|---|---|---|",
        "| redacted | 100.0 % [91.2, 100.0] (n=40) | 0.0 % [0.0, 8.8] (n=40) | 2.5 % [0.4, 12.9] (n=40) |",
        "| PEZ | 100.0 % [83.9, 100.0] (n=20) | – | 10.0 % [2.8, 30.1] (n=20) |",
    ]


def test_a_target_is_met_or_missed_by_what_was_measured() -> None:
    def row(method: str, group: str, hits: int, kind: str = "attack") -> dict[str, object]:
        redacted = group != "neighbours"
        return {
            "task": "fish", "method": method, "seed": 0, "group": group, "kind": kind, "metric": "found", "redacted": redacted,
            "hits": hits, "n": 100, "changes": "encoder",
        }  # fmt: skip

    rows = [
        row(METHOD, "greedy words", 5), row(METHOD, "UnlearnDiffAtk", 6), row(METHOD, "neighbours", 97, "plain"),
        row("untouched", "neighbours", 99, "plain"),
    ]  # fmt: skip
    compared = Figures({"rows": rows, "tuning": {}, "refused": {}, "rule": "", "development": ""})
    said = targets(compared, [{BITS: [40, 40]}, {BITS: [49, 50]}, {"redacted": [0, 9]}]).splitlines()
    assert "| greedy words | at most 5 % | 5 % [2, 11] of 100 | met |" in said
    assert "| UnlearnDiffAtk | at most 5 % | 6 % [3, 12] of 100 | missed |" in said
    assert "| soft tokens | at most 20 % | – | not measured |" in said
    assert "| retained prompts | within 1 point | 89 of 90 with the same bits | missed |" in said
    assert "| ten nearest concepts | within 1 point | 97 % [92, 99] of 99 % | missed |" in said


def test_what_was_tried_stands_beside_the_method_as_it_is() -> None:
    other = {"setting": "wider", "seconds of training": [90.4, 0], "PEZ": [8, 20]}
    said = tried({"seconds of training": [55.2, 0], "PEZ": [7, 20], "redacted": [0, 40]}, other, "wider")
    assert said.splitlines() == [
        "| measure | the method as it is | wider |",
        "| --- | --- | --- |",
        "| seconds of training | 55 | 90 |",
        "| PEZ | 35.0 % [18.1, 56.7] (n=20) | 40.0 % [21.9, 61.3] (n=20) |",
    ]


def test_the_page_shows_the_files_beside_it() -> None:
    found = all_tables(RESULTS)
    shown = tables_of(PAGE.read_text(encoding="utf-8"))
    assert shown
    assert shown == {name: found[name].strip() for name in shown}
