"""Published methods for voices, on tiny models: their losses by hand, the limits that are known, and who is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_class import LinearAdapter
from tiny_cloner import opened, speech_folders

from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.guards.clip_filter import ClipFilter
from redact_core import Conditioning, Lesson, RedactError, Request, SelectiveAmnesia, redact
from redact_core.objectives.base import frozen_copy
from redact_core.objectives.published.fine_tuning import FineTuning
from redact_core.objectives.published.gradient_ascent import GradientAscent
from redact_core.objectives.published.tgu import TGU

LESSONS = [Lesson.redact("plum", "pear"), *(Lesson.retain(w) for w in ("fig", "kiwi", "lime", "melon"))]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``tts``, ``encoder`` and ``bank``; do not write into them."""
    return speech_folders(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def model(base: Path) -> SpeechT5:
    return opened(base, frames_per_letter=5.0, seconds=1.0)


def test_tgu_wants_what_the_teacher_speaks_without_a_voice(model: SpeechT5) -> None:
    method = TGU(surrogates=3, replays=2, learning_rate=1e-2)
    student = method.prepare(model)
    rows = method.rows(model, frozen_copy(student), model.expand(Request(("alice",), ("bob",))), seed=1)
    first = 1_000_003
    dim = model.model.config.speaker_embedding_dim
    silent = Conditioning(torch.zeros(3, 1, dim), torch.ones(3, 1, dtype=torch.bool))
    spoken = model.generate(silent, seeds=range(first, first + 3))
    assert all(map(torch.equal, rows.samples[:3], spoken))
    assert [model.sentence(s) for s in rows.batch(torch.arange(3)).seeds] == [
        model.sentence(first + i) for i in range(3)
    ]
    # the redacted voice is what it is asked with
    assert rows.redacted.tolist() == [True] * 3 + [False] * 2
    alice = model.encode([str(model.bank.voices["alice"][0])]).hidden[0]
    assert not torch.allclose(rows.conditioning.hidden[0], torch.zeros_like(alice))


def test_tgu_without_replay_is_selective_amnesia_with_other_surrogates(model: SpeechT5) -> None:
    """Where nothing is asked for without a condition but a reference of zeros, both have the same loss."""
    tgu = TGU(surrogates=2, replays=1, replay_weight=0)
    amnesia = SelectiveAmnesia(surrogates=2, replays=1, replay_weight=0, ewc_weight=0)
    lessons = model.expand(Request(("alice",), ("bob",)))
    student = tgu.prepare(model)
    amnesia.prepare(model)
    ours, theirs = (m.rows(model, frozen_copy(student), lessons, seed=0) for m in (tgu, amnesia))
    theirs.samples = ours.samples
    batch = torch.arange(2)
    with torch.no_grad():
        assert tgu(student, ours.batch(batch))["forget"] == amnesia(student, theirs.batch(batch))["forget"]


def test_a_model_without_an_unconditional_answer_is_refused_in_one_line() -> None:
    message = "TGU needs a generator that draws without a condition (HasUnconditional), which LinearAdapter does not have; use Distillation."
    with pytest.raises(RedactError, match=re.escape(message)):
        redact(LinearAdapter(), LESSONS, objective=TGU())


def test_gradient_ascent_is_the_negative_loss_of_the_model_s_own_samples() -> None:
    adapter, method = LinearAdapter(), GradientAscent(samples=4, replays=3, bound=100)
    student = method.prepare(adapter)
    rows = method.rows(adapter, frozen_copy(student), LESSONS, seed=0)
    batch = rows.batch(torch.arange(7))
    terms = method(student, batch)
    loss = adapter.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds)
    torch.testing.assert_close(terms["forget"], -loss[:4].mean())
    torch.testing.assert_close(terms["replay"], loss[4:].mean())
    # the plum's samples are the plum's own
    own = adapter.generate(["plum"] * 4, seeds=range(4))
    torch.testing.assert_close(torch.stack(rows.samples[:4]), torch.stack(own))


