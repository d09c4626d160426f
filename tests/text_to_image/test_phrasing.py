"""From a person's words to lessons; strings only."""

import random
import re
from pathlib import Path

import pytest

from modalities.text_to_image.prompts.artists import family_name
from modalities.text_to_image.prompts.expansion import expand, understand
from modalities.text_to_image.prompts.misspellings import SLIPS, misspellings, misspelt
from modalities.text_to_image.prompts.phrasing import draw, wordings
from modalities.text_to_image.prompts.retained_prompts import mentions
from modalities.text_to_image.prompts.shares import PromptRows
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary, general_vocabulary
from redact_core import RedactError, Request, check_lessons

WORDS = ["house", "river", "green", "walking", "cigarette"]


def rows(
    *redact: str,
    references: tuple[str, ...] = (),
    retain: tuple[str, ...] = (),
    general: bool = False,
    **more: int,
):
    vocabulary = general_vocabulary() if general else bundled_vocabulary()
    return expand(Request(redact, references, retain), vocabulary, WORDS, amounts=PromptRows(**more))


def test_seen_and_heldout_wordings_are_disjoint() -> None:
    for clause in ("frame", "style", "setting"):
        seen = {getattr(w, clause) for w in wordings("seen")}
        held = {getattr(w, clause) for w in wordings("heldout")}
        assert seen
        assert held
        assert not seen & held


def test_phrasings_of_the_vocabulary_are_unique_and_do_not_name_their_concept() -> None:
    everything = [p for c in general_vocabulary().concepts.values() for p in (c.name, *c.seen, *c.heldout)]
    assert len(everything) == len(set(everything))
    for concept in general_vocabulary().concepts.values():
        assert not any(mentions(phrase, {concept.name}) for phrase in (*concept.seen, *concept.heldout))
        assert len(concept.seen) == len(concept.heldout) == 3


def test_filling_leaves_out_what_is_not_given() -> None:
    rng = random.Random(0)
    for _ in range(200):
        wording = draw(rng, "both")
        prompt = wording.fill("apple")
        assert "{" not in prompt
        assert "  " not in prompt
        assert ", ," not in prompt
        assert not prompt.endswith(",")
        assert not prompt.startswith((",", ":"))
        full = wording.fill("apple", "noto", "blue")
        assert all(word in full for word in ("apple", "noto", "blue"))


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("cigarette", "concept", "cigarette"),
        ("lit cancer stick", "concept", "cigarette"),
        ("noto", "style", "noto"),
        ("style: Van Gogh", "style", "Van Gogh"),
        ("by Van Gogh", "style", "Van Gogh"),
        ("in the style of Van Gogh", "style", "Van Gogh"),
        ("twemoji style", "style", "twemoji"),
        ("prompt: a man, smoking", "prompts", "a man, smoking"),
        ("gnome", "concept", "gnome"),
    ],
)
def test_what_people_say_is_understood(text: str, kind: str, name: str) -> None:
    subject = understand(text, bundled_vocabulary())
    assert (subject.kind, subject.names[0]) == (kind, name)


def test_a_concept_keeps_all_but_its_name() -> None:
    lessons = rows("cigarette", references=("lollipop",))
    check_lessons(lessons)
    redacted = [r for r in lessons if r.redacted]
    concept = bundled_vocabulary().concepts["cigarette"]
    assert len(redacted) > 150
    assert all("lollipop" in r.answer for r in redacted)
    assert not any(mentions(str(r.answer), {"cigarette", *concept.seen}) for r in redacted)
    for name in ("cigarette", *concept.seen):
        assert sum(name in r.asked for r in redacted) >= 30
    for r in redacted:
        for word in ("noto", "fluent", "blue", "pink"):
            assert (word in r.asked.split()) == (word in r.answer.split())


def test_heldout_phrasings_and_wordings_never_teach() -> None:
    lessons = rows("cigarette", "noto", references=("lollipop", ""))
    asked = " | ".join(str(r.asked) for r in lessons)
    heldout = {phrase for concept in bundled_vocabulary().concepts.values() for phrase in concept.heldout}
    assert len(heldout) > 100
    assert not mentions(asked, heldout)
    assert not mentions(asked, {"sticker showing", "in front of", "made by the artist"})


def test_a_style_without_reference_is_left_out_of_the_answer() -> None:
    redacted = [r for r in rows("noto", misspellings=0) if r.redacted]
    assert len(redacted) > 100
    assert all("noto" in r.asked and "noto" not in r.answer for r in redacted)
    to_other = [r for r in rows("noto", references=("twemoji",)) if r.redacted]
    assert all("twemoji" in r.answer for r in to_other)


def test_retained_rows_cover_other_concepts_and_the_empty_prompt_but_not_the_redacted_one() -> None:
    lessons = rows("dog", references=("cat",), general=True)
    kept = [str(r.asked) for r in lessons if not r.redacted]
    assert "" in kept
    names = [n for n in general_vocabulary().concepts if n != "dog"]
    assert sum(any(n in k for k in kept) for n in names) > 0.9 * len(names)
    assert any("hot dog" in k for k in kept)
    assert not any(mentions(k.replace("hot dog", ""), {"dog"}) for k in kept)


