"""Robust distillation on both modalities: plain where nothing attacks, and the attack is one."""

import copy
from pathlib import Path

import pytest
import torch
from fitting import fit
from student_steps import Through, batch_of
from three_lessons import of_prompts, of_voices
from tiny_cloner import tiny_cloner

from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import (
    Adapter,
    Conditioning,
    Distillation,
    Objective,
    RedactError,
    RedactionCard,
    RobustDistillation,
    conditioning_distance,
    redact,
)
from redact_core.adapters.capabilities import HasInputPerturbation
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives._parts.input_pgd import InputAttack, input_pgd
from redact_core.types import Lesson


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechT5:
    return tiny_cloner(tmp_path_factory.mktemp("robust"), seconds=0.7, variants=1)


@pytest.fixture(params=["speech", "image"])
def case(
    request: pytest.FixtureRequest, speech: SpeechT5, tiny_sd: Path
) -> tuple[Adapter, list[Lesson], float]:
    """A fresh adapter, three lessons, and a radius that an attack can do something with."""
    return (*of_voices(speech), 0.1) if request.param == "speech" else (*of_prompts(tiny_sd), 5.0)


def weights(adapter: Adapter) -> list[torch.Tensor]:
    return [p.detach().clone() for p in adapter.encoder.parameters()]


def trained(
    case: tuple[Adapter, list[Lesson], float], objective: Objective, steps: int = 3
) -> list[torch.Tensor]:
    adapter = copy.copy(case[0])
    adapter.encoder = copy.deepcopy(case[0].encoder)
    redact(adapter, case[1], objective=objective, steps=steps, batch_size=2, lr=1e-3)
    return weights(adapter)


@pytest.mark.parametrize("settings", [{"attack_weight": 0.0}, {"steps": 0}])
def test_without_an_attack_it_is_distillation_bit_for_bit(case, settings: dict[str, float]) -> None:
    plain, robust = trained(case, Distillation()), trained(case, RobustDistillation(**settings))
    assert all(map(torch.equal, plain, robust))
    attacked = trained(case, RobustDistillation(radius=case[2]))
    assert not all(map(torch.equal, plain, attacked))


