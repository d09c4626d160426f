"""What people write is read as they mean it: the same thing in another spelling, several names, ``~``."""

import unicodedata
import warnings
from pathlib import Path

import pytest
from tiny import tiny_tokenizer
from transformers import CLIPTokenizer

from lightning_modules.support.arguments import at_home_everywhere, gathered, names_in
from lightning_modules.training.data import RedactionData
from modalities.text_to_image.adapters.prompt_encoder import expand_added_tokens, read_as, tokenize
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.prompts.expansion import expand, understand
from modalities.text_to_image.prompts.names import plainly, says
from modalities.text_to_image.prompts.planning import named
from modalities.text_to_image.prompts.prompt_files import read_prompts
from modalities.text_to_image.prompts.shares import PromptRows
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary, general_vocabulary
from redact_core import Lesson, PlanRow, RedactError, Request, check_lessons, read_lessons, read_plan, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.plan import contradictions
from redact_core.support.folders import check_target

WORDS = ["river", "stone", "cloud", "paper"]
SPELLINGS = [
    ("a cigarette", "a Cigarette"),
    ("a cigarette", "a  cigarette "),
    ("a cigarette", "a\u00a0cigarette"),
    ("un café", unicodedata.normalize("NFD", "un café")),
]


@pytest.fixture(scope="module")
def tiny(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd))


def rows(
    *redact: str, references: tuple[str, ...] = (), retain: tuple[str, ...] = (), **more
) -> list[Lesson]:
    return expand(
        Request(redact, references, retain), bundled_vocabulary(), WORDS, amounts=PromptRows(2), **more
    )


@pytest.mark.parametrize(("first", "second"), SPELLINGS)
def test_a_prompt_in_another_spelling_is_the_same_condition(
    tiny: StableDiffusion, first: str, second: str
) -> None:
    assert tiny.identity(first) == tiny.identity(second)
    assert plainly(first) == plainly(second)
    assert tiny.identity(first) != tiny.identity("a cigar")
    with pytest.raises(RedactError, match="both redacted and retained") as caught:
        redact(tiny, [Lesson.redact(first, "a dog"), Lesson.retain(second)])
    assert f'"{first}", which is the same to the model as "{second}", is both' in str(caught.value)
    with pytest.raises(RedactError, match="is its own reference"):
        check_lessons([Lesson.redact(first, second)], tiny.identity)
    with pytest.raises(RedactError, match='has two references, "a dog" and "a cat"'):
        check_lessons([Lesson.redact(first, "a dog"), Lesson.redact(second, "a cat")], tiny.identity)
    with pytest.raises(RedactError, match="is itself redacted; name a reference that stays"):
        check_lessons([Lesson.redact("a cat", second), Lesson.redact(first, "a dog")], tiny.identity)


def test_a_plan_that_wants_one_condition_gone_and_kept_is_refused(tiny: StableDiffusion) -> None:
    plan = [
        PlanRow("a cat", "redacted", "concept", 0, True),
        PlanRow("A  Cat", "retained", "concept", 1, False),
        PlanRow("a dog", "retained", "concept", 2, False),
    ]
    assert contradictions(plan, tiny.identity) == [
        '"A  Cat" is both redacted, there written "a cat" and retained; remove one row'
    ]
    assert contradictions(plan[::2], tiny.identity) == []


def test_by_default_a_condition_is_what_is_collated_of_it() -> None:
    toy = ToyAdapter()
    assert toy.identity("fig") == toy.identity("fig ") != toy.identity("kiwi")
    assert toy.identity("watermelon") == "watermelon"  # cannot be collated: said later, by name


def test_an_added_token_of_several_vectors_is_read_as_all_of_them() -> None:
    tokenizer: CLIPTokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<it>", "<it>_1", "<it>_2"])
    assert expand_added_tokens(tokenizer, "a photo of <it>") == "a photo of <it> <it>_1 <it>_2"
    assert expand_added_tokens(tokenizer, "a photo of a cat") == "a photo of a cat"
    assert read_as(tokenizer, "a <it> cat") == "a <it> <it>_1 <it>_2 cat"
    assert says(lambda text: read_as(tokenizer, text), "a  <it> Cat", "<it>")
    ids = tokenize(tokenizer, ["<it>"])["input_ids"][0].tolist()
    assert ids[1:4] == tokenizer.convert_tokens_to_ids(["<it>", "<it>_1", "<it>_2"])


def test_cut_prompts_are_one_where_they_are_cut() -> None:
    tokenizer = tiny_tokenizer(8)
    assert read_as(tokenizer, "zzzzzzzzz", truncate=True) == read_as(tokenizer, "zzzzzzzzy", truncate=True)
    assert read_as(tokenizer, "zzzzzzzzz") != read_as(tokenizer, "zzzzzzzzy")