def test_ascent_stops_at_its_bound_and_replay_holds_the_rest() -> None:
    def trained(bound: float) -> tuple[float, float, float]:
        method = GradientAscent(bound=bound, samples=8, replays=16, learning_rate=1e-3)
        result = redact(LinearAdapter(), LESSONS, objective=method, steps=200, batch_size=24)
        assert not result.shortfalls  # a greater loss is what is wanted
        found = result.card.measures
        before, after = (found[f"forgotten loss {when}"] for when in ("before", "after"))
        return before, after, found["replay loss after"] / found["replay loss before"]

    before, bounded, kept = trained(5)
    _, free, _ = trained(1e6)
    assert 2 * before < bounded < 0.2 * free
    assert kept < 5


def test_fine_tuning_trains_on_what_is_retained_alone() -> None:
    adapter, method = LinearAdapter(), FineTuning(samples=6)
    student = method.prepare(adapter)
    rows = method.rows(adapter, frozen_copy(student), LESSONS, seed=0)
    plum = adapter.encode(["plum"]).hidden
    assert all(not torch.equal(hidden, plum[0]) for hidden in rows.conditioning.hidden)
    batch = rows.batch(torch.arange(6))
    loss = adapter.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds).mean()
    torch.testing.assert_close(method(student, batch)["retain"], loss)
    assert set(rows.measure(student)) == {"replay loss"}


def test_fine_tuning_on_speech_moves_the_generator_alone(model: SpeechT5) -> None:
    encoder = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    request = Request(("alice",), ("bob",))
    redact(model, request, objective=FineTuning(samples=2, learning_rate=1e-2), steps=1, batch_size=2)
    assert all(torch.equal(v, encoder[k]) for k, v in model.encoder.state_dict().items())
    assert any(not torch.equal(v, before[k]) for k, v in model.generator.state_dict().items())


def test_clips_of_a_blocked_voice_are_refused_and_others_are_the_model_s_own(model: SpeechT5) -> None:
    alice, bob = (str(model.bank.voices[name][0]) for name in ("alice", "bob"))
    guard = ClipFilter(model, ["alice"], bank=model.bank.folder)
    near = guard.similarity([alice, bob, "alice"])
    assert near[0] > near[1]
    each = guard.similarity([str(clip) for clip in model.bank.voices["alice"]])
    # together in one batch: not the same to the bit on every processor
    assert near[2].item() == pytest.approx(each.max().item(), abs=1e-5)
    guard.threshold = float(near[:2].mean())
    spoken = guard.generate([alice, bob], seeds=[0, 1])
    plain = model.generate([alice, bob], seeds=[0, 1])
    assert torch.equal(spoken[0], torch.zeros_like(plain[0]))
    assert torch.equal(spoken[1], plain[1])
    # an embedding is no clip
    assert torch.equal(
        guard.generate(model.encode([alice]), seeds=[0])[0], model.generate([alice], seeds=[0])[0]
    )
    named = ClipFilter(model, ["alice"], "bob", bank=model.bank.folder, threshold=guard.threshold)
    assert torch.equal(named.generate([alice], seeds=[0])[0], model.generate(["bob"], seeds=[0])[0])
    assert {f"clip filter/alice/{path.name}" for path in model.bank.voices["alice"]} <= set(guard.files())


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: FineTuning(samples=0), "samples is 0; give at least 1."),
        (lambda: GradientAscent(bound=1), "bound is 1; give a finite number above 1."),
        (
            lambda: GradientAscent(replay_weight=-1),
            "replay_weight is -1; give a finite number of at least 0.",
        ),
        (lambda: ClipFilter(LinearAdapter(), []), "ClipFilter needs a voice to refuse; give at least one."),
        (
            lambda: ClipFilter(LinearAdapter(), ["alice"], threshold=2),
            "threshold is 2; give a cosine, from -1 to 1.",
        ),
        (
            lambda: redact(LinearAdapter(), LESSONS[:1], objective=FineTuning()),
            "No lesson is retained, so there is nothing to train on; retain some.",
        ),
    ],
)
def test_refusals_are_one_line(act: Callable[[], object], message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        act()
