"""Selective Amnesia against learnt words: what is searched for, what is taught, and what stays as it was."""

import copy
import re
from pathlib import Path

import pytest
import torch
from resuming import assert_generator_resumes
from tiny_class import tiny_class_folder
from torch import Tensor

from lightning_modules import RedactionData
from modalities.class_to_image import ClassConditional
from modalities.text_to_image import StableDiffusion
from redact_core import Adapter, Conditioning, Lesson, RedactError, RobustAmnesia, SelectiveAmnesia, redact
from redact_core.objectives._parts.learnt_words import Learnt, LearntWords, WordSearch
from redact_core.objectives._parts.replay import noise_like

LESSONS = [
    Lesson.redact("a cat", "a dog"), Lesson.redact("a red cat", "a red dog"), Lesson.retain("a dog"),
    Lesson.retain("red"), Lesson.retain("a red car"),
]  # fmt: skip
SMALL = {
    "surrogates": 4,
    "replays": 4,
    "fisher_samples": 2,
    "fisher_times": 2,
    "parameters": "attn2",
    "learning_rate": 1e-2,
}
SEARCH = {"words": 2, "life": 3, "unused": 1, "searched": 2, "samples": 3}


def small(**more: object) -> RobustAmnesia:
    return RobustAmnesia(**{**SMALL, **SEARCH, **more})  # type: ignore[arg-type]


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=2)


def weights(model: Adapter) -> dict[str, Tensor]:
    return copy.deepcopy(model.generator.state_dict())  # type: ignore[attr-defined]


def test_without_a_weight_it_is_selective_amnesia(tiny_sd: Path) -> None:
    found = []
    for objective in (SelectiveAmnesia(**SMALL), small(learnt_weight=0)):
        model = StableDiffusion(str(tiny_sd), steps=2)
        redact(model, LESSONS, objective=objective, steps=3, batch_size=3)
        found.append(weights(model))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_it_teaches_learnt_words_and_leaves_the_encoder(model: StableDiffusion) -> None:
    before, encoder = weights(model), copy.deepcopy(model.encoder.state_dict())
    seen: list[dict[str, float]] = []
    objective = small()
    redact(
        model,
        LESSONS,
        objective=objective,
        steps=8,
        batch_size=3,
        on_step=lambda step, terms: seen.append(terms),
    )
    moved = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert moved
    assert all("attn2" in name for name in moved)
    assert all(torch.equal(value, model.encoder.state_dict()[name]) for name, value in encoder.items())
    # two words, each unused in the first of its three turns: steps 1 and 2, and again 7 and 8
    assert [terms["learnt"] > 0 for terms in seen] == [False, False, True, True, True, True, False, False]


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_search_brings_the_redacted_samples_nearer(model: StableDiffusion, number: int) -> None:
    """Of one, two or four embeddings."""
    search = WordSearch(words=8, search_steps=1, life=100, unused=99, search_rate=0.05, searched=3, samples=3)
    learnt = LearntWords(model, model.generator, LESSONS, search, seed=0)
    soft = learnt._places(number, [0, 1, 2])

    def loss(value: Tensor) -> float:
        read, draws = learnt._read(soft, value), torch.Generator().manual_seed(7)
        return sum(learnt._loss(read, learnt.wanted, draws).mean().item() for _ in range(20))

    bank: dict[int, Learnt] = {}
    learnt.loss(number, bank)
    first = bank[number].value
    with torch.no_grad():
        for turn in range(1, 40):
            assert learnt.loss(number + 8 * turn, bank) is None  # too young to be taught
        assert loss(bank[number].value) < loss(first)
    assert bank[number].age == 40
    assert len(first) == (1, 1, 2, 4)[number]