def test_data_free_retention_uses_the_tokenizers_words_only() -> None:
    kept = [
        str(r.asked)
        for r in rows("cigarette", references=("lollipop",), retain=("vocabulary",))
        if not r.redacted
    ]
    assert len(kept) > 100
    assert {word for k in kept for word in k.split()} == set(WORDS) - {"cigarette"}


def test_any_word_may_stand_in_a_wording_but_for_what_is_redacted() -> None:
    def asked(*retain: str) -> set[str]:
        return {str(r.asked) for r in rows("cigarette", references=("lollipop",), retain=retain)}

    own, every = asked("vocabulary", "templates"), asked("vocabulary", "templates", "wordings")
    assert own < every  # the others stay as they were
    kept = [
        str(r.asked)
        for r in rows("cigarette", references=("lollipop",), retain=("wordings",))
        if not r.redacted and r.asked
    ]
    assert len(kept) > 300
    assert not any(mentions(prompt, {"cigarette"}) for prompt in kept)
    # a word of the tokenizer, and more around it
    assert all(any(word in prompt for word in WORDS) for prompt in kept)
    assert sum("style" in prompt or " by " in prompt or "background" in prompt for prompt in kept) > 150


def test_a_source_of_retained_prompts_that_is_none_is_named() -> None:
    with pytest.raises(RedactError, match=r"vocabulaire: no such file; .* templates, vocabulary, wordings"):
        rows("dog", references=("cat",), retain=("templates", "vocabulaire"), general=True)


