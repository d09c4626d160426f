"""Attacks with the weights, on both modalities: exact at their ends, and nothing that is given is changed."""

import copy
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from tiny_cloner import tiny_cloner
from torch import Tensor

from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import Adapter, Attack, Guard, PlanRow, RedactError, Request
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks import Chain, EncoderSwap, Relearning, SeedSearch, WeightInterpolation
from redact_core.attacks.with_encoder import with_encoder


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechT5:
    return tiny_cloner(tmp_path_factory.mktemp("weights"), frames_per_letter=2.0, seconds=0.7)


@pytest.fixture(scope="module")
def image(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=1)


@pytest.fixture(params=["speech", "image"])
def case(request: pytest.FixtureRequest) -> tuple[Adapter, Adapter, list[PlanRow]]:
    """A base, a model that differs from it in every trainable weight, and rows."""
    base = request.getfixturevalue(request.param)
    encoder = copy.deepcopy(base.encoder)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in encoder.parameters():
            if value.requires_grad:
                value += 0.3 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
    conditions = ["alice", "bob", "carol"] if request.param == "speech" else ["a cat", "a dog", "a red dog"]
    key = "voice" if request.param == "speech" else "concept"
    rows = [PlanRow(c, "redacted", key, i, True, {key: c.split()[-1]}) for i, c in enumerate(conditions)]
    return base, with_encoder(base, encoder), rows


@torch.no_grad()
def hear(adapter: Adapter, rows: list[PlanRow]) -> Tensor:
    return adapter.encoder(adapter.collate([row.condition for row in rows])).hidden


