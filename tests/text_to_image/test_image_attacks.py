"""Attacks on a tiny random Stable Diffusion: searched terms depend on what is searched, prompts can be said."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_stable_diffusion

from lightning_modules.evaluation.attacking import realise
from lightning_modules.support import names
from lightning_modules.support.specs import build, spec_of
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.attacks._search.objectives import (
    towards_hidden,
    towards_pictures,
    towards_prediction,
)
from modalities.text_to_image.attacks._search.reading import Reader, opened, slots
from modalities.text_to_image.attacks._search.sampling import Loop
from modalities.text_to_image.attacks._search.searches import greedy, on_simplex, projected, simplex
from modalities.text_to_image.attacks._search.token_search import base_pictures
from modalities.text_to_image.attacks._search.words import around, speakable, spoken
from modalities.text_to_image.attacks.concept_inversion import ConceptInversion
from modalities.text_to_image.attacks.embedding_injection import EmbeddingInjection
from modalities.text_to_image.attacks.guidance_search import GuidanceSearch
from modalities.text_to_image.attacks.hand_over import HandOver
from modalities.text_to_image.attacks.image_to_image import ImageToImage
from modalities.text_to_image.attacks.misspelling import Misspelling
from modalities.text_to_image.attacks.null_text import NullText
from modalities.text_to_image.attacks.p4d import P4D
from modalities.text_to_image.attacks.ring_a_bell import RingABell, concept_direction
from modalities.text_to_image.attacks.ring_a_bell_adaptive import RingABellAdaptive
from modalities.text_to_image.attacks.soft_prompt import SoftPrompt
from modalities.text_to_image.attacks.square_soft_prompt import SquareSoftPrompt
from modalities.text_to_image.attacks.square_words import SquareWords
from redact_core import Adapter, Attack, Metric, PlanRow, RedactError, Scorer
from redact_core.adapters.contract import ToyAdapter
from redact_core.attacks.hidden_state import HiddenState
from redact_core.attacks.random_search import random_search, share_at


def rows(*prompts: str) -> list[PlanRow]:
    return [
        PlanRow(
            text, "redacted", "concept", i, True, {"kind": "concept", "concept": "cat", "reference": "dog"}
        )
        for i, text in enumerate(prompts or ("a red cat", "cat, red"))
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    return StableDiffusion(str(tiny_stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd")), steps=4)


@pytest.fixture(scope="module")
def student(base: StableDiffusion) -> StableDiffusion:
    """The same with a text encoder that hears otherwise."""
    other = StableDiffusion(base.source, steps=4)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in other.encoder.parameters():
            parameter += 0.3 * parameter.std() * torch.randn(parameter.shape, generator=generator)
    return other


class Judge(Scorer):
    """Sees what was asked for in every picture, in none, or where a picture is bright."""

    metrics = {"found": Metric("rate", "low", "as base")}  # noqa: RUF012

    def __init__(self, sees: str):
        self.sees, self.asked = sees, 0

    def read(self, path: Path) -> torch.Tensor:
        return torch.tensor(float(path.stat().st_size))

    def score(self, samples: Sequence[Any], rows: Sequence[Any]) -> list[dict[str, float]]:
        self.asked += len(samples)
        return [{"found": float(self.sees == "all")} for _ in samples]


def falls(losses: Sequence[float], share: float = 0.9) -> bool:
    return min(losses[-3:]) < share * losses[0]


def test_the_reader_gives_what_the_encoder_gives(base: StableDiffusion) -> None:
    reader = Reader(base)
    asked = slots(base.tokenizer, [("a ", " cat"), ("", "red cat")], 1)
    words = torch.tensor(base.tokenizer(["red", "dog"])["input_ids"])[:, 1:2]
    said = base.encoder(base.collate(["a red cat", "dog red cat"]))
    assert torch.equal(reader.words(asked, words).hidden, said.hidden)
    assert torch.allclose(reader(asked, reader.table[words]).hidden, said.hidden, atol=1e-6)
    with pytest.raises(RedactError, match=r"has 80, the encoder reads 77; give the attack fewer tokens"):
        slots(base.tokenizer, [("", "cat")], 77)


@pytest.mark.parametrize(
    "kind",
    [
        "hidden",
        "summary",
        "hidden in place",
        "pictures",
        "prediction",
        "pictures, one time",
        "prediction, one time",
    ],
)
def test_every_objective_depends_on_the_searched_embeddings(
    base: StableDiffusion, student: StableDiffusion, kind: str
) -> None:
    asked_rows, reader = rows(), Reader(student)
    asked = slots(student.tokenizer, [("", row.condition) for row in asked_rows], 2)
    pictures = base_pictures(base, asked_rows)
    objective = {
        "hidden": lambda: towards_hidden(base, asked),
        "hidden in place": lambda: towards_hidden(base, asked, asked_rows),
        "summary": lambda: towards_hidden(base, asked, summary=True),
        "pictures": lambda: towards_pictures(student, pictures, asked_rows, 0),
        "prediction": lambda: towards_prediction(student, base, pictures, asked_rows, 0),
        "pictures, one time": lambda: towards_pictures(student, pictures, asked_rows, 0, 0.7),
        "prediction, one time": lambda: towards_prediction(student, base, pictures, asked_rows, 0, 0.7),
    }[kind]()
    free = reader.table[asked.ids.gather(1, asked.free)].clone().requires_grad_()
    loss = objective(reader(asked, free), 0)
    assert loss.shape == (2,)
    gradient = torch.autograd.grad(loss.sum(), free)[0]
    assert bool((gradient.flatten(1).norm(dim=1) > 0).all())
    # each row's loss depends on its own embeddings only
    assert not torch.autograd.grad(objective(reader(asked, free), 0)[0], free)[0][1].any()
    # at one time with one noise the step changes nothing, so losses of two steps can be compared
    again = objective(reader(asked, free), 1)
    assert torch.allclose(again, loss) == (kind not in ("pictures", "prediction"))
    # and it is what it says: no distance where student and base are one
    if kind in ("hidden", "prediction"):
        own = {
            "hidden": lambda: towards_hidden(student, asked),
            "prediction": lambda: towards_prediction(student, student, pictures, asked_rows, 0),
        }[kind]()
        filler = reader(asked, reader.table[asked.ids.gather(1, asked.free)])
        plain = (
            filler
            if kind == "hidden"
            else student.encoder(student.collate([r.condition for r in asked_rows]))
        )
        assert own(plain, 0).max().item() < 1e-9


def test_searches_lower_their_objective(base: StableDiffusion, student: StableDiffusion) -> None:
    asked_rows, reader = rows(), Reader(student)
    asked = slots(student.tokenizer, [("", row.condition) for row in asked_rows], 3)
    words, objective = speakable(student.tokenizer), towards_hidden(base, asked)
    lossy = list(greedy(reader, asked, objective, words, 6, 16, 8, 0))
    losses = torch.stack([loss for _, loss in lossy])
    assert bool((losses.diff(dim=0) <= 1e-9).all()), "a swap is kept only if it is better"
    assert bool((losses[-1] < losses[0]).all())
    # the loss that is reported is that of the words that are reported
    found, last = lossy[-1]
    assert torch.allclose(objective(reader.words(asked, found), 0), last, atol=1e-6)
    for search in (projected, on_simplex):
        steps = list(search(reader, asked, objective, words, 30, 0.5, 0))
        first, end = (objective(reader.words(asked, steps[i][0]), 0).mean() for i in (0, -1))
        best = min(objective(reader.words(asked, found), 0).mean() for found, _ in steps)
        assert best < first, search.__name__
        assert end == end


def test_a_shortened_prompt_is_answered_as_the_whole_one(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    reader = Reader(student)
    asked = slots(base.tokenizer, [("", " a red cat"), ("", " cat")], 2)
    short = asked.shortened(3)
    end = int(asked.mask.sum(1).max())
    assert short.ids.shape == (2, end + 3)
    words = speakable(base.tokenizer)[:4].view(2, 2)
    whole, part = reader.words(asked, words).hidden, reader.words(short, words).hidden
    assert torch.allclose(whole[:, : end + 3], part, atol=1e-5)
    # the summary leaves out what stands before the end of each prompt, and counts the end itself
    distance = towards_hidden(base, short, summary=True)
    said = reader.words(short, words)
    before = distance(said, 0)
    for row, last in enumerate((short.mask.sum(1) - 1).tolist()):
        moved = said.hidden.clone()
        moved[row, :last] += 1
        assert torch.equal(distance(replace(said, hidden=moved), 0), before)
        moved[row, last] += 1
        assert distance(replace(said, hidden=moved), 0)[row] != before[row]


def test_the_best_words_are_taken_where_losses_can_be_compared(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    attack = build(Attack, spec_of("PEZ: {tokens: 2, steps: 12, checks: 1}"))
    (row,) = rows("a red cat")
    (attempt,) = attack(student, base, [row], seed=0)
    reader = Reader(student)
    asked = slots(base.tokenizer, [("", " a red cat")], 2).shortened()
    ids = torch.tensor([base.tokenizer(str(attempt.condition))["input_ids"][1:3]])
    loss = towards_hidden(base, asked, summary=True)(reader.words(asked, ids), 0).item()
    assert loss == pytest.approx(min(attempt.losses), rel=1e-4)
    assert min(attempt.losses) < attempt.losses[-1], "the last words are not the best here"
    with pytest.raises(RedactError, match="time is 2; give a share"):
        P4D(time=2)


def test_the_simplex_projection_is_the_nearest_point() -> None:
    generator = torch.Generator().manual_seed(0)
    point = torch.randn(3, 7, generator=generator)
    found = simplex(point)
    assert torch.allclose(found.sum(-1), torch.ones(3), atol=1e-6)
    assert bool((found >= 0).all())
    others = torch.softmax(3 * torch.randn(500, 1, 7, generator=generator), -1)
    assert bool(((found - point).norm(dim=-1) <= (others - point).norm(dim=-1) + 1e-6).all())
    assert torch.allclose(simplex(found), found, atol=1e-6)


def test_words_survive_being_written_and_read(base: StableDiffusion) -> None:
    words = speakable(base.tokenizer)
    assert len(words) == 26 + 3  # capital letters are tokens too, but are read as small ones
    text = spoken(base.tokenizer, words)
    assert base.tokenizer(text, verbose=False)["input_ids"][1:-1] == words.tolist()


def test_random_search_needs_values_only_and_never_gets_worse(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    words, soft = SquareWords(tokens=3, steps=40, checks=1), SquareSoftPrompt(tokens=2, steps=40)
    state = torch.random.get_rng_state()
    for attack in (words, soft):
        attempts = attack(student, base, rows(), seed=0)
        for attempt in attempts:
            assert len(attempt.losses) == attempt.queries == 40
            assert list(attempt.losses) == sorted(attempt.losses, reverse=True)
            assert falls(attempt.losses)
        again = attack(student, base, rows(), seed=0)
        assert [a.losses for a in again] == [a.losses for a in attempts]
        # what it asks is the attacked model: another one answers otherwise
        assert [a.losses for a in attack(base, base, rows(), seed=0)] != [a.losses for a in attempts]
    assert torch.equal(state, torch.random.get_rng_state())
    # the conditioning is what the encoder says to embeddings within the ball, with the loss that is told
    reader, (attempt, _) = Reader(student), soft(student, base, rows(), seed=0)
    asked = slots(base.tokenizer, [("", " " + row.condition) for row in rows()], 2)
    assert attempt.conditioning is not None
    assert attempt.conditioning.hidden.shape == (1, 77, 8)
    distance = towards_hidden(base, asked.shortened(), summary=True)
    free = torch.zeros(2, 2, 8).requires_grad_()
    loss = distance(reader(asked.shortened(), free), 0)
    assert bool((torch.autograd.grad(loss.sum(), free)[0].flatten(1).norm(dim=1) > 0).all())
    said = attempt.conditioning.hidden[:, : asked.shortened().ids.shape[1]]
    both = replace(reader(asked.shortened(), free), hidden=said.expand(2, -1, -1))
    assert distance(both, 0)[0].item() == pytest.approx(attempt.losses[-1], rel=1e-3)
    with pytest.raises(RedactError, match="share is 0; give a part above 0"):
        SquareWords(share=0)
    with pytest.raises(RedactError, match="steps is 0; give at least 1"):
        SquareSoftPrompt(steps=0)


def test_random_search_swaps_fewer_and_fewer_and_works_where_gradients_are_masked() -> None:
    shares = [share_at(step, 1000, 0.8) for step in range(1000)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[999]) == (0.8, 0.8 / 2**9)
    success, generator = (
        torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]]),
        torch.Generator().manual_seed(0),
    )

    def masked(tried: torch.Tensor) -> torch.Tensor:
        return (tried != success).sum(1).float()  # a step function: no gradient anywhere

    def propose(now: torch.Tensor, share: float) -> torch.Tensor:
        new = torch.randint(10, now.shape, generator=generator)
        return torch.where(torch.rand(now.shape, generator=generator) < max(share, 1 / 6), new, now)

    found = list(random_search(torch.zeros_like(success), masked, propose, 600, 0.8))
    assert len(found) == 601
    assert torch.equal(found[-1][0], success)
    assert all(torch.equal(masked(best), loss) for best, loss in found)
    one, two = (torch.stack([loss[i] for _, loss in found]) for i in (0, 1))
    assert bool((one.diff() <= 0).all())
    assert not torch.equal(one, two), "rows are kept one by one"


TOKENS = [
    "SquareWords: {tokens: 2, steps: 3, checks: 1}",
    "SquareWords: {tokens: 2, steps: 3, checks: 1, replace_name: true}",
    "GreedyCoordinate: {tokens: 2, steps: 3, candidates: 4, top: 4, checks: 1}",
    "PEZ: {tokens: 2, steps: 3, checks: 1}",
    "P4D: {tokens: 2, steps: 3, checks: 1}",
    "UnlearnDiffAtk: {tokens: 2, steps: 3, checks: 1}",
    "PEZ: {tokens: 2, steps: 3, checks: 1, replace_name: true}",
    "P4D: {tokens: 2, steps: 3, checks: 1, time: 0.7}",
    "UnlearnDiffAtk: {tokens: 2, steps: 3, checks: 1, time: 0.7}",
]


@pytest.mark.parametrize("text", TOKENS)
def test_token_searches_give_prompts_that_are_read_as_what_was_searched(
    base: StableDiffusion, student: StableDiffusion, text: str
) -> None:
    attack = build(Attack, spec_of(text))
    attack.success = Judge("none")
    state = {name: value.clone() for name, value in student.encoder.state_dict().items()}
    attempts = attack(student, base, rows(), seed=0)
    for attempt, row in zip(attempts, rows(), strict=True):
        assert isinstance(attempt.condition, str)
        replace_name = "replace_name" in text
        before, after = row.condition.split("cat") if replace_name else ("", " " + row.condition)
        assert attempt.condition.startswith(before)
        assert attempt.condition.endswith(after)
        ids, head, tail = (
            base.tokenizer(one, verbose=False)["input_ids"][1:-1]
            for one in (attempt.condition, before, after)
        )
        found = ids[len(head) : len(ids) - len(tail)]
        # as many tokens as were searched, and each is a word that can be said
        assert ids == [*head, *found, *tail]
        assert len(found) == 2
        assert set(found) <= set(speakable(base.tokenizer).tolist())
        assert len(attempt.losses) == 3
        assert attempt.queries == 3  # the looks before the last one are queries too; there were none
    assert all(torch.equal(state[k], v) for k, v in student.encoder.state_dict().items())
    assert all(p.requires_grad for p in student.encoder.parameters())
    assert attack(student, base, rows(), seed=0) == attempts, "the seed fixes everything"


def test_a_search_ends_when_the_goal_is_met(base: StableDiffusion, student: StableDiffusion) -> None:
    attack = build(Attack, spec_of("PEZ: {tokens: 2, steps: 6, checks: 3}"))
    attack.success = Judge("all")
    assert [len(attempt.losses) for attempt in attack(student, base, rows(), seed=0)] == [2, 2]


def test_soft_prompts_lower_the_distance_and_go_round_the_encoder(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    attempts = SoftPrompt(2, 20, 0.5)(student, base, rows(), seed=0)
    assert all(falls(attempt.losses) for attempt in attempts)
    samples = realise(student, attempts, [0, 1])
    plain = student.generate([r.condition for r in rows()], seeds=[0, 1])
    assert not torch.equal(samples[0], plain[0])


def test_inverted_concepts_lower_the_loss_and_serve_every_row(
    base: StableDiffusion, student: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ConceptInversion(tokens=2, steps=2, pictures=4, batch=2)
    calls: list[int] = []
    loss = student.training_loss
    monkeypatch.setattr(student, "training_loss", lambda *a, **k: calls.append(1) or loss(*a, **k))
    assert attack.subvert(student, base, rows(), seed=0) is student
    first = attack(student, base, rows()[:1], seed=0)
    second = attack(student, base, rows()[1:], seed=0)
    assert len(calls) == 2, "one search for each model"
    assert first[0].losses == second[0].losses
    free, _ = attack._learnt[student]
    assert free.shape == (1, 2, 8)
    start = Reader(student).table[base.tokenizer("a")["input_ids"][1]]
    assert float((free - start).abs().min(-1).values.max()) > 0, "the gradient reaches the embeddings"
    two = [*rows(), PlanRow("a dog", "redacted", "concept", 0, True, {"concept": "dog"})]
    with pytest.raises(RedactError, match="learns one subject, the rows ask for 2"):
        attack.subvert(base, base, two, seed=0)
    with pytest.raises(RedactError, match="does not name cat"):
        attack.subvert(base, base, rows("a horse"), seed=0)


def test_hidden_states_stay_within_their_budget(base: StableDiffusion, student: StableDiffusion) -> None:
    said = student.encoder(student.collate([r.condition for r in rows()])).hidden.detach()
    for radius in (0.1, 0.5):
        attempts = HiddenState(radius, 8)(student, base, rows(), seed=0)
        for own, attempt in zip(said, attempts, strict=True):
            assert attempt.conditioning is not None
            share = (attempt.conditioning.hidden[0] - own).norm() / own.norm()
            assert 0.5 * radius < share <= radius * 1.001
    assert all(p.requires_grad for p in student.generator.parameters())


def test_hidden_states_fit_the_samples_better(base: StableDiffusion, student: StableDiffusion) -> None:
    attempts = HiddenState(2.0, 30)(student, base, rows(), seed=0)
    pictures, draws = base_pictures(base, rows()), [[i, i + 100] for i in range(20)]
    before = student.encoder(student.collate([r.condition for r in rows()]))

    def loss(said: Any) -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([student.training_loss(said, pictures, seeds=d) for d in draws]).mean(0)

    after = type(before).cat([a.conditioning for a in attempts if a.conditioning is not None])
    assert bool((loss(after) < loss(before)).all())


def test_ring_a_bell_static_is_the_same_for_every_model_and_adaptive_is_not(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    static = RingABell(tokens=3, population=12, generations=6)
    a, b = (static(model, base, rows(), seed=0) for model in (student, base))
    assert a == b
    adaptive = RingABellAdaptive(tokens=3, population=12, generations=6)
    c, d = (adaptive(model, base, rows(), seed=0) for model in (student, base))
    assert [x.losses for x in c] != [x.losses for x in d], "its objective goes through the attacked encoder"
    for attempt in (*a, *c):
        assert list(attempt.losses) == sorted(attempt.losses, reverse=True), "the best survives"
        assert len(str(attempt.condition).split()) == 3


def test_the_concept_direction_is_injected_behind_the_encoder(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    (row,) = rows("a red cat")
    (attempt,) = EmbeddingInjection(2.0)(student, base, [row], seed=0)
    said = student.encoder(student.collate([row.condition])).hidden
    assert attempt.conditioning is not None
    assert torch.allclose(attempt.conditioning.hidden - said, 2 * concept_direction(base, row), atol=1e-5)
    assert concept_direction(base, row).norm() > 0


def test_the_loop_is_the_pipelines(base: StableDiffusion, student: StableDiffusion) -> None:
    prompts = [row.condition for row in rows()]
    plain = student.generate(prompts, seeds=[0, 1])
    handed = HandOver(0.0)(student, base, rows(), seed=0)
    for own, attempt in zip(plain, handed, strict=True):
        assert attempt.sample is not None
        assert torch.allclose(own, attempt.sample, atol=1e-4)
    half = HandOver(0.5)(student, base, rows(), seed=0)[0].sample
    assert half is not None
    assert not torch.allclose(half, plain[0], atol=1e-4)


def test_image_to_image_keeps_more_the_weaker_it_is(base: StableDiffusion) -> None:
    pictures = base_pictures(base, rows(), 1_000_000)
    gaps = []
    for strength in (0.25, 1.0):
        made = [attempt.sample for attempt in ImageToImage(strength)(base, base, rows(), seed=0)]
        through = Loop(base).pictures(Loop(base).latents(pictures))
        gaps.append(sum((a - b).norm().item() for a, b in zip(made, through, strict=True) if a is not None))
    assert gaps[0] < gaps[1]
    with pytest.raises(RedactError, match="strength is 0"):
        ImageToImage(0)


def test_null_text_finds_the_noise_that_leads_back(
    base: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "guidance", 1.0)
    with torch.no_grad():
        loop = Loop(base)
        empty = loop.encode(["", ""])
        clean = loop.run(loop.noise([0, 1]), empty, loop.times)
        gaps = [
            (loop.run(loop.invert(clean, empty, passes), empty, loop.times) - clean).norm() / clean.norm()
            for passes in (1, 4, 30)
        ]
    assert gaps[0] > 2 * gaps[1] > 10 * gaps[2]
    assert gaps[2] < 0.01
    assert all(a.sample is not None for a in NullText(2)(base, base, rows(), seed=0))


def test_guidance_search_leaves_the_model_as_it_was(base: StableDiffusion) -> None:
    for sees, queries in (("all", 1), ("none", 2)):
        attack = GuidanceSearch((1.0, 5.0))
        attack.success = Judge(sees)
        assert [a.queries for a in attack(base, base, rows(), seed=0)] == [queries, queries]
    assert base.guidance == 7.5


def test_searches_by_samples_ask_until_the_goal_is_met(
    base: StableDiffusion, student: StableDiffusion
) -> None:
    for text in ("SeedSearch: {seeds: 3}", "SneakyPrompt: {queries: 3, candidates: 8}"):
        attack = build(Attack, spec_of(text))
        with pytest.raises(RedactError, match="give it a scorer"):
            attack(student, base, rows(), seed=0)
        attack.success = Judge("none")
        attempts = attack(student, base, rows(), seed=0)
        assert [a.queries for a in attempts] == [3, 3]
        assert attack.success.asked == 6
        attack.success = Judge("all")
        assert [a.queries for a in attack(student, base, rows(), seed=0)] == [1, 1]
    assert all("cat" not in str(a.condition) for a in attempts)


@pytest.mark.parametrize("kind", ["typo", "homoglyph", "spacing"])
def test_misspellings_change_the_subject_and_nothing_else(base: StableDiffusion, kind: Any) -> None:
    (attempt,) = Misspelling(kind)(base, base, rows("a red cat on blue"), seed=3)
    assert isinstance(attempt.condition, str)
    assert attempt.condition.startswith("a red ")
    assert attempt.condition.endswith(" on blue")
    assert attempt.condition != "a red cat on blue"
    assert base.collate([attempt.condition])["input_ids"].shape == (1, 77)


def test_rewordings_and_compositions_can_be_asked(base: StableDiffusion) -> None:
    for text in (
        "Rewording: {synonyms: [feline]}",
        "Rewording",
        "Composition",
        "Composition: {negation: true}",
    ):
        attempts = build(Attack, spec_of(text))(base, base, rows(), seed=0)
        assert base.collate([str(a.condition) for a in attempts])["input_ids"].shape == (2, 77)
        said = " ".join(str(a.condition) for a in attempts)
        assert {"Rewording: {synonyms: [feline]}": "feline", "Composition: {negation: true}": "dog"}.get(
            text, ""
        ) in said


def test_around_finds_the_longest_name(base: StableDiffusion) -> None:
    row = PlanRow("A Cat on blue", "redacted", "concept", 0, True, {"concept": "cat"})
    assert around(row, base.vocabulary) == ("A ", "Cat", " on blue")
    row = PlanRow("a cat, not a caterpillar", "redacted", "concept", 0, True, {"concept": "cat"})
    assert around(row, base.vocabulary) == ("a ", "cat", ", not a caterpillar")


def test_another_kind_of_model_is_refused() -> None:
    toy: Adapter = ToyAdapter()
    with pytest.raises(RedactError, match="needs a tokenizer and a denoiser, ToyAdapter has none"):
        opened(toy)


def test_every_attack_refuses_another_kind_of_model_before_it_begins() -> None:
    toy, found = ToyAdapter(), []
    for name, (module, *_) in sorted(names.places().items()):
        if not module.startswith(("modalities.text_to_image.attacks.", "modalities.text_to_speech.attacks.")):
            continue
        kind = getattr(importlib.import_module(module), name)
        if isinstance(kind, type) and issubclass(kind, Attack) and not inspect.isabstract(kind):
            with pytest.raises(RedactError, match="ToyAdapter"):
                kind().check(toy)
            found.append(name)
    assert len(found) > 25, found


def test_suites_name_attacks_that_exist_once_each() -> None:
    known = names.classes()
    for suite, texts in StableDiffusion.suites.items():
        attacks = [build(Attack, spec_of(text)) for text in texts]
        assert len({attack.name for attack in attacks}) == len(attacks), suite
        assert all(type(attack).__name__ in known and attack.budget for attack in attacks)
    assert list(StableDiffusion.suites) == ["quick", "standard", "full"]