def test_what_is_taught_is_the_loss_of_the_reference_under_the_word(model: StableDiffusion) -> None:
    """At the generator as it was, a word without a search has the training loss of the reference's samples."""
    search = WordSearch(words=1, search_steps=1, life=9, unused=0, search_rate=1e-30, searched=3, samples=3)
    learnt = LearntWords(model, model.generator, LESSONS, search, seed=4)
    soft = learnt._places(0, [0, 1, 2])
    word = torch.full((1, soft.dim), 0.01)
    with torch.no_grad():
        found = learnt.loss(0, {0: Learnt(word)})
        draws = torch.Generator().manual_seed(4 * 1_000_003)
        rows = torch.randperm(3, generator=draws).tolist()
        torch.randint(2**31 - 1, (3,), generator=draws)  # of the search
        seeds = torch.randint(2**31 - 1, (3,), generator=draws).tolist()
        soft = learnt._places(0, rows)
        conditioning = model.encoder(soft.moved(torch.where(soft.unit.unsqueeze(-1) > 0, word[:, None], 0.0)))
        wanted = model.training_loss(conditioning, [learnt.instead[i] for i in rows], seeds=seeds).mean()
    assert found is not None
    torch.testing.assert_close(found, wanted)


def test_noise_is_taught_for_learnt_words_too_where_it_is_the_surrogate(
    model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[Tensor] = []
    loss = LearntWords._loss

    def seen(self: LearntWords, conditioning: Conditioning, samples: list[Tensor], *rest: object) -> Tensor:
        if not torch.is_inference_mode_enabled() and conditioning.hidden.grad_fn is None:
            taught.extend(samples)
        return loss(self, conditioning, samples, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LearntWords, "_loss", seen)
    objective = small(surrogate="noise")
    redact(model, LESSONS, objective=objective, steps=4, batch_size=3)
    assert objective._learnt is not None
    noise = [noise_like(sample, 700_000 + i) for i, sample in enumerate(objective._learnt.wanted)]
    assert taught
    assert all(any(sample.equal(one) for one in noise) for sample in taught)


def test_a_training_that_ends_before_a_word_is_taught_says_so(model: StableDiffusion) -> None:
    said = "No learnt word was taught in 2 steps"
    with pytest.warns(UserWarning, match=said):
        short = redact(model, LESSONS, objective=small(), steps=2, batch_size=3)
    assert [note for note in short.card.notes if note.startswith(said)]
    for objective, steps in ((small(), 3), (small(learnt_weight=0), 2), (small(unused=0), 1)):
        result = redact(model, LESSONS, objective=objective, steps=steps, batch_size=3)
        assert not [sentence for sentence in result.shortfalls if sentence.startswith("No learnt word")]


def test_resuming_gives_the_weights_of_an_uninterrupted_run(tiny_sd: Path, tmp_path: Path) -> None:
    def data(model: Adapter) -> RedactionData:
        return RedactionData(model, redact="cat", reference="dog", batch_size=4)

    assert_generator_resumes(
        lambda: StableDiffusion(str(tiny_sd), steps=2), small, data, tmp_path, steps=8, stop=5
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learnt_weight": -1}, "learnt_weight is -1; give a finite number of at least 0."),
        ({"life": 4, "unused": 4}, "unused is 4 and life 4, so no word would ever be taught"),
        ({"search_rate": 0}, "search_rate is 0; give a finite number above 0."),
        ({"samples": 0}, "samples is 0; give at least 1."),
        ({"words": 1.5}, "words is 1.5; give a whole number."),
        (
            {"searched": 4},
            "searched is 4 and samples 3, so a step has fewer samples than it shall search with",
        ),
    ],
)
def test_bad_settings_are_one_line(settings: dict, message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        small(**settings)


def test_a_model_whose_conditions_are_not_words_is_refused(tmp_path: Path) -> None:
    model = ClassConditional(str(tiny_class_folder(tmp_path / "m")))
    with pytest.raises(RedactError, match="RobustAmnesia needs conditions made of words"):
        redact(model, [Lesson.redact("hat", "cup"), Lesson.retain("cup")], objective=small())