def test_retained_prompts_name_what_goes_in_another_spelling(tmp_path: Path) -> None:
    file = tmp_path / "kept.txt"
    file.write_text("a river by NOTO\na hill, noto\u00a0style\na lake\nA  Lake\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="retained prompts") as told:
        kept = [str(row.asked) for row in rows("noto", retain=(str(file),)) if not row.redacted]
    assert kept[-1] == "a lake"
    assert not any("noto" in prompt.lower() for prompt in kept)
    messages = [str(one.message) for one in told]
    assert any("1 of 4 retained prompts are others again" in message for message in messages)
    assert any("2 of 3 retained prompts mention what is redacted" in message for message in messages)


@pytest.mark.parametrize("text", ["a cigarette", "The Cigarette", "CIGARETTES", " a  cigarettes"])
def test_article_case_and_plural_do_not_hide_a_name(text: str) -> None:
    known = understand("cigarette", bundled_vocabulary()).names
    assert set(understand(text, bundled_vocabulary()).names) == set(known)
    assert {row.asked for row in rows(text, references=("lollipop",)) if row.redacted} >= {
        "a cigarette",
        "cigarettes",
        "a burning tobacco roll",
    }
    assert named(Request((text,)), bundled_vocabulary()).redact[0] in ("cigarette", "cigarettes")


@pytest.mark.parametrize("text", ["style:", "Style: ", "in the style of"])
def test_a_style_without_a_name_is_no_concept(text: str) -> None:
    with pytest.raises(RedactError, match="names no style; write its name behind it"):
        understand(text, bundled_vocabulary())


def test_seeds_that_no_generator_takes_are_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("condition,group,seed\ncat,redacted,99999999999999999999999\n")
    with pytest.raises(RedactError, match=r"line 2: seed is 9{23}; give a whole number of at most"):
        read_plan(plan)
    with pytest.raises(RedactError, match=r"seed is -1\d+; give a whole number of at most"):
        Request("cat", seed=-(10**19))


def test_an_unknown_name_loses_a_and_keeps_the() -> None:
    general = general_vocabulary()
    assert understand("a heffalump", general).names == ("heffalump", "heffalumps")
    assert understand("the Eiffel Tower", general).names[:2] == ("the Eiffel Tower", "Eiffel Tower")
    assert understand("strawberries", general).names[0] == "strawberry"
    assert understand("a NOTO style", bundled_vocabulary()).names == ("noto",)
    answers = {row.answer for row in rows("cigarette", references=("A Lollipop",)) if row.redacted}
    assert "a small lollipop" in answers


@pytest.mark.parametrize(
    "text",
    [
        "cigarette; guitar",
        "cigarette|guitar",
        "cigarette, guitar",
        "cigarette and a guitar",
        "gnome; elf",
        "[gnome",
    ],
)
def test_several_names_in_one_text_are_refused(text: str) -> None:
    with pytest.raises(RedactError, match="would be one name; give several as a list") as caught:
        rows(text, references=("lollipop",))
    assert 'guitar]"' in str(caught.value) or "gnome" in str(caught.value)
    with pytest.raises(RedactError, match="would be one name"):
        rows("tiger", references=(text,)) if "gnome" not in text else rows(text)


def test_names_with_commas_and_prompts_with_signs_stay() -> None:
    assert understand("sour wedge for gin and tonic", bundled_vocabulary()).names[0] == "lemon"
    assert understand("salt and pepper", bundled_vocabulary()).names[0] == "salt and pepper"
    assert understand("prompt: a cat; a dog", bundled_vocabulary()).names == ("a cat; a dog",)


def test_one_thing_named_twice(tmp_path: Path) -> None:
    with pytest.raises(
        RedactError, match='"cigarette" and "a Cigarette" name the same, but have two references'
    ):
        rows("cigarette", "a Cigarette", references=("lollipop", "guitar"))
    with pytest.warns(UserWarning, match='"a Cigarette" names what was named before; it is redacted once'):
        assert rows("cigarette", "a Cigarette", references=("lollipop",)) == rows(
            "cigarette", references=("lollipop",)
        )


def test_a_file_of_another_kind_is_no_name(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("{}\n")
    for text in (str(file), str(tmp_path)):
        with pytest.raises(RedactError, match=r"is a (file|folder); prompts are read from"):
            rows(text, references=("x",))
    with pytest.raises(RedactError, match=r"prompts are read from \.txt files"):
        rows("tiger", references=("dog",), retain=(str(file),))


def test_what_of_a_file_of_prompts_is_not_used_is_said(tmp_path: Path) -> None:
    text = tmp_path / "a.TXT"
    text.write_text("\ufeff# mine\n\na cat\na cat\n  \n#cat\n", encoding="utf-8")
    with pytest.warns(
        UserWarning, match="2 prompts are used; lines that are not: 1 comments, 1 there before"
    ):
        assert read_prompts(text) == ["a cat", "#cat"]
    table = tmp_path / "a.csv"
    table.write_text('prompt,note\n"a cat, asleep",x\n,y\n')
    with pytest.warns(UserWarning, match="1 prompts are used; lines that are not: 1 without a prompt"):
        assert read_prompts(table) == ["a cat, asleep"]


@pytest.mark.parametrize("read", [read_prompts, read_lessons, read_plan])
def test_a_prompt_is_not_cut_at_a_comma_in_silence(read, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,group,asked\na cat, asleep,redacted,b\n")
    with pytest.raises(
        RedactError, match="line 2: has 4 cells for 3 columns; put a text with a comma into double"
    ):
        read(path)
    path.write_text("prompt,prompt\na,b\n")
    with pytest.raises(RedactError, match="names 'prompt' twice"):
        read(path)


def test_rows_that_do_not_fit_are_counted_and_a_name_that_never_fits_is_refused() -> None:
    told: list[str] = []
    found = rows("tiger", references=("dog",), fits=lambda prompt: len(prompt) < 40, note=told.append)
    assert found
    assert all(len(str(row.asked)) < 40 for row in found)
    assert "rows of our own making are longer than the encoder reads and are left out" in told[0]
    with pytest.raises(RedactError, match='No prompt with "gnome" fits'):
        rows("tiger", "gnome", references=("dog",), fits=lambda prompt: "gnome" not in prompt)


def test_options_with_names_add_up() -> None:
    assert gathered(["fit", "--data.redact", "cat", "--x=1", "--data.redact=a, dog"]) == [
        "fit", '--data.redact=["cat", "a, dog"]', "--x=1",
    ]  # fmt: skip
    assert gathered(["attack", "--redact", "[1, 007, no, 'a, b', style: noto]", "--reference", "x"]) == [
        "attack", '--redact=["1", "007", "no", "a, b", "style: noto"]', '--reference=["x"]',
    ]  # fmt: skip
    assert gathered(["evaluate", "--redacted", "a", "b", "--n", "3", "--redacted=c", "--redact", "null"]) == [
        "evaluate", "--redacted", "a", "b", "c", "--n", "3", "--redact", "null",
    ]  # fmt: skip
    assert gathered(["score", "folder"]) == ["score", "folder"]
    with pytest.raises(RedactError, match="begins like a list and cannot be read as one"):
        gathered(["fit", "--data.redact", "[cat, dog"])
    with pytest.raises(RedactError, match="--scorers is given twice"):
        gathered(["evaluate", "--scorers", "[A]", "--scorers", "[B]"])


def test_names_of_configs_and_of_python() -> None:
    data = RedactionData(ToyAdapter(), redact=[21, {"style": "noto"}, "cat"], reference=5)
    assert data.request.redact == ("21", "style: noto", "cat")
    assert data.request.references == ("5",)
    assert Request("cat", "dog") == Request(("cat",), ("dog",))  # type: ignore[arg-type]
    assert names_in("cat, dog") == ("cat, dog",)
    for wrong in ([1.5], [["a"]], [True], [None]):
        with pytest.raises(RedactError, match="is no name; put a text in quotes"):
            names_in(wrong)


def test_the_home_folder_is_filled_in_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    values = {"a": ["~/x", "~", "~cat", "$HOME/x"], "b": Path("~/y"), "c": 1}
    assert at_home_everywhere(values) == {
        "a": [str(tmp_path / "x"), str(tmp_path), "~cat", "$HOME/x"], "b": tmp_path / "y", "c": 1,
    }  # fmt: skip
    (tmp_path / "lessons.csv").write_text("asked,answer\nfig,kiwi\n")
    (tmp_path / "plan.csv").write_text("condition,group\nfig,redacted\n")
    (tmp_path / "kept.txt").write_text("a lake\n")
    assert read_lessons(Path("~/lessons.csv")) == [Lesson.redact("fig", "kiwi")]
    assert len(read_plan(Path("~/plan.csv"))) == 1
    assert read_prompts(Path("~/kept.txt")) == ["a lake"]
    with pytest.raises(RedactError, match=f"{tmp_path}/plan.csv exists"):
        check_target(Path("~/plan.csv"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows("tiger", references=("dog",), retain=("~/kept.txt",))[-1] == Lesson.retain("a lake")
