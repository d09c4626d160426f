"""Many names at once: the rows of one model stay within a bound, and every name keeps its share."""

import random
import re

import pytest

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.prompts.expansion import expand
from modalities.text_to_image.prompts.shares import MOST_ROWS, PromptRows, share
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary, general_vocabulary
from redact_core import ClosedForm, Lesson, Request

WORDS = ("apple", "tree", "run", "blue", "seven", "of")
VOCABULARY = bundled_vocabulary()


def gone(rows: list[Lesson]) -> list[str]:
    return [str(row.asked) for row in rows if row.redacted]


def styles(count: int) -> Request:
    return Request(tuple(f"style: Painter{i:04d}" for i in range(count)), retain=("templates",))


@pytest.mark.parametrize(("count", "most"), [(5, 4096), (40, 4096), (300, 1000), (1500, 1000)])
def test_rows_stay_within_the_bound_and_every_name_has_some(count: int, most: int) -> None:
    notes: list[str] = []
    rows = gone(
        expand(
            styles(count), general_vocabulary(), WORDS, note=notes.append, amounts=PromptRows(most_rows=most)
        )
    )
    assert len(rows) <= max(most, count)
    held = {i for i in range(count) if any(f"Painter{i:04d}" in prompt for prompt in rows)}
    assert held == {*range(count)}
    assert len(rows) > 0.6 * min(most, 246 * count)
    capped = 246 * count > most
    assert bool(notes) == capped
    if capped:
        assert f"{count} names are redacted together" in notes[0]


def test_few_names_are_composed_as_they_always_were() -> None:
    concepts = ("cigarette", "guitar"), ("lollipop", "violin")
    a, b = (
        expand(Request(*concepts), VOCABULARY, WORDS, amounts=PromptRows(most_rows=most))
        for most in (MOST_ROWS, 10**9)
    )
    assert a == b


def test_what_a_name_gets_is_drawn_by_the_seed() -> None:
    def drawn(seed: int) -> list[str]:
        request = Request(styles(50).redact, retain=("templates",), seed=seed)
        return gone(expand(request, general_vocabulary(), WORDS, amounts=PromptRows(most_rows=100)))

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    # not the same wordings of all
    assert len({re.sub(r"Painter\d+", "X", prompt) for prompt in drawn(0)}) > 4


def test_prompts_of_the_user_are_never_left_out() -> None:
    prompts = tuple(f"prompt: a picture of number {i}" for i in range(60))
    rows = expand(Request(prompts, ("a picture",)), VOCABULARY, WORDS, amounts=PromptRows(most_rows=10))
    assert len(gone(rows)) == 60


def test_shares_are_the_largest_that_fit() -> None:
    assert share([(6, 8)] * 2, 30, 492, 0).per_name == 30
    assert share([(6, 8)] * 2, 30, 491, 0).per_name == 29
    assert share([(6, 8)] * 2, 30, 12, 0).per_name == 0
    cut = share([(6, 8)] * 2, 30, 11, 0)
    assert (cut.per_name, cut.each) == (0, 5)
    assert share([(6, 8)] * 20, 30, 10, 0).each == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:So much is redacted")
@pytest.mark.parametrize(("count", "said"), [(1, ""), (10, ""), (20, "raised from 0.3 to 1:")])
def test_the_closed_form_raises_its_weight_for_twenty_concepts_and_not_for_ten(count: int, said: str) -> None:
    names = random.Random("chance:0").sample(
        sorted(VOCABULARY.concepts), count
    )  # as many_at_once.py draws them
    model = StableDiffusion("bundled")
    objective = ClosedForm()
    objective.solve(model, model.expand(Request(tuple(names))))
    assert ("raised" in objective.solved) == bool(said)
    assert said in objective.solved


def test_misspelt_names_come_last_where_the_bound_leaves_room() -> None:
    def expanded(count: int, slips: int, most: int) -> tuple[set[str], list[str]]:
        notes: list[str] = []
        amounts = PromptRows(misspellings=slips, most_rows=most)
        return gone(
            expand(styles(count), general_vocabulary(), WORDS, note=notes.append, amounts=amounts)
        ), notes

    # three styles without misspellings make about 750 rows
    bare, _ = expanded(3, 0, 1000)
    some, notes = expanded(3, 96, len(bare) + 60)
    assert len(bare) < len(some) <= len(bare) + 60
    assert notes[-1].startswith("3 names are redacted together, so each style has only ")
    assert bare <= some
    full, notes = expanded(3, 96, 4096)
    assert len(full) > len(some)
    assert notes == []
