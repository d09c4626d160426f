"""Gates: what stays keeps its bits, what goes is bounded for any input, and each redaction has its own."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from redact_core import Adapter, Conditioning, Lesson, Mean, Origin, RedactError, Request, redact
from redact_core.adapters.capabilities import HasOneVector
from redact_core.adapters.contract import ToyAdapter
from redact_core.gates import (
    Gate,
    GatedEncoder,
    GateSettings,
    Gating,
    around_gates,
    fit_gate,
    gate_like,
    share_of,
    shared,
)  # fmt: skip
from redact_core.gates.fit import MOST_SPIKES
from redact_core.gates.grouping import by_folder, groups_of, voices_of
from redact_core.gates.reference import choose_reference
from redact_core.objectives.base import frozen_copy

DIM, PEOPLE = 24, 30


def voices(seed: int = 0, clips: int = 4, variants: int = 3) -> list[Tensor]:
    """``(clips, variants, DIM)`` for each of the people, around directions of their own; of any length."""
    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(PEOPLE, DIM, generator=generator) + 1
    noise = torch.randn(PEOPLE, clips, variants, DIM, generator=generator)
    return list(3 * (middles[:, None, None] + 0.25 * noise))


def plain(people: list[Tensor]) -> list[Tensor]:
    """The clips as they are, without variants."""
    return [person[:, 0] for person in people]


def through(gate: Gate, rows: Tensor) -> Tensor:
    return gate(rows[:, None])[:, 0]


def test_what_stays_keeps_its_bits_and_the_voice_becomes_the_answer() -> None:
    people = voices()
    fitted = fit_gate(people[0][:3], plain(people[1:]))
    kept = torch.cat(plain(people[1:]))
    assert torch.equal(through(fitted.gate, kept), kept)
    gone = through(fitted.gate, people[0][3])  # a clip that taught nothing, in its variants
    assert torch.equal(gone, fitted.gate.answer.expand_as(gone))
    assert fitted.changed == fitted.replaced == 1.0


@pytest.mark.parametrize(
    ("margin", "gain", "cap"), [(0.0, 1.0, 1.0), (0.05, 1.0, math.inf), (0.05, 2.0, 0.5)]
)
def test_no_embedding_at_all_gets_past_the_bound_or_is_named_as_the_voice(
    margin: float, gain: float, cap: float
) -> None:
    people = voices()
    settings = GateSettings(margin=margin, gain=gain, cap=cap)
    fitted = fit_gate(people[0], plain(people[1:]), settings=settings)
    # replaced later than it would be: what is moved only must keep the bound by itself
    cell, gate = fitted.cell, fitted.gate
    gate.sure += 0.05
    generator = torch.Generator().manual_seed(1)
    start = torch.cat([torch.randn(200, DIM, generator=generator), people[0].flatten(0, 1)])
    tried = []
    for weight in (0.0, 1.0, 10.0, 100.0):
        e = start.clone()
        for _ in range(150):
            e.requires_grad_()
            before = torch.cosine_similarity(e, cell.voice[None])
            behind = torch.cosine_similarity(through(gate, e), cell.voice[None])
            way = (before if weight else behind) - weight * torch.relu(gate.opening(e[:, None])[:, 0] + 1e-4)
            (slope,) = torch.autograd.grad(way.sum(), e)
            e = normalize(e.detach() + 0.02 * normalize(slope, dim=1), dim=1)
            tried.append(e)
    found = torch.cat(tried)
    out, excess = through(gate, found), gate.opening(found[:, None])[:, 0]
    replaced = excess > gate.sure
    assert replaced.any()
    assert ((excess > 0) & ~replaced).sum() > 1000, "some are moved only"
    assert torch.equal(out[replaced], gate.answer.expand_as(out[replaced])), "no mixture of the two"
    stays = (excess <= 0) & (cell.over(found) <= -1e-6)
    assert stays.any()
    assert torch.equal(out[stays], found[stays])
    assert cell.aside.any() == (cap < math.inf)
    alike = torch.cosine_similarity(out, cell.voice[None])
    assert alike.max() <= cell.bound(gate.answer) + 1e-5
    assert torch.cosine_similarity(found, cell.voice[None]).max() > 0.99, (
        "the search did reach the voice itself"
    )
    rows = torch.cat([cell.landmarks, normalize(gate.answer, dim=0)[None]])
    lengths = out.norm(dim=1)
    assert (alike * lengths <= (out @ rows.T).amax(1) - cell.margin * lengths.clamp(max=1) + 1e-5).all()


def test_what_may_be_somebody_elses_is_moved_a_little_and_what_is_the_voices_is_replaced() -> None:
    people = voices()
    fitted = fit_gate(people[0], plain(people[1:]), settings=GateSettings(cap=math.inf))
    cell, gate = fitted.cell, fitted.gate
    steps = torch.linspace(0, 1, 200)[:, None]
    way = normalize(cell.landmarks[0] + steps * (cell.voice - cell.landmarks[0]), dim=1)
    out, excess = through(gate, 7 * way), cell.excess(way)
    between = (excess > 0) & (excess < cell.sure)
    assert between.sum() > 3
    assert torch.equal(out[excess < -1e-5], 7 * way[excess < -1e-5])
    assert torch.equal(
        out[excess > cell.sure + 1e-5], gate.answer.expand(int((excess > cell.sure + 1e-5).sum()), -1)
    )
    moved = (out - 7 * way)[between]
    expected = -7 * cell.rate * excess[between, None] * cell.voice
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=1e-3)
    stayed = torch.cosine_similarity(out[between], way[between])
    assert stayed[0] > 0.999, "beside the threshold next to nothing is changed"


def test_an_embedding_is_replaced_where_hardly_anybody_else_is() -> None:
    people = voices(clips=8)
    fitted = fit_gate(people[0][:4], plain(people[1:]))
    strict = fit_gate(people[0][:4], plain(people[1:]), settings=GateSettings(sure=0.0))
    assert strict.cell.sure < fitted.cell.sure
    assert fitted.replaced >= 0.5
    assert strict.replaced >= fitted.replaced
    few = fit_gate(people[0][:4], plain(people[1:3]))
    assert few.replaced >= 0.5, "of two people no spread can be told"


def test_nothing_is_moved_by_more_than_its_length() -> None:
    people = [person + 40 for person in voices()]  # all but alike: cosines above 0.99
    cell = fit_gate(people[0], plain(people[1:]), settings=GateSettings(gain=50.0)).cell
    aside = (cell.high + cell.sure - cell.cap) * cell.aside.norm()
    assert aside > 0
    assert cell.rate * cell.sure + aside <= 1 + 1e-4
    assert 1 <= cell.gain < 50


def test_what_is_above_the_cap_comes_down_to_it_and_given_clips_do_not() -> None:
    people = voices(clips=8)
    known, unknown = people[1:15], torch.cat(plain(people[15:]))
    capped, free = (
        fit_gate(people[0][:4], plain(known), settings=GateSettings(cap=c)) for c in (0.5, math.inf)
    )
    cell, kept = capped.cell, torch.cat(plain(known))
    above = normalize(kept, dim=1) @ cell.voice > cell.cap
    assert 3 < above.sum() < len(kept) / 2
    assert torch.equal(through(capped.gate, kept), kept)
    direction, out = normalize(unknown, dim=1), normalize(through(capped.gate, unknown), dim=1)
    high = (free.cell.excess(direction) <= 0) & (cell.over(direction) > 0.05)
    assert high.sum() > 3, "somebody else is more like them, and they are much like the voice"
    before, then = (direction @ cell.voice)[high], (out @ cell.voice)[high]
    assert (then < before - 0.03).all()
    assert then.mean() < cell.cap + 0.02
    others = ((out - direction)[high] @ torch.stack([normalize(x, dim=0) for x in kept]).T).mean(1)
    assert (others > (then - before) / 2).all(), "to others it stays as alike, or more so"


def test_no_more_given_clips_are_spared_from_the_cap_than_the_gate_has_room_for() -> None:
    people = voices(clips=20)
    fitted = fit_gate(people[0][:4], plain(people[1:]), settings=GateSettings(cap=0.0))
    kept = torch.cat(plain(people[1:]))
    assert len(fitted.cell.spikes) <= MOST_SPIKES
    assert torch.equal(through(fitted.gate, kept), kept)


def test_the_network_says_what_the_geometry_says() -> None:
    people = voices()
    fitted = fit_gate(people[0], plain(people[1:]))
    rows = torch.randn(300, DIM, generator=torch.Generator().manual_seed(2))
    expected = fitted.cell.excess(normalize(rows, dim=1))
    torch.testing.assert_close(fitted.gate.opening(rows[:, None])[:, 0], expected, atol=1e-5, rtol=0)
    over = fitted.cell.over(normalize(rows, dim=1))
    torch.testing.assert_close(
        fitted.gate.net(rows[:, None])[:, 0, 1], over.clamp(min=-1 - fitted.cell.cap), atol=1e-5, rtol=0
    )
    again = gate_like(fitted.gate.state_dict())
    assert torch.equal(through(again, people[0][:, 0]), through(fitted.gate, people[0][:, 0]))


def test_a_given_clip_stays_though_it_is_more_like_the_voice_than_like_its_own_person() -> None:
    people = voices()
    odd = people[0][0, 0] * 0.6 + people[5][0, 0] * 0.4
    assert torch.cosine_similarity(odd, people[0][:, 0].mean(0), dim=0) > torch.cosine_similarity(
        odd, people[5][:, 0].mean(0), dim=0
    )
    fitted = fit_gate(people[0], [*plain(people[1:]), odd[None], odd[None] + 0.01])
    assert torch.equal(through(fitted.gate, odd[None]), odd[None])
    kept = plain(people[1:])
    kept[4] = torch.cat([kept[4], odd[None]])  # one of the person's clips, so that no landmark lies on it
    fitted = fit_gate(people[0], kept)
    assert len(fitted.cell.spikes) >= 1
    assert torch.equal(through(fitted.gate, odd[None]), odd[None])
    beside = odd + 0.15 * odd.norm() * normalize(people[0][1, 0] - odd, dim=0)
    assert not torch.equal(through(fitted.gate, beside[None])[0], beside), "the exception is a small one"


def test_the_same_embedding_cannot_both_stay_and_go() -> None:
    people = voices()
    itself = normalize(people[0][:, 0], dim=1).mean(0)
    with pytest.raises(RedactError, match="no gate can tell them apart"):
        fit_gate(people[0], [*plain(people[1:]), itself[None]])


def test_too_many_exceptions_are_refused() -> None:
    people = voices()
    draws = torch.randn(200, DIM, generator=torch.Generator().manual_seed(0))
    crowd = people[0][:, 0].mean(0) + 3 * draws
    far = -20 * people[0][:, 0].mean(0)  # whose mean is like nobody of them
    with pytest.raises(RedactError, match="More than 64 conditions that stay"):
        fit_gate(people[0], [torch.cat([crowd, far[None].expand(200, -1)])])


def test_a_larger_margin_opens_for_more_of_what_is_like_nobody() -> None:
    people = voices()
    rows = normalize(torch.randn(2000, DIM, generator=torch.Generator().manual_seed(3)), dim=1)
    opened = [
        (fit_gate(people[0], plain(people[1:]), settings=GateSettings(margin=m)).cell.excess(rows) > 0)
        .float()
        .mean()
        for m in (0.0, 0.1)
    ]
    assert opened[1] > opened[0]


def test_the_reference_is_a_stranger_and_not_the_least_alike() -> None:
    voice = torch.tensor([1.0, 0.0])
    angles = torch.linspace(0.2, 3.0, 11)
    kept = torch.stack([angles.cos(), angles.sin()], 1)
    assert choose_reference(voice, kept, range(11)) == 8  # at the 20 % quantile from the far side
    assert choose_reference(voice, kept, [0, 1]) == 1, "of candidates that are all nearer the farthest one"


class OneVector(nn.Module):
    """Names such as ``folder/3`` -> an embedding, as a table has it; differentiable in ``shift``."""

    def __init__(self, table: Tensor):
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        hidden = self.table[inputs["row"]][:, None]
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))


class People(Adapter, HasOneVector):
    """People 0 to 29 with clips ``person/clip``."""

    def __init__(self) -> None:
        table = torch.cat([person[:, 0] for person in voices()])
        self.encoder = OneVector(table)
        self.names = [f"{p}/{c}" for p in range(PEOPLE) for c in range(4)]

    @property
    def origin(self) -> Origin:
        return Origin("people", "OneVector")

    def collate(self, conditions: Sequence[str | Path]) -> dict[str, Tensor]:
        return {"row": torch.tensor([self.names.index(str(c)) for c in conditions])}

    def expand(self, request: Request) -> list[Lesson]:
        gone = [n for n in self.names if n.split("/")[0] in request.redact]
        kept = tuple(n for n in self.names if n not in gone)
        return [Lesson.redact(n, Mean(kept)) for n in gone] + [Lesson.retain(n) for n in kept]

    def generate(self, conditions, *, seeds):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def say(self, *names: str) -> Tensor:
        return self.encoder(self.collate(names)).hidden[:, 0].detach()


def test_redact_gates_each_person_and_one_answers_in_place_of_the_mean() -> None:
    model, stock = People(), People()
    objective = Gating()
    assert redact(model, Request(("3", "7")), objective=objective) == {}
    assert isinstance(model.encoder, GatedEncoder)
    assert len(model.encoder.gates) == 2, "one gate a person, though both have the same reference"
    kept = [n for n in model.names if n.split("/")[0] not in ("3", "7")]
    assert torch.equal(model.say(*kept), stock.say(*kept))
    said = model.say("3/0", "3/1", "7/2")
    assert torch.equal(said[0], said[1])
    mean = stock.say(*kept).mean(0)
    alike = torch.cosine_similarity(said, mean[None])
    assert (alike < 0.99).all(), "not the mean, which is like everybody"


def test_one_more_later_leaves_earlier_gates_as_they_are() -> None:
    model = People()
    redact(model, Request(("3",)), objective=Gating())
    first = {k: v.clone() for k, v in model.encoder.gates[0].state_dict().items()}
    before = model.say("3/0", "3/2")
    lessons = [row for row in model.expand(Request(("7",))) if not str(row.asked).startswith("3/")]
    lessons = [Lesson.redact(r.asked, "12/0") if r.redacted else r for r in lessons]
    redact(model, lessons, objective=Gating())  # without a clip of the earlier person
    assert len(model.encoder.gates) == 2
    assert all(torch.equal(v, first[k]) for k, v in model.encoder.gates[0].state_dict().items())
    assert torch.equal(model.say("3/0", "3/2"), before)
    answer, named = model.say("7/1")[0], model.say("12/0", "12/1", "12/2", "12/3")
    assert torch.cosine_similarity(answer[None], named).min() > 0.8, "the person that was named answers"


def test_the_same_person_once_more_gets_no_second_gate() -> None:
    model, again = People(), Gating()
    redact(model, Request(("3",)), objective=Gating())
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    with pytest.warns(
        UserWarning, match="1 of the redacted voices has a gate that replaces all that was given of"
    ):
        done = redact(model, Request(("3",)), objective=again)
    assert again.fitted == []
    after = model.encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert set(done.measures) == {"retain distance before", "retain distance after"}
    assert done.measures["retain distance after"] == 0


def test_beside_somebody_who_is_gated_already_a_new_one_gets_the_gate_that_it_gets_alone() -> None:
    both, alone = People(), People()
    for model in (both, alone):
        redact(model, Request(("3",)), objective=Gating())
    rows = [row for row in alone.expand(Request(("7",))) if not str(row.asked).startswith("3/")]
    redact(alone, rows, objective=Gating())
    objective = Gating()
    with pytest.warns(UserWarning, match="1 of the redacted voices has a gate"):
        redact(both, Request(("3", "7")), objective=objective)
    assert set(objective.fitted_for) == {f"7/{clip}" for clip in range(4)}
    assert len(both.encoder.gates) == 2
    first, second = (model.encoder.gates[1].state_dict() for model in (both, alone))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_other_conditions_of_a_person_get_a_gate_of_their_own() -> None:
    model, first = People(), Gating()
    rows = model.expand(Request(("3",)))
    redact(model, [row for row in rows if row.asked not in ("3/2", "3/3")], objective=first)
    redact(model, [row for row in rows if row.asked not in ("3/0", "3/1")], objective=Gating())
    assert len(model.encoder.gates) == 2


def test_who_answers_an_earlier_request_can_go_too_though_the_earlier_clips_are_among_those_that_stay() -> (
    None
):
    model = People()
    lessons = [Lesson.redact(r.asked, "12/0") if r.redacted else r for r in model.expand(Request(("3",)))]
    redact(model, lessons, objective=Gating())
    assert torch.cosine_similarity(model.say("3/1"), model.say("12/0")) > 0.8
    redact(model, Request(("12",)), objective=Gating())  # whose rows retain the clips of 3
    stock, answers = People(), model.say("3/0", "3/3", "12/0", "12/1", "12/2", "12/3")
    middle = normalize(stock.say("12/0", "12/1", "12/2", "12/3"), dim=1).mean(0)
    assert torch.equal(answers, answers[:1].expand_as(answers))
    assert torch.cosine_similarity(answers[:1], middle[None]) < 0.6
    kept = [n for n in model.names if n.split("/")[0] not in ("3", "12")]
    assert torch.equal(model.say(*kept), stock.say(*kept))


def test_a_reference_whom_earlier_gates_replace_is_refused() -> None:
    model = People()
    redact(model, Request(("3",)), objective=Gating())
    lessons = [Lesson.redact(r.asked, "3/0") if r.redacted else r for r in model.expand(Request(("7",)))]
    with pytest.raises(
        RedactError,
        match="Every condition of the reference of 7/0 is replaced by a gate that is there; give a reference who stays",
    ):
        redact(model, lessons, objective=Gating())
    assert len(model.encoder.gates) == 1


@pytest.mark.parametrize("together", [True, False])
def test_many_gates_do_not_each_change_as_many_of_those_who_stay_as_one_alone(together: bool) -> None:
    people = voices(clips=40)
    known, unseen = [p[:4] for p in people], torch.cat(plain([p[4:] for p in people[10:]]))

    def changed(numbers: range, rising: bool) -> float:
        gates: list[Gate] = []
        for number in numbers:
            share = share_of(0, 10) if together else share_of(number, 1)
            settings = shared(GateSettings(), share) if rising else GateSettings()
            stay = plain(known[10:] if together else known[number + 1 :])
            gates.append(fit_gate(known[number], stay, settings=settings).gate)
        out = unseen
        for gate in gates:
            out = through(gate, out)
        return (out != unseen).any(1).float().mean().item()

    one = sum(changed(range(i, i + 1), False) for i in range(10)) / 10
    free, held = changed(range(10), False), changed(range(10), True)
    assert one > 0.01
    assert free > 4 * one, "without sharing every gate adds its own"
    assert held < (1.5 if together else 4) * one


def test_levels_rise_with_the_number_of_gates_that_a_request_makes_or_finds() -> None:
    caps = {}
    for names in (("3",), ("3", "7"), ("3", "7", "9", "11")):
        objective = Gating()
        redact(People(), Request(names), objective=objective)
        kept = torch.cat([x[:, 0] for i, x in enumerate(voices()) if str(i) not in names])
        alike = normalize(kept, dim=1) @ objective.fitted[0].cell.voice
        caps[len(names)] = (objective.fitted[0].cell.cap - alike.mean()) / alike.std()
    normal = NormalDist()
    for count, deviations in caps.items():
        assert normal.cdf(-deviations) == pytest.approx(normal.cdf(-1.5) / count, rel=0.1)
    model, first, later = People(), Gating(), Gating()
    redact(model, Request(("3",)), objective=first)
    redact(model, Request(("7",)), objective=later)
    alone = Gating()
    redact(People(), Request(("7",)), objective=alone)
    assert later.fitted[0].cell.cap > alone.fitted[0].cell.cap + 0.01


def test_shares() -> None:
    assert share_of(0, 1) == 1
    assert share_of(0, 50) * 50 == pytest.approx(1)
    assert share_of(3, 2) == share_of(0, 5)
    same = GateSettings()
    assert shared(same, 1.0) == same
    assert shared(GateSettings(cap=math.inf), 0.1).cap == math.inf
    assert shared(same, 0.1).sure == same.sure
    assert shared(same, 0.1).cap == pytest.approx(2.476, abs=0.01)


def test_conditionings_of_several_vectors_are_refused() -> None:
    with pytest.raises(RedactError, match="Gating needs conditionings of a single vector"):
        redact(ToyAdapter(), Request(("apple",)), objective=Gating())


def test_nothing_retained_is_refused() -> None:
    model = People()
    with pytest.raises(RedactError, match="Nothing is retained"):
        redact(model, [Lesson.redact("3/0", "12/0")], objective=Gating())


def test_an_attacker_sees_in_front_of_the_gates_and_their_openings() -> None:
    model = People()
    plain, same, none, _ = around_gates(model.encoder, model.collate(["3/0"]))
    assert torch.equal(plain, same)
    assert none.shape == (1, 0)
    redact(model, Request(("3",)), objective=Gating())
    before, behind, openings, moved = around_gates(model.encoder, model.collate(["3/0", "4/0"]))
    assert torch.equal(moved[1], before[1])
    gate = model.encoder.gates[0]
    assert torch.equal(moved[0], gate.moved(before[:1, None])[0, 0])
    assert not torch.equal(moved[0], behind[0]), "nothing is replaced there"
    assert torch.equal(before[:1], plain)
    assert not torch.equal(behind[0], before[0])
    assert (openings[:, 0] > 0).tolist() == [True, False]
    (slope,) = torch.autograd.grad(openings.sum(), model.encoder.encoder.table)
    assert slope.abs().sum() > 0, "a gate that is shut still shows which way it opens"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": -0.1}, "margin is -0.1"),
        ({"gain": 0.9}, "gain is 0.9; give at least 1"),
        ({"spare": 0.0}, "spare is 0.0"),
        ({"landmarks": 0}, "landmarks is 0"),
        ({"cap": -0.1}, "cap is -0.1; give at least 0"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, float], message: str) -> None:
    with pytest.raises(RedactError, match=message):
        GateSettings(**settings)  # type: ignore[arg-type]


def test_grouping() -> None:
    assert by_folder(["a/1", "a/2", Path("b/1"), "word"]) == [[0, 1], [2], [3]]
    rows = normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]]), dim=1)
    assert groups_of(rows, 0.8) == [[0, 2], [1, 3]]
    assert voices_of(["a/1", "b/1", "a/2", "b/2"], rows, 0.8) == [[0, 2], [1, 3]]
    assert voices_of(["flat/1", "flat/2", "flat/3", "flat/4"], rows, 0.8) == [[0, 2], [1, 3]]
    assert voices_of(["a/1", "b/1", "a/2", "a/3"], rows, 0.4) == [[0, 2, 3], [1]], (
        "a folder is a voice if it can be"
    )


def test_a_sample_of_the_rows_of_either_kind_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redact_core.gates.gating._MEASURED", 30)
    model = People()
    rows = Gating().rows(model, frozen_copy(model.encoder), model.expand(Request(("3",))), seed=0)
    assert len(rows) == 30, "every fourth of 120"
    assert rows.redacted.sum() == 1
    assert rows.measure(model.encoder)["retain distance"] == 0


def test_what_is_measured_before_and_after_is_embedded_once() -> None:
    model, objective = People(), Gating()
    lessons = model.expand(Request(("3",)))
    teacher = frozen_copy(objective.prepare(model))
    objective.solve(model, lessons)
    embedded: list[int] = []
    rows = objective.rows(model, teacher, lessons, seed=0)
    for encoder in (teacher, model.encoder):
        assert isinstance(encoder, GatedEncoder)
        encoder.encoder.register_forward_hook(lambda _, args, out: embedded.append(len(out)))
    before, after = rows.measure(teacher), rows.measure(model.encoder)
    assert sum(embedded) == len(rows) == 120
    assert before["redact distance"] > 0 == after["retain distance"]
    alike = [
        model.encoder(rows.batch(torch.arange(120)).asked).hidden,
        rows.batch(torch.arange(120)).target.hidden,
    ]
    distance = (alike[0] - alike[1]).square().mean(-1)[rows.redacted].mean().item()
    assert after["redact distance"] == pytest.approx(distance)
