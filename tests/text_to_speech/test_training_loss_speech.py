"""The generator's own training loss of speech: what it depends on, and what it leaves alone."""

import pytest
import torch
from tiny_cloner import tiny_cloner

from modalities.text_to_speech import SpeechT5
from redact_core import Conditioning, RedactError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpeechT5:
    return tiny_cloner(tmp_path_factory.mktemp("loss"), seconds=1.0)


@torch.no_grad()
def encode(model: SpeechT5, *voices: str) -> Conditioning:
    return model.encoder(model.collate(voices))


def test_one_loss_a_sample_whatever_stands_beside_it(model: SpeechT5) -> None:
    voices, samples, seeds = (
        encode(model, "alice", "bob"),
        [torch.randn(9000) / 9, torch.randn(5000) / 9],
        [0, 3],
    )
    with torch.no_grad():
        both = model.training_loss(voices, samples, seeds=seeds)
        alone = model.training_loss(voices[torch.tensor([1])], samples[1:], seeds=seeds[1:])
    assert both.shape == (2,)
    torch.testing.assert_close(both[1:], alone)  # a batch of another size may add up in another order


def test_seeds_choose_sentence_and_dropout_and_the_global_generator_is_left_alone(model: SpeechT5) -> None:
    voices, samples = encode(model, "alice"), [torch.randn(9000) / 9]
    state = torch.get_rng_state()
    with torch.no_grad():
        first, again, sentence, dropout = (
            model.training_loss(voices, samples, seeds=[s]) for s in (4, 4, 5, model.redraw(4, 1))
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, sentence)
    assert not torch.equal(first, dropout)
    assert model.sentence(model.redraw(4, 1)) == model.sentence(4)
    assert model.redraw(4, 0) == 4
    assert torch.equal(state, torch.get_rng_state())


def test_gradients_reach_the_voice_and_every_part_of_the_generator(model: SpeechT5) -> None:
    said = model.encoder(model.collate(["alice", "bob"]))
    said.hidden.retain_grad()
    loss = model.training_loss(said, [torch.randn(9000) / 9] * 2, seeds=[0, 1])
    loss.sum().backward()
    assert bool((said.hidden.grad.abs().sum((1, 2)) > 0).all())
    parts = {
        name.split(".")[0]
        for name, p in model.generator.named_parameters()
        if p.grad is not None and p.grad.any()
    }
    assert parts == {"speecht5", "speech_decoder_postnet"}
    model.generator.zero_grad(set_to_none=True)
    model.encoder.zero_grad(set_to_none=True)


def test_it_is_lower_where_a_step_was_taken_down(model: SpeechT5) -> None:
    said = encode(model, "alice")
    hidden = said.hidden.clone().requires_grad_()
    samples = [torch.randn(9000) / 9]
    before = model.training_loss(Conditioning(hidden, said.mask), samples, seeds=[0])
    (gradient,) = torch.autograd.grad(before.sum(), hidden)
    lower = Conditioning(hidden - 0.05 * hidden.norm() * gradient / gradient.norm(), said.mask)
    assert model.training_loss(lower, samples, seeds=[0]).item() < before.item()


def test_bad_samples_are_one_line_each(model: SpeechT5) -> None:
    said = encode(model, "alice")
    with pytest.raises(RedactError, match="1 conditionings, 1 samples and 2 seeds"):
        model.training_loss(said, [torch.zeros(9000)], seeds=[0, 1])
    with pytest.raises(RedactError, match=r"frames, the model speaks at most 800; cut it"):
        model.training_loss(said, [torch.zeros(256 * 900)], seeds=[0])
