"""Safe Latent Diffusion: the equations, the pipeline with a guarded denoiser, and guards in general."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from modalities.text_to_image import SafeLatentDiffusion, StableDiffusion
from modalities.text_to_image.guards.safe_denoiser import SafeDenoiser
from redact_core import Guard, RedactError
from redact_core.adapters.contract import ToyAdapter, check_adapter
from redact_core.adapters.fingerprint import fingerprint
from redact_core.guards.safe_guidance import PRESETS, SafetyGuidance, guided, safety_term


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=4, batch_size=2)


def by_hand(
    e_u: list[float], e_p: list[float], e_s: list[list[float]], nu: list[float], s: SafetyGuidance
) -> tuple[list[float], list[float]]:
    """Equations (4) and (6) to (8) in plain Python, number by number."""
    gamma, after = [], []
    for i in range(len(e_u)):
        total = 0.0
        for concept in e_s:
            phi = s.scale * abs(e_p[i] - concept[i])
            mu = 0.0 if e_p[i] - concept[i] >= s.threshold else min(1.0, phi)
            total += mu * (concept[i] - e_u[i])
        gamma.append(total + s.momentum * nu[i])
        after.append(s.decay * nu[i] + (1 - s.decay) * gamma[i])
    return gamma, after


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("concepts", [1, 3])
def test_the_term_is_that_of_the_equations(preset: str, concepts: int) -> None:
    settings, nu = PRESETS[preset], torch.zeros(64)
    hand = [0.0] * 64
    for _ in range(5):
        # differences on the scale of 1 / s_S, so that all three branches of (6) are met
        e_u, e_p = torch.randn(2, 64).unbind()
        e_s = list(e_p + torch.randn(concepts, 64) / settings.scale)
        gamma, nu = safety_term(e_u, e_p, e_s, nu, settings)
        found, hand = by_hand(e_u.tolist(), e_p.tolist(), [e.tolist() for e in e_s], hand, settings)
        torch.testing.assert_close(gamma, torch.tensor(found), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(nu, torch.tensor(hand), atol=1e-4, rtol=1e-4)
        expected = [
            u + 7.5 * ((p - u) - g) for u, p, g in zip(e_u.tolist(), e_p.tolist(), found, strict=True)
        ]
        torch.testing.assert_close(guided(e_u, e_p, gamma, 7.5), torch.tensor(expected), atol=1e-3, rtol=1e-4)


def test_the_threshold_is_signed_and_max_touches_nearly_everything() -> None:
    e_u, e_p, e_s = torch.randn(3, 4000).unbind()
    weak, _ = safety_term(e_u, e_p, [e_s], torch.zeros(()), SafetyGuidance(0, 1e9, 0.0, 0.0, 0.0))
    assert torch.equal(weak != 0, e_p < e_s)
    high, _ = safety_term(e_u, e_p, [e_s], torch.zeros(()), PRESETS["max"])
    assert (high != 0).float().mean() > 0.7
    none, _ = safety_term(e_u, e_p, [e_s], torch.zeros(()), SafetyGuidance(0, 0.0, 1.0, 0.0, 0.0))
    assert not none.any()


def test_numbers_out_of_range_are_named_together() -> None:
    with pytest.raises(RedactError, match=r"warmup is -1 .*0 or more.*; decay is 2 \(wanted: 0 to 1\)"):
        SafetyGuidance(-1, 1.0, 0.0, 0.0, 2)


def test_the_pipelines_formula_on_the_guarded_denoiser_is_equation_3() -> None:
    """With a denoiser that answers at random, and knows its rows by their embedding."""
    settings = SafetyGuidance(2, 3.0, 0.1, 0.5, 0.7)
    answers = torch.randn(5, 9, 4, 3, 3)  # steps, rows by name, latent
    step = iter(range(5))

    def forward(sample: Tensor, t: Tensor, *, encoder_hidden_states: Tensor, **rest: object) -> tuple[Tensor]:
        assert rest == {"return_dict": False, "other": None}
        assert len(sample) == len(encoder_hidden_states)
        return (answers[next(step)][encoder_hidden_states[:, 0, 0].long()],)

    concepts = torch.tensor([4.0, 5.0]).view(2, 1, 1)
    guard = SafeDenoiser(forward, {"encoder_hidden_states": concepts}, settings)
    names = torch.tensor([0.0, 0.0, 1.0, 2.0]).view(4, 1, 1)  # two empty prompts, two prompts
    nu = [torch.zeros(4, 3, 3)] * 2
    for i in range(5):
        sample = torch.randn(2, 4, 3, 3).repeat(2, 1, 1, 1)
        told = {"encoder_hidden_states": names, "other": None, "return_dict": False}
        u, p = guard(sample, torch.tensor(7), **told)[0].chunk(2)
        for row in (0, 1):
            e_u, e_p, e_s = answers[i][0], answers[i][1 + row], list(answers[i][4:6])
            gamma, nu[row] = safety_term(e_u, e_p, e_s, nu[row], settings)
            expected = guided(e_u, e_p, gamma if i >= 2 else 0.0, 7.5)
            torch.testing.assert_close(u[row] + 7.5 * (p[row] - u[row]), expected, atol=1e-4, rtol=1e-4)
    assert all(n.any() for n in nu)


def test_strength_0_is_the_plain_pipeline_bit_by_bit(model: StableDiffusion) -> None:
    prompts, seeds = ["cat", "a red dog", "dog"], [1, 2, 3]
    plain = model.generate(prompts, seeds=seeds)
    off = SafeLatentDiffusion(model, ["red"], "max", scale=0).generate(prompts, seeds=seeds)
    assert all(map(torch.equal, plain, off))
    forced = SafeLatentDiffusion(model, ["red"], "max", scale=0, forced=True).generate(prompts, seeds=seeds)
    torch.testing.assert_close(forced, plain, atol=1e-5, rtol=0)
    late = SafeLatentDiffusion(model, ["red"], "max", warmup=99).generate(prompts, seeds=seeds)
    torch.testing.assert_close(late, plain, atol=1e-5, rtol=0)
    steered = SafeLatentDiffusion(model, ["red"], "max").generate(prompts, seeds=seeds)
    assert (steered[0] - plain[0]).abs().max() > 1e-3
    assert all(map(torch.equal, model.generate(prompts, seeds=seeds), plain)), "the guard leaves no trace"


def test_one_more_row_for_each_concept_and_momentum_from_the_first_step(
    model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, unet = [], model.pipeline.unet
    forward = unet.forward
    monkeypatch.setattr(unet, "forward", lambda *a, **k: rows.append(len(a[0])) or forward(*a, **k))
    guard = SafeLatentDiffusion(model, ["red", "dog"], "max")
    guard.generate(["cat"] * 3, seeds=[0, 1, 2])
    assert rows == [8] * 4 + [4] * 4  # two pictures, then one; empty, prompt, and two concepts each
    alone = guard.generate(["cat"], seeds=[2])[0]
    torch.testing.assert_close(alone, guard.generate(["cat"] * 3, seeds=[0, 1, 2])[2], atol=1e-5, rtol=0)
    # momentum built during the warm-up acts after it
    slow = {"warmup": 2, "threshold": 1.0}
    with_past = SafeLatentDiffusion(model, ["red"], momentum=0.5, decay=0.7, **slow)
    without = SafeLatentDiffusion(model, ["red"], momentum=0.0, decay=0.7, **slow)
    assert not torch.equal(*(g.generate(["cat"], seeds=[0])[0] for g in (with_past, without)))


def test_a_guard_around_a_guard_keeps_the_rows_apart(model: StableDiffusion) -> None:
    """Without momentum, thresholds and clamping two guards give what one with two concepts gives."""
    flat = {"scale": 1e9, "threshold": 1e9, "momentum": 0.0, "warmup": 0}
    both = SafeLatentDiffusion(model, ["red", "dog"], **flat).generate(["cat", "re"], seeds=[1, 2])
    nested = SafeLatentDiffusion(SafeLatentDiffusion(model, ["red"], **flat), ["dog"], **flat)
    torch.testing.assert_close(nested.generate(["cat", "re"], seeds=[1, 2]), both, atol=1e-4, rtol=0)


def test_presets_are_scaled_to_the_steps_and_can_be_overridden(model: StableDiffusion) -> None:
    assert SafeLatentDiffusion(model, ["red"], "weak").settings == SafetyGuidance(1, 20.0, 0.0, 0.0, 0.0)
    assert SafeLatentDiffusion(model, ["red"], "weak", warmup=3, scale=9).settings.warmup == 3
    assert PRESETS["strong"] == SafetyGuidance(7, 2000.0, 0.025, 0.5, 0.7)


def test_a_listener_reads_the_concepts(model: StableDiffusion, tiny_sd: Path) -> None:
    other = StableDiffusion(str(tiny_sd))
    with torch.no_grad():
        for parameter in other.encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    own = SafeLatentDiffusion(model, ["red"], "max")
    foreign = SafeLatentDiffusion(model, ["red"], "max", listener=other)
    assert not torch.equal(*(g.generate(["cat"], seeds=[0])[0] for g in (own, foreign)))
    assert "listener/text_encoder/model.safetensors" in foreign.files()


def test_mistakes_are_one_line(model: StableDiffusion, tiny_sd: Path) -> None:
    with pytest.raises(RedactError, match="off at guidance 1; give more than 1"):
        SafeLatentDiffusion(StableDiffusion(str(tiny_sd), guidance=1.0), ["red"])
    with pytest.raises(RedactError, match="ToyAdapter has none; guard a StableDiffusion"):
        SafeLatentDiffusion(ToyAdapter(), ["red"])
    with pytest.raises(RedactError, match="name at least one prompt"):
        SafeLatentDiffusion(model, [])
    with pytest.raises(RedactError, match="3 conditions but 2 seeds"):
        SafeLatentDiffusion(model, ["red"]).generate(["a", "b", "c"], seeds=[1, 2])


class Passing(Guard):
    """A guard that changes nothing."""

    def __init__(self, inner: ToyAdapter, words: list[str], note: str = ""):
        super().__init__(inner)
        self.words, self.note = words, note

    def generate(self, conditions, *, seeds):
        return self.inner.generate(conditions, seeds=seeds)


def test_a_guard_is_the_adapter_in_all_else(model: StableDiffusion) -> None:
    inner = ToyAdapter()
    guard = Passing(Passing(inner, ["a"]), ["b"])
    check_adapter(guard, ["apple", "pear"])
    assert (guard.model, guard.learning_rate, guard.batch_size) == (inner, 1e-2, 16)
    guard.batch_size = 5
    assert inner.batch_size == 5
    other = ToyAdapter(1).encoder
    guard.encoder = other  # replacing the part replaces it in the model that draws
    assert inner.encoder is other
    check_adapter(SafeLatentDiffusion(model, ["red"], "max"), ["cat", "a red dog"])


def test_what_a_guard_says_is_part_of_its_fingerprint() -> None:
    prints = [
        fingerprint(Passing(Passing(ToyAdapter(), ["a"]), words, note))
        for words, note in (("b", ""), ("c", "x"))
    ]
    assert prints[0]["class"].endswith("ToyAdapter")
    assert prints[0]["class"].count(" around ") == 2
    assert prints[0]["settings"] != prints[1]["settings"]
    assert {"Passing.note", "Passing'.note", "seed"} <= set(prints[0]["settings"])


def test_reopening_guards_the_redacted_model(model: StableDiffusion, tiny_sd: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    guard = SafeLatentDiffusion(model, ["red"], "max")
    guard.save(tmp_path)
    again = guard.reopen(tmp_path)
    assert isinstance(again, SafeLatentDiffusion)
    assert again.inner is not model
    assert guard.inner is model
    heard, saved = again.encode(["cat"]).hidden, model.encode(["cat"]).hidden
    torch.testing.assert_close(heard, saved, atol=0.02, rtol=0)  # kept in half precision
    assert (saved - StableDiffusion(str(tiny_sd)).encode(["cat"]).hidden).abs().max() > 0.1