def test_a_seed_fixes_the_attacks(case) -> None:
    first, again = (trained(case, RobustDistillation(radius=case[2], seed=3)) for _ in range(2))
    other = trained(case, RobustDistillation(radius=case[2], seed=4))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_the_inner_attack_comes_nearer_to_its_victim_within_its_bound(case) -> None:
    adapter, rows, radius = case
    soft = adapter.disturb(adapter.collate([row.asked for row in rows]))
    with torch.no_grad():
        said = adapter.encoder(soft.moved(soft.zeros()))
        # what the redacted row is answered, as the victim of all of them
        victim = said[torch.zeros(len(rows), dtype=torch.long)]

    def distance(change: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return conditioning_distance(adapter.encoder(soft.moved(change)), victim)

    start = soft.random(radius, torch.Generator().manual_seed(1))
    found = input_pgd(
        adapter.encoder, soft, victim, InputAttack(40, radius), torch.Generator().manual_seed(1)
    )
    # together: a row that starts beside its victim may gain nothing, which other vector instructions decide
    assert distance(found)[1:].mean() < 0.9 * distance(start)[1:].mean()
    for change in (start, found):
        assert (change.norm(dim=-1) <= radius * soft.unit * (1 + 1e-5)).all()
        assert change.any()
    assert all(p.grad is None for p in adapter.encoder.parameters())


def test_every_term_reaches_the_student_and_the_teacher_stays(case) -> None:
    adapter, rows, radius = case
    objective = RobustDistillation(radius=radius, share=1.0)
    student = objective.prepare(adapter)
    batch = batch_of(adapter, rows)
    before = [p.clone() for p in objective.teacher.parameters()]
    with torch.no_grad():  # no longer the teacher, so that no distance is 0
        for p in student.parameters():
            p += 0.1 * p.abs().mean() * torch.randn_like(p)
    terms = objective(student, batch)
    assert set(terms) == {"redact", "retain", "attacked_redact", "attacked_retain"}
    for name, term in terms.items():
        learnt = [p for p in student.parameters() if p.requires_grad]
        grads = torch.autograd.grad(term, learnt, allow_unused=True, retain_graph=True)
        assert any(g is not None and g.any() for g in grads), name
    assert all(map(torch.equal, before, objective.teacher.parameters()))
    assert not any("teacher" in name for name in objective.state_dict())


def test_retained_rows_can_be_left_out_of_the_search(case) -> None:
    adapter, rows, radius = case
    batch = batch_of(adapter, rows)
    found = []
    for share in (None, 1.0, 0.0):
        objective = RobustDistillation(radius=radius, share=1.0, retained_share=share)
        student = objective.prepare(adapter)
        disturbed: list[int] = []
        adapter.disturb = lambda inputs, places=None, seen=disturbed: (
            seen.append(len(next(iter(inputs.values())))) or type(adapter).disturb(adapter, inputs, places)
        )
        found.append((objective(student, batch), disturbed[0]))
        del adapter.disturb
    (default, all_rows), (same, _), (alone, redacted_rows) = found
    assert all_rows == len(rows)
    assert redacted_rows == sum(row.redacted for row in rows)
    assert all(torch.equal(default[name], same[name]) for name in default)
    assert alone["attacked_redact"] > 0
    assert alone["attacked_retain"] == 0
    assert same["attacked_retain"] > 0


def test_weights_scale_the_attacked_terms_and_only_them(case) -> None:
    adapter, rows, radius = case
    batch = batch_of(adapter, rows)
    found = []
    for weight in (1.0, 3.0):
        objective = RobustDistillation(attack_weight=weight, radius=radius)
        found.append(objective(objective.prepare(adapter), batch))
    for name in found[0]:
        factor = 3.0 if name.startswith("attacked") else 1.0
        torch.testing.assert_close(found[1][name], factor * found[0][name])


def test_a_batch_without_redacted_rows_is_not_attacked(case) -> None:
    adapter, rows, radius = case
    objective = RobustDistillation(radius=radius)
    terms = objective(objective.prepare(adapter), batch_of(adapter, rows[1:]))
    assert set(terms) == {"redact", "retain"}


def test_no_disturbance_of_a_clip_is_the_clip(speech: SpeechT5) -> None:
    inputs = speech.collate(["alice", "bob"])
    soft = speech.disturb(inputs)
    assert torch.equal(soft.moved(soft.zeros())["waveform"], inputs["waveform"])
    change = soft.bounded(torch.randn(2, 1, inputs["waveform"].shape[1]), 0.1)
    snr = 20 * torch.log10(inputs["waveform"].norm(dim=1) / change[:, 0].norm(dim=1))
    torch.testing.assert_close(snr, torch.full((2,), 20.0), atol=1e-3, rtol=0)


def test_soft_tokens_in_front_are_a_prompt_with_fillers(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    soft = adapter.disturb(adapter.collate(["a cat", "red dog"]))
    moved = soft.moved(soft.zeros())
    wanted = adapter.collate(["a a a a a cat", "a a a a red dog"])
    assert all(torch.equal(moved[key], wanted[key]) for key in wanted)
    torch.testing.assert_close(adapter.encoder(moved).hidden, adapter.encoder(wanted).hidden)
    assert torch.equal(soft.unit > 0, torch.arange(77).expand(2, 77).sub(1).lt(4) & (torch.arange(77) > 0))
    away = soft.bounded(soft.random(2.0, torch.Generator().manual_seed(0)), 2.0)
    heard = adapter.encoder(soft.moved(away)).hidden
    assert torch.equal(heard[:, 0], adapter.encoder(moved).hidden[:, 0]), "the start token hears nothing"
    assert not torch.allclose(heard[:, 5:], adapter.encoder(moved).hidden[:, 5:])
    assert adapter.encoder(wanted).hidden.equal(adapter.encoder(wanted).hidden), "no hook is left"


def test_an_answer_moves_with_its_words_and_stays_after_the_end(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    inputs = adapter.collate(["red dog"])
    end = int(inputs["attention_mask"].sum())
    soft = adapter.disturb(inputs)
    positions = torch.arange(77.0)[None, :, None]
    said = soft.arranged(Conditioning(positions, torch.ones(1, 77, dtype=torch.bool)))
    assert said.hidden[0, 5 : end + 4, 0].tolist() == list(range(1, end))
    assert said.hidden[0, end + 4 :, 0].tolist() == list(range(end + 4, 77))
    assert (~said.mask)[0].nonzero().flatten().tolist() == [1, 2, 3, 4]


def test_a_prompt_without_room_stays_as_it_is(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    inputs = adapter.collate([" ".join(["cat"] * 75), "cat"])
    soft = adapter.disturb(inputs)
    assert not soft.unit[0].any()
    assert torch.equal(soft.moved(soft.zeros())["input_ids"][0], inputs["input_ids"][0])
    said = adapter.encoder(inputs)
    assert torch.equal(soft.arranged(said).hidden[0], said.hidden[0])


def test_an_adapter_without_continuous_input_is_refused_at_once() -> None:
    toy = ToyAdapter()
    with pytest.raises(
        RedactError,
        match=r"^RobustDistillation needs inputs that can be moved continuously \(HasInputPerturbation\), which ToyAdapter ",
    ):
        RobustDistillation().check(toy)
    RobustDistillation(steps=0).check(toy)


def test_a_guard_offers_what_it_guards(speech: SpeechT5) -> None:
    assert Through(Through(speech)).offers(HasInputPerturbation) is speech


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": -1.0}, "radius is -1.0"),
        ({"attack_weight": float("nan")}, "attack_weight is nan"),
        ({"steps": -2}, "steps is -2"),
        ({"share": 0.0}, "share is 0.0"),
        ({"retained_share": 1.5}, "retained_share is 1.5"),
        ({"places": 0}, "places is 0"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(RedactError, match=message):
        RobustDistillation(**settings)


def test_a_step_before_preparing_says_so() -> None:
    toy = ToyAdapter()
    batch = batch_of(toy, [Lesson.redact("plum", "fig")])
    with pytest.raises(RedactError, match="was not prepared"):
        RobustDistillation()(toy.encoder, batch)


def test_the_shipped_settings_stack_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    configs = Path(__file__).parents[2] / "configs" / "text_to_image"
    out = tmp_path / "out"
    done = fit(
        monkeypatch, "-c", configs / "bundled.yaml", "-c", configs / "robust.yaml", "--model.adapter.source",
        tiny_sd, "--data.redact", "cat", "--data.reference", "dog", "--data.batch_size", 8, "--export.folder", out,
        "--trainer.max_steps", 2, "--trainer.accelerator", "cpu",
    )  # fmt: skip
    assert done == 0
    assert RedactionCard.read(out).verify(out) == []
    config = (out / "config.yaml").read_text()
    assert "class_path: modalities.text_to_image.RobustPrompts" in config
    assert "radius: 2.0" in config
    assert "places: 16" in config
    assert "name_replacement: 8" in config
    assert "retained_share: 0" in config
    arguments = RedactionCard.read(out).method["objective_arguments"]
    assert arguments["start"] == "redact_core.objectives.closed_form.ClosedForm"


def test_searches_over_words_start_and_end_at_words(tiny_sd: Path) -> None:
    adapter = StableDiffusion(str(tiny_sd))
    soft = adapter.disturb(adapter.collate(["a cat", "a dog", "red car"]))
    assert soft.points is not None
    with torch.no_grad():
        victim = adapter.encoder(soft.moved(soft.zeros()))[torch.zeros(3, dtype=torch.long)]

    def found(words: float, steps: int = 4) -> torch.Tensor:
        return input_pgd(
            adapter.encoder, soft, victim, InputAttack(steps, 2.0, words), torch.Generator().manual_seed(0)
        )

    places = soft.unit[0] > 0
    for steps in (0, 4):
        gap = torch.cdist(found(1.0, steps)[:, places], soft.points.expand(3, -1, -1)).amin(-1)
        assert gap.max() < 1e-4
    assert not found(1.0)[:, ~places].any()
    assert not torch.equal(found(1.0), found(1.0, 0)), "the search changes words"
    assert torch.cdist(found(0.0)[:, places], soft.points.expand(3, -1, -1)).amin(-1).min() > 1e-3


def test_steps_take_every_number_of_places_in_turn_and_none_is_the_adapters_own(tiny_sd: Path) -> None:
    adapter, rows = StableDiffusion(str(tiny_sd)), of_prompts(tiny_sd)[1]
    free: list[int] = []

    class Counting(Through, HasInputPerturbation):
        def disturb(self, inputs, places=None):
            soft = self.inner.disturb(inputs, places)
            free.append(int((soft.unit > 0).sum(1).max()))
            return soft

    for places in (3, None):
        redact(Counting(adapter), rows, objective=RobustDistillation(places=places), steps=5, batch_size=3)
    assert free == [1, 2, 3, 1, 2] + 5 * [adapter.soft_tokens]


def test_words_are_refused_where_there_are_none(speech: SpeechT5) -> None:
    rows = [Lesson.redact(str(speech.bank.voices["alice"][0]), str(speech.bank.voices["bob"][0]))]
    objective = RobustDistillation(words=0.5)
    student = objective.prepare(speech)
    with pytest.raises(RedactError, match="made of no words; set words to 0"):
        objective(student, batch_of(speech, rows))
    with pytest.raises(RedactError, match="words is 2"):
        RobustDistillation(words=2)
