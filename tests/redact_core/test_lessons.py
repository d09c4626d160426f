"""Lessons: reading them, and every way in which they can contradict one another."""

from pathlib import Path

import pytest
import torch

from lightning_modules.training.lesson_files import load_lessons
from redact_core import (
    Distillation,
    Lesson,
    LessonLoader,
    Mean,
    RedactError,
    Request,
    Targets,
    check_lessons,
    read_lessons,
    redact,
)
from redact_core.adapters.contract import ToyAdapter, check_adapter
from redact_core.objectives.base import frozen_copy


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_yaml_give_the_same_lessons(tmp_path: Path) -> None:
    csv = write(
        tmp_path / "a.csv", "asked,answer,redacted,weight\nplum,pear,,2\nfig,,,\nlime,mean: pear | fig,yes,\n"
    )
    yml = write(
        tmp_path / "a.yaml",
        "- {asked: plum, answer: pear, weight: 2}\n- {asked: fig}\n- {asked: lime, answer: 'mean: pear | fig', redacted: yes}\n",
    )
    expected = [
        Lesson("plum", "pear", True, 2.0),
        Lesson("fig", "fig", False),
        Lesson("lime", Mean(("pear", "fig")), True),
    ]
    assert read_lessons(csv) == load_lessons(yml) == expected


