"""One adapter for pipelines with an ``encode_prompt`` of their own: SD3, FLUX, PixArt, Sana, AuraFlow, films."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from command import redact as command
from published import PUBLISHED, on_meta
from safetensors.torch import load_file
from tiny_pipelines import BUILDERS, NO_PICTURES, tiny_kandinsky_decoder, tiny_pipeline
from torch import Tensor

from lightning_modules.cli.short_forms import _CLASSES
from modalities.inspecting import inspect
from modalities.text_to_image.adapters.encoder_views import _map
from modalities.text_to_image.adapters.pipeline_encoder import as_bytes, as_mask, as_texts
from modalities.text_to_image.adapters.prompt_pipeline import PromptPipeline
from modalities.text_to_image.exports.export import export
from modalities.text_to_image.inspection.families import FAMILIES, HIDDEN
from modalities.text_to_image.prompts.names import OR, says
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import ClosedForm, Distillation, Lesson, RedactError, Request, redact
from redact_core.adapters.contract import check_adapter
from redact_core.objectives.distances import conditioning_distance as distance
from redact_core.objectives.published.hirm import HiRM
from redact_core.objectives.published.uce import UCE

ASKED = ["a cat", "a photo of a cat", "a cat with a dog", "the cat"]
ANSWER = ["a guitar", "a photo of a guitar", "a guitar with a dog", "the guitar"]
KEPT = ["a dog", "the tree", "a red dog", "a photo of a tree", ""]
ROWS = [
    *(Lesson.redact(asked, answer) for asked, answer in zip(ASKED, ANSWER, strict=True)),
    *(Lesson.retain(prompt) for prompt in [*KEPT, *ANSWER]),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny_pipeline(place / kind, kind) for kind in BUILDERS}


def stock(folder: Path) -> Any:
    index = json.loads((folder / "model_index.json").read_text())
    absent = {name: None for name, value in index.items() if value == [None, None]}
    pipeline = getattr(diffusers, index["_class_name"]).from_pretrained(folder, **absent)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def encoded(pipeline: Any, prompts: list[str]) -> dict[str, Tensor]:
    """As the pipeline itself encodes, with its own defaults of the call."""
    family = FAMILIES[type(pipeline).__name__]
    options: dict[str, Any] = {"prompt": prompts, "device": "cpu"}
    if "FluxPipeline" not in type(pipeline).__name__:
        options["do_classifier_free_guidance"] = False
    method = getattr(type(pipeline), family.method)
    if "prompt_2" in method.__code__.co_varnames:
        options["prompt_2"] = None
    if "prompt_3" in method.__code__.co_varnames:
        options["prompt_3"] = None
    if "Prior" in type(pipeline).__name__:
        options["num_images_per_prompt"] = 1
    if type(pipeline).__name__ == "SanaPipeline":
        options["complex_human_instruction"] = type(pipeline).__call__.__wrapped__.__defaults__[-1]
    if type(pipeline).__name__ == "WanPipeline":
        options["max_sequence_length"] = 512
    with torch.no_grad():
        found = method(pipeline, **options)
    return {name: v for name, v in zip(family.returns, found, strict=True) if isinstance(v, Tensor)}


def test_texts_travel_as_bytes() -> None:
    texts = ["a cat", "", "Ünïcode \U0001f408"]
    assert as_texts(as_bytes(texts)) == texts


def test_every_family_has_a_folder_here_and_a_short_form() -> None:
    assert set(BUILDERS) == set(FAMILIES)
    assert {kind for kind, name in _CLASSES.items() if name == "PromptPipeline"} == set(FAMILIES)


def test_a_name_is_found_where_two_tokenizers_split_it_differently() -> None:
    """One of them has the word, the other parts of it; beside a prompt that both read alike."""
    parts = {"cigarette": OR.join(["cigarette", "cigar ette"]), "kite": "kite"}
    parts["a cigarette"] = OR.join(["a cigarette", "a cigar ette"])
    parts["a cigarettes"] = OR.join(["a cigarettes", "a cigar ettes"])
    parts |= {
        "cigar": "cigar",
        "a kite": "a kite",
        "red cigarette | kite": OR.join(["red cigarette | kite"] * 2),
    }

    def found(prompt: str, name: str) -> bool:
        return says(parts.__getitem__, prompt, name)

    assert found("a cigarette", "cigarette")
    assert found("red cigarette | kite", "kite")
    assert found("a kite", "kite")
    assert found("a cigarette", "cigar"), "as the second tokenizer reads it"
    assert not found("a cigarettes", "cigarette")
    assert not found("a kite", "cigarette")


@pytest.mark.parametrize("kind", list(BUILDERS))
def test_the_network_encodes_as_the_pipeline_does(folders: dict[str, Path], kind: str) -> None:
    model = PromptPipeline(str(folders[kind]))
    prompts = ["a cat", "a red dog with a guitar"]
    mine, theirs = model.encode(prompts), encoded(stock(folders[kind]), prompts)
    family = FAMILIES[kind]
    torch.testing.assert_close(mine.hidden, theirs[HIDDEN], rtol=1e-3, atol=1e-3)
    if family.pooled:
        assert mine.pooled is not None
        assert torch.equal(mine.pooled, theirs[family.pooled])
    wanted = (
        as_mask(theirs[family.mask], mine.hidden)
        if family.mask
        else torch.ones(mine.hidden.shape[:2], dtype=torch.bool)
    )
    assert torch.equal(mine.mask, wanted)


@pytest.mark.parametrize("kind", list(BUILDERS))
def test_the_closed_form_redacts_every_family_and_the_stock_class_loads_it(
    tmp_path: Path, folders: dict[str, Path], kind: str
) -> None:
    model = PromptPipeline(str(folders[kind]))
    with torch.no_grad():
        asked, answer, kept = (model.encode(p) for p in (ASKED, ANSWER, KEPT))
    if kind == "SanaPipeline":
        assert isinstance(model.default_objective(), Distillation)
        redact(model, ROWS[:5], steps=5, lr=3e-4)
    else:
        assert isinstance(model.default_objective(), ClosedForm)
        redact(model, ROWS, objective=ClosedForm(disturbed=0, ridge=1e-5, redact_weight=1.0))
    model.save_pretrained(tmp_path / "out")
    found = inspect(str(tmp_path / "out"))
    covered = {path.name: path.redacted for path in found.paths if path.covered_by}
    assert found.adapter == "PromptPipeline"
    assert all(covered.values()), covered
    again = PromptPipeline(str(tmp_path / "out"))
    with torch.no_grad():
        now, still = again.encode(ASKED), again.encode(KEPT)
    far = distance(asked, answer).mean()
    # Sana is trained, for a few steps here; Kandinsky reads the end of a prompt twice, wherever it stands
    gone, stays = {"SanaPipeline": (1, 0.5), "KandinskyV22PriorPipeline": (0.1, 0.02)}.get(kind, (0.02, 0.02))
    assert distance(now, answer).mean() < gone * far
    assert distance(still, kept).mean() < stays * far
    theirs = encoded(stock(tmp_path / "out"), ASKED)
    torch.testing.assert_close(theirs[HIDDEN], now.hidden, rtol=1e-3, atol=1e-3)
    # nothing but the encoders is written anew
    for part in ("transformer", "vae", "tokenizer", "prior", "image_encoder"):
        for path in sorted((folders[kind] / part).glob("*")):
            assert path.read_bytes() == (tmp_path / "out" / part / path.name).read_bytes()


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind not in NO_PICTURES])
def test_it_keeps_the_contract_of_adapters_and_draws(folders: dict[str, Path], kind: str) -> None:
    model = PromptPipeline(str(folders[kind]), steps=2, size=32 if kind == "SanaPipeline" else 16)
    check_adapter(model, ["a cat", "a dog"])


def test_the_prior_of_kandinsky_makes_the_references_embedding_and_the_decoder_draws(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    base = folders["KandinskyV22PriorPipeline"]
    model = PromptPipeline(str(base))
    wordings = ["a {}", "the {}", "a red {}", "a photo of a {}"]
    rows = [
        *(Lesson.redact(text.format("cat"), text.format("dog")) for text in wordings),
        *(Lesson.retain(prompt) for prompt in ["a tree", "the red tree", "a guitar", ""]),
    ]
    redact(model, rows, objective=ClosedForm(disturbed=0, ridge=1e-5, redact_weight=1.0))
    out = model.save_pretrained(tmp_path / "out")

    def embedding(folder: Path, prompt: str) -> Tensor:
        return stock(folder)(
            prompt, num_inference_steps=2, generator=torch.Generator().manual_seed(0)
        ).image_embeds

    asked, answer, now = embedding(base, "a cat"), embedding(base, "a dog"), embedding(out, "a cat")
    assert (now - answer).norm() < 0.05 * (asked - answer).norm()
    assert (embedding(out, "a tree") - embedding(base, "a tree")).norm() < 0.05 * (asked - answer).norm()
    decoder = stock(tiny_kandinsky_decoder(tmp_path / "decoder"))
    empty = embedding(out, "")
    drawn = decoder(now, empty, height=64, width=64, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 64, 64, 3)
    kinds = {path.name: (path.kind, path.covered_by) for path in inspect(str(out)).paths}
    assert kinds["text_encoder"] == ("text encoder", "PromptPipeline")
    assert kinds["text_encoder: pooled"] == ("pooled vector", "PromptPipeline")
    assert kinds["image_encoder"] == ("image prompt", None)
    with pytest.raises(
        RedactError, match="encoder of a KandinskyV22PriorPipeline, for which no tool reads a LoRA; ex"
    ):
        export(str(out), "lora", str(tmp_path / "lora"), base=str(base))
    with pytest.raises(
        RedactError, match="A KandinskyV22PriorPipeline draws no pictures, it makes the embeddings"
    ):
        model.generate(["a cat"], seeds=[0])


def test_the_decoder_of_kandinsky_is_told_from_its_prior(tmp_path: Path) -> None:
    decoder = tiny_kandinsky_decoder(tmp_path / "decoder")
    with pytest.raises(
        RedactError, match=r"reads no prompt; redact the folder of its prior \(KandinskyV22PriorP"
    ):
        PromptPipeline(str(decoder))
    found = inspect(str(decoder))
    assert found.adapter is None
    assert found.remarks[0].startswith(
        "It draws from embeddings of pictures and reads no prompt; redact the folder"
    )
    assert {path.kind for path in found.paths} == {"image prompt"}
    index = {"_class_name": "KandinskyV22CombinedPipeline"}
    (tmp_path / "combined").mkdir()
    (tmp_path / "combined" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(RedactError, match="put that part in the place of prior_text_encoder"):
        PromptPipeline(str(tmp_path / "combined"))


def test_sd3_without_its_t5(tmp_path: Path) -> None:
    model = PromptPipeline(str(tiny_pipeline(tmp_path / "sd3", "StableDiffusion3Pipeline", with_t5=False)))
    assert list(model.encoder_modules()) == ["text_encoder", "text_encoder_2"]
    assert len(model.closed_form_views()) == 4
    theirs = encoded(stock(tmp_path / "sd3"), ["a cat"])
    torch.testing.assert_close(model.encode(["a cat"]).hidden, theirs[HIDDEN])


def test_distillation_trains_all_encoders_jointly(folders: dict[str, Path]) -> None:
    model = PromptPipeline(str(folders["StableDiffusion3Pipeline"]))
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    redact(model, ROWS, objective=Distillation(), steps=2, lr=1e-3)
    moved = {
        name.split(".")[1]
        for name, value in model.encoder.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"text_encoder", "text_encoder_2", "text_encoder_3"}


def test_a_concept_is_redacted_by_its_name(folders: dict[str, Path]) -> None:
    model = PromptPipeline(str(folders["PixArtSigmaPipeline"]))
    model.vocabulary = bundled_vocabulary()  # a smaller one
    rows = model.expand(Request(("cigarette",)))
    (reference,) = (row.answer for row in rows if row.redacted and row.asked == "a cigarette")
    assert model.chosen_references[0].startswith(f"{str(reference).removeprefix('a ')} (chosen, at ")
    for named in ("a cigarette", "the cigarette", "cigarette"):
        with pytest.raises(RedactError, match="is itself redacted"):
            model.with_references(Request(("cigarette",), (named,)))


def test_what_prompts_say_is_measured_with_the_pooled_vector(folders: dict[str, Path]) -> None:
    model = PromptPipeline(str(folders["StableDiffusion3Pipeline"]))
    found, said = model.encode(["a cat", "a guitar"]), model.summary_embeddings(["a cat", "a guitar"])
    assert found.pooled is not None
    torch.testing.assert_close(said, torch.cat([found.hidden.mean(1), found.pooled], -1))


def test_one_encoder_alone_leaves_the_others_open(folders: dict[str, Path]) -> None:
    model = PromptPipeline(str(folders["FluxPipeline"]))
    with torch.no_grad():
        asked, answer = model.encode(ASKED), model.encode(ANSWER)
    view = model.closed_form_views()[1]
    assert view.encoder.part == "text_encoder_2"
    ClosedForm(disturbed=0, ridge=1e-5).solve(view, ROWS)
    with torch.no_grad():
        now = model.encode(ASKED)
    assert asked.pooled is not None
    assert now.pooled is not None
    assert torch.equal(now.pooled, asked.pooled)
    assert (now.hidden - answer.hidden).norm() < 0.6 * (asked.hidden - answer.hidden).norm()


def test_shards_dtypes_and_variants_stay_as_they_came_in(tmp_path: Path) -> None:
    folder = tiny_pipeline(tmp_path / "flux", "FluxPipeline")
    pipeline = stock(folder).to(torch.bfloat16)
    pipeline.save_pretrained(tmp_path / "half", variant="bf16", max_shard_size="20KB")
    model = PromptPipeline(str(tmp_path / "half"), variant="bf16")
    redact(model, ROWS, objective=ClosedForm(disturbed=0))
    model.save_pretrained(tmp_path / "out")
    for part in ("text_encoder", "text_encoder_2"):
        names = sorted(path.name for path in (tmp_path / "half" / part).iterdir())
        assert sorted(path.name for path in (tmp_path / "out" / part).iterdir()) == names
        files = list((tmp_path / "out" / part).glob("*.safetensors"))
        assert len(files) > 1
        assert {value.dtype for path in files for value in load_file(path).values()} == {torch.bfloat16}
    PromptPipeline(str(tmp_path / "out"), variant="bf16").encode(["a cat"])


def test_mistakes_are_told(
    tmp_path: Path, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = PromptPipeline(str(folders["PixArtSigmaPipeline"]))
    with pytest.raises(RedactError, match="is longer than one of the encoders reads"):
        model.collate(["x" * 600])
    with pytest.raises(RedactError, match=r"\(HasInputPerturbation\), which PromptPipeline does not have"):
        redact(model, ROWS, objective=ClosedForm(disturbed=1))
    with pytest.raises(RedactError, match="is read at 5 places"):
        PromptPipeline(str(folders["StableDiffusion3Pipeline"])).last_linear()
    with pytest.raises(RedactError, match=r"\(HasConditioningMaps\), which PromptPipeline does not have"):
        redact(model, ROWS, objective=UCE())
    with pytest.raises(RedactError, match=r"\(HasTowers\), which PromptPipeline does not have"):
        redact(model, ROWS, objective=HiRM(), steps=1)
    index = json.loads((folders["FluxPipeline"] / "model_index.json").read_text())
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "model_index.json").write_text(json.dumps(index | {"text_encoder": ["own_code", "Encoder"]}))
    with pytest.raises(RedactError, match="code of models is not run"):
        PromptPipeline(str(odd))


def test_fit_takes_a_folder_by_its_class(
    tmp_path: Path, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    lines = [f"{row.asked},{row.answer},{str(row.redacted).lower()},1" for row in ROWS if row.asked]
    rows.write_text("\n".join(["asked,answer,redacted,weight", *lines]) + "\n")
    status = command(
        "fit", folders["PixArtAlphaPipeline"], "--lessons", rows, "--out", tmp_path / "out", "--device", "cpu"
    )
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "holds a PixArtAlphaPipeline; it is redacted as PromptPipeline." in said.out
    assert command("card", tmp_path / "out") == 0
    assert command("export", tmp_path / "out", "--as", "encoder", "--out", tmp_path / "encoder") == 0
    assert (tmp_path / "encoder" / "text_encoder.safetensors").is_file()
    assert command("export", tmp_path / "out", "--as", "lora", "--base", folders["PixArtAlphaPipeline"], "--out", tmp_path / "l") == 2  # fmt: skip
    assert "for which no tool reads a LoRA" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_sizes_on_the_meta_device(name: str) -> None:
    model = on_meta(name)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name][2]
    solved, _ = _map(model, 1)
    shapes = {"T5-XXL": (4096, 10240), "CLIP-G": (1280, 5120), "CLIP-L": (768, 3072)}
    assert tuple(solved.get_parameter("weight").shape) == shapes[name]