def state(adapter: Adapter) -> dict[str, Tensor]:
    return copy.deepcopy(adapter.encoder.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


def test_a_copy_with_another_encoder_shares_all_else(speech: SpeechT5) -> None:
    encoder = copy.deepcopy(speech.encoder)
    generator = speech.generator
    other = with_encoder(speech, encoder)
    assert other.encoder is encoder
    assert speech.encoder is not encoder
    assert other.generator is generator


def test_a_guards_copy_guards_a_copy(speech: SpeechT5) -> None:
    class Open(Guard):
        def generate(self, conditions, *, seeds):  # type: ignore[no-untyped-def]
            return self.inner.generate(conditions, seeds=seeds)

    guard, encoder = Open(speech), copy.deepcopy(speech.encoder)
    other = with_encoder(guard, encoder)
    assert isinstance(other, Open)
    assert other.inner.encoder is encoder
    assert guard.inner is speech
    assert speech.encoder is not encoder


def test_the_whole_swap_has_the_bases_weights_bit_by_bit(
    case: tuple[Adapter, Adapter, list[PlanRow]],
) -> None:
    base, model, rows = case
    assert not torch.allclose(hear(model, rows), hear(base, rows), atol=1e-3)
    swapped = EncoderSwap().subvert(model, base, rows, seed=0)
    assert same(state(swapped), state(base))
    torch.testing.assert_close(hear(swapped, rows), hear(base, rows))  # from elsewhere in memory
    assert swapped.encoder is not base.encoder


@pytest.mark.parametrize("end", ["first", "last"])
def test_a_partial_swap_changes_its_end_only(case: tuple[Adapter, Adapter, list[PlanRow]], end: str) -> None:
    base, model, rows = case
    swapped = state(EncoderSwap(0.5, end).subvert(model, base, rows, seed=0))  # type: ignore[arg-type]
    stock, own = state(base), state(model)
    differ = [name for name in own if not torch.equal(own[name], stock[name])]
    back = [torch.equal(swapped[name], stock[name]) for name in differ]
    kept = [torch.equal(swapped[name], own[name]) for name in differ]
    assert all(a != b for a, b in zip(back, kept, strict=True))
    assert 0 < sum(back) < len(back)
    assert back == sorted(back, reverse=end == "first")
    full = state(EncoderSwap(0.9999, end).subvert(model, base, rows, seed=0))  # type: ignore[arg-type]
    assert same(full, stock)


def test_interpolation_is_exact_at_both_ends_and_between(
    case: tuple[Adapter, Adapter, list[PlanRow]],
) -> None:
    base, model, rows = case
    ends = [WeightInterpolation(alpha).subvert(model, base, rows, seed=0) for alpha in (0.0, 1.0)]
    assert same(state(ends[0]), state(model))
    assert same(state(ends[1]), state(base))
    half = state(WeightInterpolation(0.5).subvert(model, base, rows, seed=0))
    for name, value in half.items():
        if value.is_floating_point():
            wanted = (model.encoder.state_dict()[name] + base.encoder.state_dict()[name]) / 2
            assert torch.allclose(value, wanted, atol=1e-6)


ATTACKS = [
    EncoderSwap(0.5),
    WeightInterpolation(0.5),
    Relearning(loss="samples", steps=3, lr=1e-3),
    Relearning(loss="answers", steps=3, lr=1e-3),
    Relearning(loss="answers", steps=3, lr=1e-3, rank=2),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_what_is_given_stays_as_it_is(case: tuple[Adapter, Adapter, list[PlanRow]], attack: Attack) -> None:
    base, model, rows = case
    generator = model.generator
    before = [state(base), state(model), copy.deepcopy(generator.state_dict())]
    changed = attack.subvert(model, base, rows, seed=0)
    again = attack.subvert(model, base, rows, seed=0)
    assert not same(state(changed), before[1])
    assert same(state(changed), state(again))
    assert same(before[0], state(base))
    assert same(before[1], state(model))
    assert same(before[2], generator.state_dict())
    assert all(p.grad is None for p in [*generator.parameters(), *model.encoder.parameters()])
    assert set(state(changed)) == set(before[1])
    assert [a.condition for a in attack(changed, base, rows, seed=0)] == [row.condition for row in rows]


@pytest.mark.parametrize("rank", [0, 4])
def test_relearning_the_bases_answers_comes_nearer_to_them(
    case: tuple[Adapter, Adapter, list[PlanRow]], rank: int
) -> None:
    base, model, rows = case
    attack = Relearning(loss="answers", examples=2, steps=30, lr=3e-3, rank=rank)
    wanted = hear(base, rows)
    far, near = (
        (hear(changed, rows) - wanted)[:2].square().mean().item()
        for _, changed in attack.trajectory(model, base, rows, seed=0, at=[0, 30])
    )
    assert math.isclose(far, (hear(model, rows) - wanted)[:2].square().mean().item(), rel_tol=1e-5)
    assert near < 0.5 * far
    assert len(attack.curve) == 30
    assert attack.curve[-1] < attack.curve[0]


def test_relearning_from_samples_lowers_the_generators_loss(
    case: tuple[Adapter, Adapter, list[PlanRow]],
) -> None:
    base, model, rows = case
    conditions, seeds = [row.condition for row in rows], [row.seed for row in rows]
    samples = base.generate(conditions, seeds=seeds)
    attack = Relearning(loss="samples", examples=3, steps=20, lr=1e-2)
    with torch.no_grad():
        before, after = (
            torch.stack(
                [
                    changed.training_loss(
                        changed.encoder(changed.collate(conditions)), samples,
                        seeds=[changed.redraw(s, 100 + k) for s in seeds],
                    ).mean()
                    for k in range(8)
                ]
            ).mean().item()
            for _, changed in attack.trajectory(model, base, rows, seed=0, at=[0, 20])
        )  # fmt: skip
    assert after < before


@pytest.mark.parametrize(("part", "rank"), [("generator", 0), ("generator", 2), ("both", 0), ("both", 2)])
def test_relearning_the_generator(
    case: tuple[Adapter, Adapter, list[PlanRow]], part: Literal["generator", "both"], rank: int
) -> None:
    base, model, rows = case
    before = [copy.deepcopy(x.state_dict()) for x in (base.generator, model.generator, model.encoder)]
    attack = Relearning(part=part, rank=rank, examples=3, steps=20, lr=3e-3)
    start, changed = (found for _, found in attack.trajectory(model, base, rows, seed=0, at=[0, 20]))
    again = attack.subvert(model, base, rows, seed=0)
    assert same(start.generator.state_dict(), before[1]), "nothing was trained yet"
    assert not same(changed.generator.state_dict(), before[1])
    assert same(changed.generator.state_dict(), again.generator.state_dict())
    assert same(state(changed), before[2]) == (part == "generator")
    for module, own in zip((base.generator, model.generator, model.encoder), before, strict=True):
        assert same(module.state_dict(), own), "what is given stays as it is"
        assert all(p.grad is None for p in module.parameters())
    seeds = [row.seed for row in rows]
    with torch.no_grad():
        samples = base.generate([row.condition for row in rows], seeds=seeds)
        far, near = (
            torch.stack(
                [m.training_loss(said, samples, seeds=[m.redraw(s, k) for s in seeds]) for k in range(8)]
            )
            for m, said in ((m, m.encode([row.condition for row in rows])) for m in (model, changed))
        )
    assert near.mean() < far.mean()


def test_benign_examples_are_what_the_base_retains(speech: SpeechT5) -> None:
    rows = [PlanRow("alice", "redacted", "voice", 0, True, {"voice": "alice", "reference": "bob"})]
    asked: list[object] = []
    attack = Relearning(data="benign", loss="answers", examples=5, steps=1)
    spy = with_encoder(speech, speech.encoder)
    spy.collate = lambda conditions: asked.extend(conditions) or speech.collate(conditions)  # type: ignore[method-assign]
    spy.expand(Request(("alice",), ("bob",)))
    first = len(asked)  # clips that are listened to for their likeness
    asked.clear()
    attack.subvert(speech, spy, rows, seed=0)
    assert len(asked) == first + 5
    assert {Path(str(c)).parent.name for c in asked[first:]} <= {"bob", "carol", "dave"}
    with pytest.raises(RedactError, match="have no label that names what is redacted"):
        attack.subvert(speech, spy, [PlanRow("alice", "redacted", "voice", 0, True)], seed=0)


def test_the_default_rate_is_that_of_fine_tuning_for_samples_and_the_adapters_for_embeddings() -> None:
    toy = ToyAdapter()
    assert Relearning().rate(toy) == 1e-5
    assert Relearning(part="both").rate(toy) == 1e-5
    assert Relearning(rank=8).rate(toy) == 1e-4
    assert Relearning(loss="answers").rate(toy) == ToyAdapter.learning_rate
    assert Relearning(lr=0.5).rate(toy) == 0.5


def test_the_untouched_base_is_not_ruined_when_it_is_trained_again() -> None:
    """It is the ceiling: at the encoder's own rate the same steps spoil a model that never lost the concept."""
    base = StableDiffusion("bundled")
    styles = ("noto", "twemoji", "fluent")
    rows = [PlanRow(f"a guitar in {s} style", "redacted", "concept", i, True) for i, s in enumerate(styles)]
    others = [f"a {name} in noto style" for name in ("car", "rose", "cat", "pizza")]
    samples = base.generate(others, seeds=range(4))

    def loss(model: Adapter) -> float:
        trained = require(model, HasTrainingLoss, "The test")
        with torch.no_grad():
            said = model.encode(others)
            drawn = [
                trained.training_loss(said, samples, seeds=[k, k + 1, k + 2, k + 3]) for k in range(0, 20, 4)
            ]
        return torch.stack(drawn).mean().item()

    before = loss(base)
    after, spoilt = (
        loss(Relearning(part="both", steps=8, lr=lr).subvert(base, base, rows, seed=0))
        for lr in (None, base.learning_rate)
    )
    assert after < 1.1 * before < spoilt / 2


def test_bad_settings_and_other_encoders_are_one_line(speech: SpeechT5) -> None:
    for make, message in (
        (lambda: EncoderSwap(0), "fraction is 0; give a part"),
        (lambda: WeightInterpolation(1.5), "alpha is 1.5; give 0"),
        (lambda: Relearning(steps=0), "steps is 0; give at least 1"),
        (lambda: Relearning(part="both", loss="answers"), "the generator can only be trained by samples"),
    ):
        with pytest.raises(RedactError, match=message):
            make()
    toy = ToyAdapter()
    for attack in (EncoderSwap(0.5), WeightInterpolation(0.5)):
        with pytest.raises(RedactError, match="a ToyEncoder with other weights than the base's VoiceEncoder"):
            attack.subvert(toy, speech, [], seed=0)


def both_parts_changed(base: StableDiffusion) -> tuple[Adapter, Adapter]:
    """A model with a changed generator, and one whose encoder is changed too."""
    draws = torch.Generator().manual_seed(5)
    generator_alone = copy.deepcopy(base)
    generator = require(
        generator_alone, HasTrainingLoss, "test"
    ).generator  # loaded now, so that both share it
    both = with_encoder(generator_alone, copy.deepcopy(base.encoder))
    with torch.no_grad():
        for part in (generator, both.encoder):
            for value in part.parameters():
                value += 0.2 * value.std(correction=0) * torch.randn(value.shape, generator=draws)
    return generator_alone, both


def test_a_chain_attacks_what_the_first_attack_leaves(image: StableDiffusion) -> None:
    """The stock encoder undoes the encoder's part, so training starts where the generator's part alone would."""
    generator_alone, both = both_parts_changed(image)
    rows = [PlanRow("a cat", "redacted", "concept", 0, True, {"concept": "cat"})]
    training = Relearning(part="generator", steps=2, lr=1e-3)
    wanted = training.subvert(generator_alone, image, rows, seed=1)
    found = Chain(then=training).subvert(both, image, rows, seed=1)
    straight = training.subvert(both, image, rows, seed=1)
    drawn = [one.generate(["a cat"], seeds=[3])[0] for one in (wanted, found, straight)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_chain_speaks_and_scores_as_its_second_attack(image: StableDiffusion) -> None:
    chain = Chain(then=Relearning(part="both", steps=7), first=WeightInterpolation(0.5))
    assert chain.name == "Chain-WeightInterpolation-0.5+Relearning-victim-samples-both-7"
    assert chain.budget.endswith("then 7 steps on 10 victim examples")
    assert (chain.access, chain.adaptive, chain.success) == ("weights", True, None)
    assert not Chain(then=EncoderSwap()).adaptive
    rows = [PlanRow("a cat", "redacted", "concept", 0, True, {})]
    swapped = Chain(then=EncoderSwap())
    scorer: Any = object()
    swapped.success = scorer
    assert [a.condition for a in swapped(image, image, rows, seed=0)] == ["a cat"]
    assert swapped.then.success is scorer


def test_a_chain_of_which_the_first_attack_changes_nothing_is_refused() -> None:
    with pytest.raises(RedactError, match=r"SeedSearch-\d+ does not change the model.*such as EncoderSwap"):
        Chain(then=EncoderSwap(), first=SeedSearch(seeds=4))
