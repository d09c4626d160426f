"""The guards that everybody has: a negative prompt and a word filter."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.guards.negative_prompt import NegativePrompt
from modalities.text_to_image.guards.word_filter import WordFilter
from modalities.text_to_image.prompts.spelling import find, plain, slips_between
from redact_core import RedactError


def opened(folder: Path) -> StableDiffusion:
    return StableDiffusion(str(folder), steps=3, guidance=2.0)


def test_a_negative_prompt_draws_what_diffusers_draws_with_one(tiny_sd: Path) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    own: Any = StableDiffusionPipeline.from_pretrained(tiny_sd, dtype=torch.float32)
    picture = own(
        prompt="cat", negative_prompt="dog, red", num_inference_steps=3, guidance_scale=2.0, output_type="pt",
        generator=torch.Generator().manual_seed(5),
    ).images[0]  # fmt: skip
    guard = NegativePrompt(opened(tiny_sd), ["dog", "red"])
    drawn = guard.generate(["cat"], seeds=[5])[0]
    torch.testing.assert_close(drawn, picture, rtol=1e-3, atol=1e-4)
    assert not torch.equal(drawn, guard.inner.generate(["cat"], seeds=[5])[0])  # and the hook is gone again


def test_an_empty_negative_prompt_changes_nothing_bit_by_bit(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    plain_picture = model.generate(["cat", "dog"], seeds=[1, 2])
    assert all(
        map(torch.equal, plain_picture, NegativePrompt(model, [""]).generate(["cat", "dog"], seeds=[1, 2]))
    )


def test_a_listener_reads_what_is_led_away_from(tiny_sd: Path) -> None:
    model, other = opened(tiny_sd), opened(tiny_sd)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(1.1)
    alone, heard = (
        NegativePrompt(model, ["dog"], listener).generate(["cat"], seeds=[1])[0] for listener in (None, other)
    )
    assert not torch.equal(alone, heard)


@pytest.mark.parametrize(
    "text",
    [
        "a cigarette in noto style", "CIGARETTES", "two cigarettes, please", "a c i g a r e t t e", "ciga-rette",
        "cigarrette", "cigaertte", "cigarete", "сigаrеttе", "c1garette", "cigarétte", "c.i.g.a.r.e.t.t.e",
    ],
)  # fmt: skip
def test_spellings_of_a_word_are_found(text: str) -> None:
    assert find(text, ["cigarette"])


@pytest.mark.parametrize("text", ["a cigar", "a cat in the gazette", "cigar set", "", "a grenade, a tent"])
def test_other_words_are_not(text: str) -> None:
    assert not find(text, ["cigarette"])


def test_names_of_two_words_short_names_and_allowed_neighbours() -> None:
    assert find("a hot dog", ["hot dog"])
    assert find("a hotdog", ["hot dog"])
    assert not find("a hot day for a dog", ["hot dog"])
    assert not find("a hat", ["cat"])  # of short words one slip is another word
    assert find("a parrot", ["carrot"])
    assert not find("a parrot", ["carrot"], allowed=["parrot"])
    assert not find("a parrot", ["carrot"], slips=0)


def test_letters_keep_their_places_and_slips_are_counted() -> None:
    text = "Ünïcödé сat №5"
    assert len(plain(text)) == len(text)
    assert [slips_between(a, "abcd") for a in ("abcd", "abd", "abxcd", "abdc", "bacd", "xyz")] == [
        0,
        1,
        1,
        1,
        1,
        4,
    ]


def test_a_refused_prompt_is_gray_and_others_are_the_model_s_own(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    guard = WordFilter(model, ["cat"])
    drawn = guard.generate(["a c.a.t", "dog"], seeds=[1, 2])
    assert torch.equal(drawn[0], torch.full_like(drawn[0], 0.5))
    torch.testing.assert_close(drawn[1], model.generate(["dog"], seeds=[2])[0], rtol=1e-4, atol=1e-5)
    # what comes as embeddings is no text
    said = model.encode(["cat"])
    assert torch.equal(guard.generate(said, seeds=[1])[0], model.generate(["cat"], seeds=[1])[0])


def test_a_replacement_takes_the_word_s_place(tiny_sd: Path) -> None:
    guard = WordFilter(opened(tiny_sd), ["cigarette"], replacement="lollipop")
    assert guard.passed("Two ciga-rettes and a CIGARETTE, red") == "Two lollipop and a lollipop, red"
    assert guard.passed("a cat") == "a cat"


def test_refusals_are_one_line(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    with pytest.raises(
        RedactError, match=re.escape("No word is given; name at least one that may not be said.")
    ):
        WordFilter(model, [])
    with pytest.raises(
        RedactError, match=re.escape("No concept is given; name at least one to lead away from.")
    ):
        NegativePrompt(model, [])
    with pytest.raises(RedactError, match="NegativePrompt steers classifier-free guidance, which is off"):
        NegativePrompt(StableDiffusion(str(tiny_sd), guidance=1.0), ["cat"])
