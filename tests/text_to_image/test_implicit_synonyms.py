"""Prompts that the model hears as a concept: what is found, what is not, and what becomes of the finds."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_modules.training.data import RedactionData
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.prompts.expansion import expand
from modalities.text_to_image.prompts.implicit_synonyms import LONGEST, NEAR, implicit_synonyms
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import Lesson, Request, check_lessons

WORDS = [f"word{i}" for i in range(60)]
OTHERS = ["cat", "dog", "boat"]


AXES = {"cigarette": [1, 0, 0, 0], "smoke": [0.9, 0, 0, 0], "word7": [0.35, 0, 0, 0], "word9": [0.4, 0, 0, 0]}
AXES |= {"cat": [0.7, 0.5, 0, 0], "dog": [0, 0, 1, 0], "boat": [0, 0, 0, 1]}


def said(prompts: Sequence[str]) -> Tensor:
    """Sums of words; two of them are a third of a cigarette each, and most are hardly anything."""
    return 1.0 * torch.tensor(
        [
            [sum(x) for x in zip(*(AXES.get(w, [0, 0.01, 0, 0]) for w in p.split()[1:]), strict=True)]
            for p in prompts
        ]
    )


def test_words_heard_as_the_concept_are_found_alone_and_together() -> None:
    found = implicit_synonyms(said, ["cigarette"], OTHERS, [*WORDS, "smoke"], 50)
    assert "smoke" in found
    assert any(" " in x and set(x.split()) & {"word7", "word9"} for x in found)
    middle, others = said(["a cigarette"])[0], said([f"a {x}" for x in OTHERS])
    scale = (others - middle).square().mean(1).min()
    for prompt in found:
        answer = said([f"a {prompt}"])[0]
        assert (answer - middle).square().mean() < NEAR * scale
        assert (answer - middle).square().mean() < (others - answer).square().mean(1).min()
        assert len(prompt.split()) <= LONGEST


def test_a_find_holds_no_other_find_and_names_nothing_that_is_known() -> None:
    found = [
        set(x.split()) for x in implicit_synonyms(said, ["cigarette"], OTHERS, [*WORDS, "smoke", "cat"], 50)
    ]
    assert not any(a < b for a in found for b in found)
    assert {"cigarette"} not in found
    assert all("smoke" not in x for x in found if len(x) > 1)


def test_finds_are_limited_and_the_same_by_the_same_seed() -> None:
    def finds(limit: int, seed: int) -> list[str]:
        return implicit_synonyms(said, ["cigarette"], OTHERS, WORDS, limit, seed=seed)

    assert len(finds(1, 0)) == 1
    assert finds(1, 0) == finds(1, 0)
    assert set(finds(1, 0)) < set(finds(1000, 0))


@pytest.mark.parametrize(
    ("others", "words", "limit"),
    [((), WORDS, 9), (OTHERS, (), 9), (OTHERS, WORDS, 0), (OTHERS, ["word1"], 9)],
)
def test_nothing_is_found_where_there_is_nothing(others: list[str], words: list[str], limit: int) -> None:
    assert implicit_synonyms(said, ["cigarette"], others, words, limit) == []


def test_a_name_that_is_its_own_plural_is_looked_for() -> None:
    asked: list[tuple[Sequence[str], Sequence[str]]] = []

    def find_synonyms(names: Sequence[str], avoid: Sequence[str]) -> list[str]:
        asked.append((names, avoid))
        return ["denim"]

    rows = expand(
        Request(("jeans", "cat"), ("shirt", "dog")),
        bundled_vocabulary(),
        ["word"],
        find_synonyms=find_synonyms,
    )
    (jeans, avoid), (cat, _) = asked
    assert jeans[0] == "jeans"
    assert cat[0] == "cat"
    assert "cats" not in cat
    assert avoid == ["dog", "shirt"]
    answers = {str(row.answer) for row in rows if row.redacted and "denim" in str(row.asked).split()}
    assert any("shirt" in answer for answer in answers)


@pytest.fixture(scope="module")
def rows() -> dict[int, list[Lesson]]:
    request = Request(("cigarette",), ("lollipop",))
    return {heard: StableDiffusion("bundled", implicit_synonyms=heard).expand(request) for heard in (0, 30)}


def test_what_the_bundled_base_hears_as_a_cigarette_is_redacted_with_it(
    rows: dict[int, list[Lesson]],
) -> None:
    check_lessons(rows[30])
    also = [row for row in rows[30] if row.redacted and row not in rows[0]]
    assert 30 <= len(also) <= 60
    assert all("lollipop" in str(row.answer) for row in also)
    names = {name for name in StableDiffusion("bundled").vocabulary.concepts if " " not in name}
    assert not any(names & set(str(row.asked).split()) for row in also)
    # nothing else changes, but that such a prompt is not retained as well
    asked = {row.asked for row in also}
    assert [row for row in rows[30] if row.asked not in asked] == [x for x in rows[0] if x.asked not in asked]


def test_the_end_of_a_prompt_says_the_same_without_padding() -> None:
    model = StableDiffusion("bundled")
    prompts = ["a cigarette", "a cat in noto style on a blue background"]
    with torch.no_grad():
        long = model.encode(prompts).hidden
    ends = model.collate(prompts)["attention_mask"].sum(1) - 1
    torch.testing.assert_close(
        model.summary_embeddings(prompts), long[torch.arange(2), ends], atol=1e-5, rtol=1e-4
    )


def test_what_the_user_retains_is_not_redacted_because_it_is_heard_as_something(tmp_path: Path) -> None:
    model = StableDiffusion("bundled", implicit_synonyms=1000)
    request = Request(("cigarette",), ("lollipop",))
    asked = {str(row.asked) for row in model.expand(request) if row.redacted}
    assert "bit" in {word for prompt in asked for word in prompt.split()}
    (tmp_path / "kept.txt").write_text("a bit of rain\n")
    kept = model.expand(Request(("cigarette",), ("lollipop",), (str(tmp_path / "kept.txt"),)))
    assert not any("bit" in str(row.asked).split() for row in kept if row.redacted)
    assert kept[-1] == Lesson.retain("a bit of rain")


def test_a_person_is_told_what_else_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    for finds, told in ((0, 0), (20, 1)):
        data = RedactionData(StableDiffusion("bundled", implicit_synonyms=finds), "cigarette", "lollipop")
        with caplog.at_level("INFO"):
            data.setup("fit")
        lines = [
            record.getMessage()
            for record in caplog.records
            if "mean the same to the encoder" in record.getMessage()
        ]
        assert len(lines) == told
    assert lines == [
        '20 prompts that do not say "cigarette" mean the same to the encoder and are redacted with it.'
    ]