def test_every_faulty_line_is_reported_with_its_number(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bad.csv",
        "asked,answer,redacted,weight\n,pear,,\nplum,,yes,\nfig,pear,maybe,\nlime,pear,,-1\n",
    )
    with pytest.raises(RedactError) as error:
        read_lessons(path)
    for part in (
        "line 2: asked is empty",
        "line 3: 'plum' is redacted but its answer",
        "line 4: redacted is 'maybe'",
        "line 5: weight is '-1'",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "prompt\ncat\n", "must name the columns asked, answer; found prompt"),
        ("x.yaml", "asked: plum\n", "must be a list of entries"),
        ("x.yaml", "- {asked: [", "cannot be read as YAML"),
        ("x.yaml", "- {asked: plum, anwser: pear}\n", "unknown column 'anwser'"),
        ("x.txt", "plum", "read from .csv, .yaml or .yml"),
        ("gone.csv", None, r"There is no file .*gone\.csv; check the path"),
    ],
)
def test_unreadable_files_are_explained(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        write(path, text)
    with pytest.raises(RedactError, match=message):
        load_lessons(path)


@pytest.mark.parametrize(
    ("lessons", "message"),
    [
        ([Lesson.redact("a", "b"), Lesson.retain("a")], '"a" is both redacted and retained'),
        ([Lesson.redact("a", "a")], '"a" is redacted but is its own reference'),
        ([Lesson.redact("a", "b"), Lesson.redact("a", "c")], '"a" has two references, "b" and "c"'),
        ([Lesson.redact("a", "b"), Lesson.redact("b", "c")], 'reference "b" is itself redacted'),
        ([Lesson.redact("a", Mean(("b", "c"))), Lesson.redact("c", "d")], 'reference "c" is itself redacted'),
        ([Lesson.retain("a")], "nothing is redacted"),
    ],
)
def test_contradictions_are_refused(lessons: list[Lesson], message: str) -> None:
    with pytest.raises(RedactError, match=message):
        check_lessons(lessons)


def key_of(lessons: list[Lesson], **options) -> tuple[ToyAdapter, Targets]:
    toy = ToyAdapter()
    return toy, Targets(toy, Distillation(), frozen_copy(toy.encoder), lessons, **options)


LESSONS = [
    Lesson.redact("plum", "pear"),
    Lesson.retain("fig"),
    Lesson.redact("lime", Mean(("fig", "pear", "kiwi")), weight=2),
    Lesson.retain("kiwi"),
    Lesson.redact("melon", "pear"),
]


@pytest.mark.parametrize("memory_limit", [2 << 30, 0])
def test_targets_are_the_teachers_answers(memory_limit: int) -> None:
    toy, key = key_of(LESSONS, chunk=2, memory_limit=memory_limit)
    batch = key.batch(torch.arange(len(key)))
    said = {word: toy.encoder(toy.collate([word])).hidden[0] for word in ToyAdapter.WORDS}
    letters = {
        tuple(row.tolist()): word for word, row in zip(said, toy.collate(list(said))["letters"], strict=True)
    }
    expected = {"plum": said["pear"], "melon": said["pear"], "fig": said["fig"], "kiwi": said["kiwi"]}
    expected["lime"] = torch.stack([said["fig"], said["pear"], said["kiwi"]]).mean(0)
    asked = [letters[tuple(row.tolist())] for row in batch.asked["letters"]]
    assert sorted(asked) == sorted(expected)
    for word, target, redacted, weight in zip(
        asked, batch.target.hidden, batch.redacted, batch.weight, strict=True
    ):
        torch.testing.assert_close(target, expected[word])
        assert redacted.item() == (word in {"plum", "lime", "melon"})
        assert weight.item() == (2 if word == "lime" else 1)


class Shouting(ToyAdapter):
    """Augments by changing the last letter; a variant of a kept word has an answer of its own."""

    variants = 3

    def augment(self, inputs, generator):
        letters = inputs["letters"].clone()
        letters[:, -1] = torch.randint(40, 120, (len(letters),), generator=generator)
        return {"letters": letters}


def test_variants_of_kept_rows_keep_their_own_answers_and_redacted_ones_get_the_reference() -> None:
    toy = Shouting()
    key = Targets(toy, Distillation(), frozen_copy(toy.encoder), LESSONS, chunk=2)
    assert len(key) == 15
    batch = key.batch(torch.arange(15))
    kept = ~batch.redacted
    torch.testing.assert_close(
        batch.target.hidden[kept], toy.encoder({"letters": batch.asked["letters"][kept]}).hidden
    )
    pear = toy.encoder(toy.collate(["pear"])).hidden[0]
    hits = sum(torch.allclose(row, pear) for row in batch.target.hidden[batch.redacted])
    assert hits == 6  # plum and melon in three variants


@pytest.mark.parametrize(("n", "world", "size"), [(7, 1, 3), (10, 2, 3), (9, 2, 4), (5, 3, 1)])
def test_one_pass_gives_every_row_once_over_all_processes(n: int, world: int, size: int) -> None:
    _, key = key_of(
        [
            Lesson.redact("plum", "pear"),
            *(Lesson.retain(w) for w in ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii"][: n - 1]),
        ]
    )
    loaders = [LessonLoader(key, size, seed=3, rank=rank, world=world) for rank in range(world)]
    assert len({len(list(loader)) for loader in loaders}) == 1
    rows = [
        tuple(row)
        for loader in loaders
        for batch in loader
        for row in batch.asked["letters"][batch.weight > 0].tolist()
    ]
    assert sorted(rows) == sorted(map(tuple, key.asked["letters"].tolist()))


def test_the_walk_goes_on_where_it_was_interrupted() -> None:
    _, key = key_of(LESSONS)
    whole = LessonLoader(key, 2, seed=1)
    everything = [batch.asked["letters"] for _ in range(3) for batch in whole]
    for cut in range(1, len(everything)):
        first, seen = LessonLoader(key, 2, seed=1), []
        while len(seen) < cut:
            for batch in first:
                seen.append(batch.asked["letters"])
                if len(seen) == cut:
                    break
        second = LessonLoader(key, 2, seed=1)
        second.load_state_dict(first.state_dict())
        while len(seen) < len(everything):
            seen += [batch.asked["letters"] for batch in second]
        assert all(map(torch.equal, seen, everything))


def test_redact_moves_the_redacted_and_keeps_the_rest() -> None:
    toy, base = ToyAdapter(), ToyAdapter()

    def say(model: ToyAdapter, word: str) -> torch.Tensor:
        return model.encoder(model.collate([word])).hidden

    redact(toy, Request(("plum",), ("pear",)), steps=400, batch_size=8)
    before = (say(base, "plum") - say(base, "pear")).abs().mean()
    assert (say(toy, "plum") - say(base, "pear")).abs().mean() < 0.01 * before
    for word in ToyAdapter.WORDS:
        if word != "plum":
            assert (say(toy, word) - say(base, word)).abs().mean() < 0.02 * before


def test_redact_is_repeatable() -> None:
    states = []
    for _ in range(2):
        toy = ToyAdapter()
        redact(toy, Request(("plum",), ("pear",)), steps=20, batch_size=4, seed=5)
        states.append(toy.encoder.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


def test_toy_adapter_keeps_the_contract() -> None:
    check_adapter(ToyAdapter(), ["plum", "fig", "kiwi"])


def test_a_condition_beyond_the_context_is_named() -> None:
    with pytest.raises(RedactError, match='"watermelon" has 10 letters, the encoder reads 6; shorten it'):
        redact(ToyAdapter(), [Lesson.redact("watermelon", "fig")])