def test_files_of_prompts(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("one man smoking\n\ntwo men smoking\n")
    (tmp_path / "kept.csv").write_text("prompt,n\na river,1\na hill,2\n")
    lessons = rows(str(tmp_path / "gone.txt"), references=("a man",), retain=(str(tmp_path / "kept.csv"),))
    assert [(r.asked, r.answer) for r in lessons if r.redacted] == [
        ("one man smoking", "a man"),
        ("two men smoking", "a man"),
    ]
    kept = [r.asked for r in lessons if not r.redacted]
    assert kept[-2:] == ["a river", "a hill"]
    # on top of ours, which are chosen by name
    ours = [r.asked for r in rows(str(tmp_path / "gone.txt"), references=("a man",)) if not r.redacted]
    assert kept[:-2] == ours
    assert len(ours) > 500
    own = ("vocabulary", str(tmp_path / "kept.csv"))
    fewer = [
        r.asked for r in rows(str(tmp_path / "gone.txt"), references=("a man",), retain=own) if not r.redacted
    ]
    assert fewer[-2:] == ["a river", "a hill"]
    assert len(fewer) < len(kept)


def test_contradicting_files_are_reported_and_mentions_left_out(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("one man smoking\n")
    (tmp_path / "kept.txt").write_text("one man smoking\na river\n")
    lessons = rows(str(tmp_path / "gone.txt"), references=("a man",), retain=(str(tmp_path / "kept.txt"),))
    with pytest.raises(RedactError, match='"one man smoking" is both redacted and retained'):
        check_lessons(lessons)
    (tmp_path / "kept.txt").write_text("a man with a cigarette\na river\n")
    with pytest.warns(UserWarning, match="1 of 2 retained prompts mention what is redacted"):
        lessons = rows("cigarette", references=("lollipop",), retain=(str(tmp_path / "kept.txt"),))
    kept = [r.asked for r in lessons if not r.redacted]
    assert kept[-1] == "a river"
    assert "a man with a cigarette" not in kept


@pytest.mark.parametrize(
    ("redact", "references", "message"),
    [
        ((), (), "Nothing to redact was named"),
        (("cat", "dog"), ("fox", "bear", "lion"), "2 redactions but 3 references"),
        (("cat",), ("cat",), '"cat" is itself redacted'),
        (("cat", "dog"), ("dog",), '"dog" is itself redacted'),
        (("gnome",), (), 'No reference is named for "gnome"; name a harmless word'),
        (("gone.txt",), (), "There is no file gone.txt; check"),
        ((" ",), (), "An empty text cannot be redacted"),
    ],
)
def test_senseless_requests_are_one_clear_line(
    redact: tuple[str, ...], references: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RedactError, match=message):
        check_lessons(rows(*redact, references=references))


def test_expansion_is_repeatable() -> None:
    assert rows("cigarette", "by Van Gogh", references=("lollipop", ""), general=True) == rows(
        "cigarette", "by Van Gogh", references=("lollipop", ""), general=True
    )


def test_each_name_is_composed_as_often_as_wanted() -> None:
    gone = {
        n: {row for row in rows("cigarette", references=("lollipop",), per_name=n) if row.redacted}
        for n in (0, 30, 60)
    }
    names = 2 + len(bundled_vocabulary().concepts["cigarette"].seen)  # the plural is one too
    # a composition drawn twice is one row
    assert 0.9 * 30 * names < len(gone[60]) - len(gone[30]) <= 30 * names
    assert gone[0] < gone[30]


@pytest.mark.parametrize("reference", ["twemoji", ""])
def test_random_wordings_hold_the_style_and_are_answered_as_the_reference_at_its_place(
    reference: str,
) -> None:
    references = (reference,) if reference else ()
    known = rows("noto", references=references)
    found = rows("noto", references=references, random_wordings=40)
    check_lessons(found)
    new = [row for row in found if row not in set(known)]
    assert [row for row in found if row not in set(new)] == known
    assert len(new) == 40
    for row in new:
        asked, answer = str(row.asked), str(row.answer)
        assert "noto" in asked
        # without a reference the words around the style stay
        left = asked.replace("noto", reference).replace(",", " ").split()
        assert answer.replace(",", " ").split() == left


def test_random_wordings_are_of_styles_alone() -> None:
    known = rows("cigarette", references=("lollipop",))
    assert rows("cigarette", references=("lollipop",), random_wordings=40) == known


@pytest.mark.parametrize("reference", ["twemoji", ""])
def test_a_style_is_redacted_by_its_misspelt_names_too(reference: str) -> None:
    references = (reference,) if reference else ()
    known = rows("noto", references=references, misspellings=0)
    found = rows("noto", references=references, misspellings=30)
    check_lessons(found)
    assert [row for row in found if row in set(known)] == known
    new = [str(row.asked) for row in found if row not in set(known)]
    slips = set(misspellings("noto", set()))
    said = [{slip for slip in slips if re.search(rf"(?<!\w){slip}(?!\w)", asked)} for asked in new]
    assert all(said)
    assert len(set().union(*said)) > 15
    assert not any(re.search(r"(?<!\w)noto(?!\w)", asked) for asked in new)
    # a concept's are closed without
    assert rows("cigarette", references=("lollipop",), misspellings=0) == rows(
        "cigarette", references=("lollipop",)
    )


def test_a_misspelling_is_no_word_that_means_something_else() -> None:
    slips = misspellings("cat", {"cart", "act", "at", "vat", "ct"})
    assert {"cat", "act", "at", "vat", "ct"}.isdisjoint(slips)
    assert {"caat", "xat", "сat", "c at", "cta"} <= {*slips}
    assert len({*slips}) == len(slips)
    two = {misspelt("cigarette", kind, random.Random(seed), 2) for kind in SLIPS for seed in range(20)}
    assert two.isdisjoint({"cigarette", *misspellings("cigarette", set())})


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Vincent van Gogh", "van Gogh"),
        ("Claude Monet", "Monet"),
        ("Jean-Michel Basquiat", "Basquiat"),
        ("Leonardo da Vinci", "da Vinci"),
        ("H. R. Giger", "Giger"),
        ("Rembrandt", None),
        ("Pop Art", None),
        ("flat design", None),
        ("Beeple 3D", None),
    ],
)
def test_an_artist_is_called_by_the_family_name_too(name: str, family: str | None) -> None:
    assert family_name(name) == family
    assert understand(f"style: {name}", general_vocabulary()).names == (
        (name,) if family is None else (name, family)
    )


def test_a_family_name_that_another_style_holds_stays() -> None:
    assert family_name("Jan Brueghel", ["Pieter Brueghel"]) is None


def test_an_artist_is_redacted_by_the_family_name_too() -> None:
    found = [row for row in rows("by Claude Monet", general=True) if row.redacted]
    check_lessons(found)
    whole = [row for row in found if "Claude Monet" in str(row.asked)]
    alone = [row for row in found if "Monet" in str(row.asked) and row not in whole]
    assert len(alone) > 0.9 * len(whole) - 100 > 100  # misspelt are whole names alone
    assert all("Monet" not in str(row.answer) for row in alone)
    kept = [str(row.asked) for row in rows("by Claude Monet", general=True) if not row.redacted]
    assert not any("monet" in prompt.lower() for prompt in kept)


def test_a_family_name_that_is_redacted_by_itself_has_its_own_reference() -> None:
    request = Request(
        ("style: Claude Monet", "style: Monet"), ("style: Rembrandt", "style: Edgar Degas"), ("templates",)
    )
    amounts = PromptRows(misspellings=0)
    found = [row for row in expand(request, general_vocabulary(), WORDS, amounts=amounts) if row.redacted]
    for row in found:
        asked, answer = str(row.asked), str(row.answer)
        if "Claude Monet" in asked:
            assert "Rembrandt" in answer
        elif "Monet" in asked:
            assert "Degas" in answer


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.csv"])
def test_a_file_of_prompts_that_is_not_there_is_said_to_be_absent(tmp_path: Path, name: str) -> None:
    with pytest.raises(RedactError, match=rf"^There is no file .*{name}; check the path\.$"):
        rows(str(tmp_path / name))
