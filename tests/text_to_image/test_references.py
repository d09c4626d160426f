"""Which reference a concept gets where none is named, and what is said of a bad one."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.prompts import references
from modalities.text_to_image.prompts.expansion import understand
from modalities.text_to_image.prompts.references import CLEAR, NEAR, Distances, choose
from modalities.text_to_image.prompts.retained_prompts import mentions
from modalities.text_to_image.prompts.vocabulary import (
    Concept,
    Vocabulary,
    bundled_vocabulary,
    general_vocabulary,
)
from redact_core import RedactError, Request


@pytest.fixture(scope="module")
def bundled() -> StableDiffusion:
    return StableDiffusion("bundled")


@pytest.fixture(scope="module")
def encode(bundled: StableDiffusion):
    """The bundled encoder, which is asked for every prompt once."""
    known: dict[str, Tensor] = {}

    def asked(prompts: Sequence[str]) -> Tensor:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if new:
            known.update(zip(new, bundled.summary_embeddings(new), strict=True))
        return torch.stack([known[prompt] for prompt in prompts])

    everything = [text for c in bundled.vocabulary.concepts.values() for text in (c.name, *c.seen)]
    for start in range(0, len(everything), 200):
        asked([references.with_article(text) for text in everything[start : start + 200]])
    return asked


def test_every_known_concept_has_a_default_that_is_clear_of_its_names(encode) -> None:
    vocabulary = bundled_vocabulary()
    everything = general_vocabulary().concepts  # the model draws 165 of them, but anyone may be asked for
    for name, concept in everything.items():
        names = understand(name, vocabulary).names
        choice = choose(names, {name, *concept.seen}, vocabulary, encode)
        assert choice.reference in vocabulary.concepts
        assert choice.reference not in names
        assert not mentions(choice.reference, {name})
        assert choice.distance >= CLEAR
        others = [other for other in vocabulary.concepts if other != name]
        ((distance, nearest),) = Distances(encode, names, others)([choice.reference])
        assert (distance, nearest) == (choice.distance, choice.nearest)
    assert len(everything) > 200


def test_a_sibling_is_preferred_and_no_kind_of_the_concept(encode) -> None:
    vocabulary = bundled_vocabulary()
    for name, unwanted in (
        ("car", {"taxi", "police car", "ambulance"}),
        ("tiger", {"leopard", "lion", "cat"}),
    ):
        choice = choose(understand(name, vocabulary).names, {name}, vocabulary, encode)
        assert vocabulary.concepts[choice.reference].parent == vocabulary.concepts[name].parent
        assert choice.reference not in unwanted


def test_nothing_that_is_redacted_too_is_chosen(encode) -> None:
    vocabulary = bundled_vocabulary()
    names = understand("house", vocabulary).names
    first = choose(names, {"house"}, vocabulary, encode).reference
    assert choose(names, {"house", first}, vocabulary, encode).reference != first


def plane(places: dict[str, tuple[float, float]]):
    """Prompts as points of a plane."""

    def encode(prompts: Sequence[str]) -> Tensor:
        return torch.tensor([places[prompt.removeprefix("a ").removeprefix("an ")] for prompt in prompts])

    return encode


def vocabulary_of(**parents: str) -> Vocabulary:
    concepts = {name: Concept(name, parent, (), ()) for name, parent in parents.items()}
    return Vocabulary(concepts, (), ())


def test_an_unknown_concept_gets_one_of_the_nearest_group() -> None:
    places = {
        "wug": (0.0, 0.0), "blick": (0.1, 0.0), "dax": (1.0, 0.0), "fep": (1.1, 0.0), "zorp": (3.0, 0.0), "tulver": (3.1, 0.0),
    }  # fmt: skip
    known = vocabulary_of(blick="creature", dax="creature", fep="creature", zorp="food", tulver="food")
    choice = choose(("wug",), {"wug"}, known, plane(places))
    assert choice.reference == "fep"  # at the median distance, so at 1
    assert choice.distance == 1.0
    assert choice.nearest == "wug"


def test_where_nothing_is_clear_of_the_concept_the_owner_has_to_name_something() -> None:
    places = {"wug": (0.0, 0.0), "blick": (0.1, 0.0), "dax": (3.0, 0.0), "fep": (3.0, 0.1)}
    known = vocabulary_of(blick="creature", dax="food", fep="food")
    with pytest.raises(
        RedactError, match=r'No default reference is known for "wug": .* give --data\.reference'
    ):
        choose(("wug",), {"wug", "dax", "fep"}, known, plane(places | {"blick": (0.0, 0.0)}))
    with pytest.raises(RedactError, match='No default reference is known for "wug"'):
        choose(("wug",), {"wug", "blick", "dax", "fep"}, known, plane(places))


def test_what_was_chosen_is_said_and_goes_into_every_row(bundled: StableDiffusion) -> None:
    rows = bundled.expand(Request(("car",)))
    (remark,), (shown,) = bundled.remarks, bundled.chosen_references
    reference = shown.split(" (")[0]
    assert reference in bundled.vocabulary.concepts
    assert remark.startswith(
        f'No reference was named for "car"; "{reference}" was chosen. To the encoder it lies at '
    )
    assert "of the distance that is usual between two concepts" in remark
    assert shown.startswith(f"{reference} (chosen, at ")
    assert all(reference in str(row.answer) for row in rows if row.redacted)
    assert rows == bundled.expand(Request(("car",), (reference,)))
    assert bundled.chosen_references == (reference,)
    assert bundled.remarks == ()
    plans = [bundled.plan(Request(("car",), given), 2) for given in ((), (reference,))]
    assert plans[0] == plans[1]


def test_styles_and_prompts_keep_their_defaults(bundled: StableDiffusion) -> None:
    request = bundled.with_references(Request(("style: noto", "prompt: a man, smoking", "car")))
    assert request.references[:2] == ("", "")
    assert request.references[2]
    assert bundled.chosen_references[:2] == ("default reference", "default reference")


def test_a_style_that_the_model_draws_unasked_is_not_merely_left_out(bundled: StableDiffusion) -> None:
    # the base draws twemoji wherever no style is named; that without it would be drawn as before
    request = bundled.with_references(Request(("style: twemoji",)))
    (reference,) = request.references
    assert reference in {"noto", "fluent"}
    assert bundled.chosen_references == (f"{reference} (chosen: the model seems to draw the style unasked)",)
    (remark,) = bundled.remarks
    assert remark.startswith(
        'To the encoder the style "twemoji" is nearly no style (0.01 of the usual distance)'
    )
    rows = [row for row in bundled.expand(Request(("style: twemoji",))) if row.redacted]
    assert all(reference in str(row.answer) for row in rows)
    # an owner who insists is told
    with pytest.warns(
        UserWarning,
        match=r'No reference leaves "twemoji" out, which the model seems to draw unasked; it lies at 0\.01',
    ):
        bundled.with_references(Request(("style: twemoji",), ("",)))


def test_of_two_styles_the_one_that_stays_is_drawn_instead(bundled: StableDiffusion) -> None:
    request = bundled.with_references(Request(("style: twemoji", "style: noto")))
    assert request.references == ("fluent", "")


def test_a_near_reference_is_taken_but_a_farther_one_is_named(bundled: StableDiffusion) -> None:
    request = bundled.with_references(Request(("american football",)))
    (remark,) = bundled.remarks
    farther = remark.rsplit('"', 2)[1]
    assert remark.endswith(f'Against attackers a farther reference protects better, such as "{farther}".')
    bundled.with_references(Request(("american football",), request.references))
    assert bundled.remarks == (
        f'The reference "{request.references[0]}" lies at 0.50 of the distance that is usual between two concepts. Against '
        f'attackers a farther reference protects better, such as "{farther}".',
    )
    bundled.with_references(Request(("american football",), (farther,)))
    assert bundled.remarks == ()


@pytest.mark.parametrize(
    ("redact", "reference", "message"),
    [
        ("car", "vehicle", 'The reference "vehicle" is the group that "car" belongs to; it lies at 0.35 of'),
        ("car", "a vehicle", 'The reference "a vehicle" is the group that "car" belongs to'),
        ("car", "hatchback", 'The reference "hatchback" is another name of "car"; it lies at 0.03 of'),
        ("car", "an automobile", 'The reference "an automobile" is nearly "red automobile" to the encoder'),
        ("cigarette", "menthol cigarettes", 'The reference "menthol cigarettes" names "cigarette"'),
        ("tiger", "leopard", 'The reference "leopard" is nearly "'),
    ],
)
def test_references_that_may_be_drawn_as_the_concept_are_warned_of(
    bundled: StableDiffusion, redact: str, reference: str, message: str
) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        bundled.with_references(Request((redact,), (reference,)))
    (said,) = [str(w.message) for w in caught]
    assert said.endswith("name another reference, or none and one is chosen.")
    (shown,) = bundled.chosen_references
    assert shown.startswith(f"{reference} (warned: it is ") or shown.startswith(
        f"{reference} (warned: it names "
    )


@pytest.mark.parametrize(
    "reference", ["Cigarette", "a  cigarette", "CIGARETTES", "the cigarette", "smoke stick"]
)
def test_a_reference_that_the_encoder_reads_as_the_concept_is_refused(
    bundled: StableDiffusion, reference: str
) -> None:
    with pytest.raises(RedactError, match=f'The reference "{reference}" is itself redacted'):
        bundled.with_references(Request(("cigarette",), (reference,)))


def test_a_reference_that_is_redacted_beside_the_concept_is_refused(bundled: StableDiffusion) -> None:
    with pytest.raises(RedactError, match='"a Dog" is itself redacted'):
        bundled.with_references(Request(("cat", "dog"), ("a Dog", "fox")))
    with pytest.raises(RedactError, match='"noto" is itself redacted'):
        bundled.with_references(Request(("style: noto",), ("by Noto",)))


def test_published_references_are_not_warned_of(bundled: StableDiffusion) -> None:
    pairs = {"cigarette": "lollipop", "guitar": "violin", "bomb": "balloon", "dagger": "key", "tiger": "horse",
             "beer": "coffee", "pizza": "cheese", "airplane": "kite", "skull": "pumpkin", "bee": "butterfly"}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundled.with_references(Request(tuple(pairs), tuple(pairs.values())))
    assert bundled.chosen_references == tuple(pairs.values())


def test_a_hub_model_without_a_word_of_the_vocabulary_has_defaults(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    request = model.with_references(Request(("a mascot of ours", "cigarette")))
    assert len(request.references) == 2
    assert all(reference in model.vocabulary.concepts for reference in request.references)
    assert len(model.remarks) == 2
    assert CLEAR > NEAR
