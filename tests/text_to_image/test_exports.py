"""Exports of a redacted pipeline, each read by the tool that it is for."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from command import redact
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl
from torch import Tensor

from modalities.stock import find
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.exports.encoders import state
from modalities.text_to_image.exports.export import Kind, LoraSettings, export
from modalities.text_to_image.exports.fidelity import add
from modalities.text_to_image.exports.key_names import open_clip
from modalities.text_to_image.exports.low_rank import Change, changes, factors
from redact_core import RedactError, RedactionCard
from redact_core.gates.units import SPARE

PROMPTS = ["a cat", "a red dog", ""]
NORMS = (
    "layer_norm1.weight",
    "layer_norm2.bias",
    "self_attn.q_proj.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
)
COMFYUI_MAPS = {
    "mlp.fc1": "mlp_fc1", "mlp.fc2": "mlp_fc2", "self_attn.k_proj": "self_attn_k_proj",
    "self_attn.q_proj": "self_attn_q_proj", "self_attn.v_proj": "self_attn_v_proj",
    "self_attn.out_proj": "self_attn_out_proj",
}  # fmt: skip
"""LORA_CLIP_MAP of comfy/lora.py, Comfy-Org/ComfyUI at commit 17358c8f."""


def changed(folder: Path, part: str, *names: str) -> None:
    """Move the tensors of an encoder whose names end like one of ``names``, by a tenth of their size."""
    for path in sorted((folder / part).glob("*.safetensors")):
        tensors = load_file(path)
        generator = torch.Generator().manual_seed(0)
        for name, value in tensors.items():
            if name.endswith(names):
                noise = torch.randn(value.shape, generator=generator)
                tensors[name] = (value.float() + 0.1 * noise * value.float().std().clamp(min=0.1)).to(
                    value.dtype
                )
        save_file(tensors, path, metadata={"format": "pt"})


def card(folder: Path, base: Path) -> None:
    request = {"disclosure": "text", "lessons": [["a cat", "a dog"], ["a red cat", "a red dog"]]}
    RedactionCard({"source": str(base)}, {}, request, {}, {}, {}, {}, "").write(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("sd")
    base, red = (tiny_stable_diffusion(place / name, legacy_keys=False) for name in ("base", "red"))
    changed(red, "text_encoder", *NORMS)
    card(red, base)
    return base, red


@pytest.mark.parametrize("kind", ["lora", "encoder", "single_file"])
def test_gating_units_are_refused_for_tools_would_leave_them_out(
    pair: tuple[Path, Path], tmp_path: Path, kind: Kind
) -> None:
    model = StableDiffusion(str(pair[0]))
    with torch.no_grad():
        states = model.gate_states(model.collated(["a cat", "a dog"]))
    model.add_gate(states[:1, -1], torch.tensor([0.99]), states[1:, -1], SPARE)
    model.save(tmp_path / "gated")
    checkpoint = str(pair[0] / "text_encoder" / "model.safetensors")
    with pytest.raises(
        RedactError, match="gated/text_encoder ends in a block of gating units, which ComfyUI"
    ):
        export(str(tmp_path / "gated"), kind, str(tmp_path / "out"), base=str(pair[0]), checkpoint=checkpoint)
    assert not (tmp_path / "out").exists()


def tensors_of(path: Path) -> dict[str, Tensor]:
    return {k: v for k, v in load_file(path).items() if not k.endswith("diff_b")}


@pytest.fixture(scope="module")
def pair_xl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("xl")
    base, red = (tiny_stable_diffusion_xl(place / name) for name in ("base", "red"))
    changed(red, "text_encoder", "layers.1.mlp.fc2.weight")
    changed(red, "text_encoder_2", "layers.1.self_attn.q_proj.weight")
    card(red, base)
    return base, red


def encoded(pipeline: StableDiffusionPipeline) -> Tensor:
    return torch.cat([pipeline.encode_prompt(p, "cpu", 1, False)[0] for p in PROMPTS])


@pytest.mark.parametrize("file", ["pytorch_lora_weights.safetensors", "lora_comfyui_webui.safetensors"])
def test_diffusers_loads_the_lora_and_encodes_as_the_folder_does(
    tmp_path: Path, pair: tuple[Path, Path], file: str
) -> None:
    base, red = pair
    said = export(str(red), "lora", str(tmp_path / "lora"), lora=LoraSettings(tolerance=0, dtype="float32"))
    assert said[1].startswith(
        "Read by diffusers and ComfyUI, it misses 0.0% of the redaction on redacted prompts"
    )
    load = {"safety_checker": None, "requires_safety_checker": False}
    stock, wanted = (StableDiffusionPipeline.from_pretrained(f, **load) for f in (base, red))
    before = encoded(stock)
    stock.load_lora_weights(tensors_of(tmp_path / "lora" / file))
    left = (encoded(stock) - encoded(wanted)).norm()
    if file.startswith(
        "lora_comfyui"
    ):  # diffusers takes no biases from this one, so the rest is that of the biases
        plain = StableDiffusionPipeline.from_pretrained(base, **load)
        found, _ = changes(*(state(find(folder / "text_encoder")) for folder in pair))
        add(plain.text_encoder, {name: factors(one, None, 0) for name, one in found.items()})
        torch.testing.assert_close(encoded(stock), encoded(plain), rtol=1e-3, atol=1e-3)
    else:
        assert left < 0.001 * (before - encoded(wanted)).norm()


def test_a_folder_is_enough_for_load_lora_weights(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    base, red = pair
    export(str(red), "lora", str(tmp_path / "lora"), lora=LoraSettings(tolerance=0, dtype="float32"))
    stock = StableDiffusionPipeline.from_pretrained(base, safety_checker=None, requires_safety_checker=False)
    before = encoded(stock)
    stock.load_lora_weights(tmp_path / "lora")
    assert not torch.allclose(before, encoded(stock), atol=1e-3)


@pytest.mark.parametrize("file", ["pytorch_lora_weights.safetensors", "lora_comfyui_webui.safetensors"])
def test_both_encoders_of_xl_load_from_one_file(
    tmp_path: Path, pair_xl: tuple[Path, Path], file: str
) -> None:
    base, red = pair_xl
    export(str(red), "lora", str(tmp_path / "lora"), lora=LoraSettings(tolerance=0, dtype="float32"))
    stock, wanted = (StableDiffusionXLPipeline.from_pretrained(f, add_watermarker=False) for f in (base, red))
    before = stock.encode_prompt("a cat", device="cpu", do_classifier_free_guidance=False)
    stock.load_lora_weights(tensors_of(tmp_path / "lora" / file))
    after = stock.encode_prompt("a cat", device="cpu", do_classifier_free_guidance=False)
    aim = wanted.encode_prompt("a cat", device="cpu", do_classifier_free_guidance=False)
    for i in (0, 2):  # sequence and pooled
        assert (before[i] - aim[i]).norm() > 100 * (after[i] - aim[i]).norm() > 0


def test_every_key_is_one_that_comfyui_and_the_web_ui_know(
    tmp_path: Path, pair_xl: tuple[Path, Path]
) -> None:
    _, red = pair_xl
    export(str(red), "lora", str(tmp_path / "lora"))
    tensors = load_file(tmp_path / "lora" / "lora_comfyui_webui.safetensors")
    known = {
        f"lora_te{i}_text_model_encoder_layers_{layer}_{name}": (i, layer, name)
        for i in (1, 2) for layer in range(32) for name in COMFYUI_MAPS.values()
    }  # fmt: skip
    stems = {key.partition(".")[0] for key in tensors}
    assert stems <= set(known)
    assert {key.partition(".")[2] for key in tensors} <= {
        "lora_up.weight",
        "lora_down.weight",
        "alpha",
        "diff_b",
    }
    # the web UI changes an OpenCLIP attention only where all four maps are there
    maps = {known[stem][2] for stem in stems if known[stem][0] == 2}
    assert maps == {f"self_attn_{one}_proj" for one in ("q", "k", "v", "out")}
    assert len({tensors[f"{stem}.alpha"].item() for stem in stems}) == 1


def test_one_clip_has_the_name_of_one(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    export(str(pair[1]), "lora", str(tmp_path / "lora"))
    tensors = load_file(tmp_path / "lora" / "lora_comfyui_webui.safetensors")
    assert all(key.startswith("lora_te_text_model_encoder_layers_") for key in tensors)
    assert any(key.endswith(".diff_b") for key in tensors)


def test_a_rank_says_what_it_loses_and_a_tensor_that_no_lora_holds_is_named(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    base, _ = pair
    red = tiny_stable_diffusion(tmp_path / "red", legacy_keys=False)
    changed(red, "text_encoder", "fc2.weight", "final_layer_norm.weight")
    card(red, base)
    said = export(str(red), "lora", str(tmp_path / "lora"), lora=LoraSettings(rank=1))
    assert "ranks 1 to 1" in said[0]
    assert "A LoRA cannot hold these changed tensors: text_encoder: final_layer_norm.weight." in said
    assert any(sentence.startswith("That is a different redaction") for sentence in said)
    report = json.loads((tmp_path / "lora" / "export.json").read_text())
    assert report["misses"]["diffusers and ComfyUI"]["redacted"] > 0.05


def test_changed_norms_are_held_by_the_maps_behind_them(pair: tuple[Path, Path]) -> None:
    base, red = (state(find(folder / "text_encoder")) for folder in pair)
    found, left = changes(base, red)
    assert left == []
    assert "encoder.layers.0.self_attn.v_proj" in found  # only by the norm before it


def test_the_rank_is_the_smallest_that_the_tolerance_allows() -> None:
    generator = torch.Generator().manual_seed(0)
    thin = torch.randn(12, 3, generator=generator) @ torch.randn(3, 20, generator=generator)
    change = Change(thin, torch.zeros(12))
    whole = factors(change, None, 0)
    assert whole.down.shape == (3, 20)
    torch.testing.assert_close(whole.up @ whole.down, thin, rtol=1e-4, atol=1e-5)
    assert len(factors(change, 2, 0).down) == 2
    loose = factors(change, None, 0.9)
    assert len(loose.down) < 3
    assert (loose.up @ loose.down - thin).norm() <= 0.9 * thin.norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_encoder_files_have_the_names_and_dtypes_that_other_tools_know(
    tmp_path: Path, pair_xl: tuple[Path, Path], dtype: torch.dtype
) -> None:
    red = tmp_path / "half"
    StableDiffusionXLPipeline.from_pretrained(pair_xl[1], add_watermarker=False).to(dtype).save_pretrained(
        red, variant="fp16", max_shard_size="6KB"
    )
    assert len(list((red / "text_encoder").glob("*.safetensors"))) > 1
    export(str(red), "encoder", str(tmp_path / "out"), variant="fp16")
    first = load_file(tmp_path / "out" / "text_encoder.safetensors")
    second = load_file(tmp_path / "out" / "text_encoder_2.safetensors")
    # by these names ComfyUI tells the kinds of CLIP (detect_te_model of comfy/sd.py)
    assert "text_model.encoder.layers.0.mlp.fc1.weight" in first
    assert {"text_model.encoder.layers.0.mlp.fc1.weight", "text_projection.weight"} <= set(second)
    assert {value.dtype for value in first.values()} == {dtype}


def single_file(base: Path, xl: bool) -> dict[str, Tensor]:
    """The encoders of a folder under the names of a single file, beside a tensor that stands for the rest."""
    found: dict[str, Tensor] = {"model.diffusion_model.x": torch.arange(3.0)}
    prefix = (
        "conditioner.embedders.0.transformer.text_model."
        if xl
        else "cond_stage_model.transformer.text_model."
    )
    found |= {prefix + name: value.half() for name, value in state(find(base / "text_encoder")).items()}
    return found | (as_open_clip(state(find(base / "text_encoder_2"))) if xl else {})


def as_open_clip(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix, found = "conditioner.embedders.1.model.", {}
    for name, value in values.items():
        new = open_clip(name)
        if new is not None:
            found[prefix + new] = (value.T if new == "text_projection" else value).contiguous()
        elif "q_proj" in name:
            parts = [values[name.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            layer = name.partition("self_attn")[0].replace("encoder.layers.", "transformer.resblocks.")
            found[f"{prefix}{layer}attn.in_proj_{name.rpartition('.')[2]}"] = torch.cat(parts)
    return found


def test_from_single_file_reads_the_redacted_encoder(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    base, red = pair
    save_file(single_file(base, xl=False), tmp_path / "stock.safetensors", metadata={"from": "elsewhere"})
    export(str(red), "single_file", str(tmp_path / "out"), checkpoint=str(tmp_path / "stock.safetensors"))
    stock = load_file(tmp_path / "stock.safetensors")
    new = load_file(tmp_path / "out" / "stock.safetensors")
    assert {k: v.dtype for k, v in new.items()} == {k: v.dtype for k, v in stock.items()}
    assert torch.equal(new["model.diffusion_model.x"], stock["model.diffusion_model.x"])
    load = {"safety_checker": None, "requires_safety_checker": False}
    wanted = StableDiffusionPipeline.from_pretrained(red, **load)
    loaded = StableDiffusionPipeline.from_single_file(
        tmp_path / "out" / "stock.safetensors", config=str(base), unet=wanted.unet, vae=wanted.vae,
        local_files_only=True, **load,
    )  # fmt: skip
    torch.testing.assert_close(encoded(loaded), encoded(wanted), rtol=0.02, atol=0.02)
    plain = StableDiffusionPipeline.from_pretrained(base, **load)
    assert (encoded(plain) - encoded(wanted)).norm() > 10 * (encoded(loaded) - encoded(wanted)).norm()


def test_both_encoders_of_a_single_file_of_xl_are_replaced(
    tmp_path: Path, pair_xl: tuple[Path, Path]
) -> None:
    base, red = pair_xl
    save_file(single_file(base, xl=True), tmp_path / "xl.safetensors", metadata={"format": "pt"})
    export(str(red), "single_file", str(tmp_path / "out"), checkpoint=str(tmp_path / "xl.safetensors"))
    wanted = StableDiffusionXLPipeline.from_pretrained(red, add_watermarker=False)
    loaded = StableDiffusionXLPipeline.from_single_file(
        tmp_path / "out" / "xl.safetensors", config=str(base), unet=wanted.unet, vae=wanted.vae,
        local_files_only=True, add_watermarker=False,
    )  # fmt: skip
    one, other = (
        p.encode_prompt("a cat", device="cpu", do_classifier_free_guidance=False) for p in (loaded, wanted)
    )
    for i in (0, 2):
        torch.testing.assert_close(one[i], other[i], rtol=0.02, atol=0.02)


def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, red = pair
    assert redact("export", red, "--as", "lora", "--out", tmp_path / "a", "--base", tmp_path) == 2
    assert "give the untouched folder: --base FOLDER" in capsys.readouterr().err
    assert redact("export", base, "--as", "lora", "--out", tmp_path / "a", "--base", base) == 2
    assert "No linear map of the encoders differs from the base's" in capsys.readouterr().err
    assert redact("export", red, "--as", "single_file", "--out", tmp_path / "a") == 2
    assert "give that one: --checkpoint FILE.safetensors" in capsys.readouterr().err
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(RedactError, match="holds no text_encoder"):
        export(str(red), "single_file", str(tmp_path / "a"), checkpoint=str(tmp_path / "other.safetensors"))
    assert not (tmp_path / "a").exists()
    assert redact("export", red, "--as", "encoder", "--out", tmp_path / "a") == 0
    assert "the whole CLIPTextModel, without loss" in capsys.readouterr().out


def test_added_changes_are_those_of_the_file(pair: tuple[Path, Path]) -> None:
    layer = torch.nn.Module()
    layer.mlp = torch.nn.Linear(3, 2)  # pyright: ignore[reportAttributeAccessIssue]
    change = factors(Change(torch.ones(2, 3), torch.ones(2)), None, 0)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    add(layer, {"mlp": change})
    torch.testing.assert_close(layer.state_dict()["mlp.weight"], before["mlp.weight"] + 1)
    assert torch.equal(layer.state_dict()["mlp.bias"], before["mlp.bias"])
