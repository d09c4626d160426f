"""``redact inspect`` lists every path by which a condition enters, from configurations and headers alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl

from lightning_modules.cli import main as cli
from modalities.inspecting import inspect
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.inspection.families import FAMILIES, HIDDEN
from modalities.text_to_image.inspection.library import pipeline_class
from modalities.text_to_image.inspection.pipelines import ADAPTERS
from redact_core import RedactError, RedactionCard, Request

WITHOUT_LIBRARIES = """
import sys
from lightning_modules.cli import main as cli
for arguments in (["inspect", "bundled"], ["inspect", "bundled", "--json"]):
    sys.argv = ["redact", *arguments]
    assert cli.main() == 0, arguments
heavy = {"torch", "lightning", "jsonargparse", "diffusers", "transformers", "speechbrain"} & set(sys.modules)
assert not heavy, heavy
"""


def of(found: Any, kind: str) -> list[Any]:
    return [path for path in found.paths if path.kind == kind]


def write(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        path = folder / name.replace("__", ".").replace("_S_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    return folder


def tensors(path: Path, **shapes: tuple[int, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)
    return path


def test_inspect_imports_no_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_both_encoders_and_the_pooled_vector_of_xl_are_paths(tmp_path: Path) -> None:
    found = inspect(str(tiny_stable_diffusion_xl(tmp_path / "xl")))
    assert (found.family, found.adapter) == ("StableDiffusionXLPipeline", "StableDiffusionXL")
    covered = [path.name for path in found.paths if path.covered_by]
    assert covered == ["text_encoder", "text_encoder_2", "text_encoder_2: pooled"]
    assert found.paths[0].what.startswith("CLIPTextModel, 3 layers, width 8, ")
    assert [path.name for path in of(found, "LoRA of an encoder")] == ["load_lora_weights"]
    assert of(found, "LoRA of an encoder")[0].what == "changes text_encoder and text_encoder_2"
    assert found.uncovered == ()


def test_what_lies_beside_the_encoders_is_found_and_said_by_fit(tmp_path: Path) -> None:
    folder = tiny_stable_diffusion(tmp_path / "base")
    tensors(folder / "pytorch_lora_weights.safetensors", **{"text_encoder.a.lora_A.weight": (4, 8), "unet.b.lora_A.weight": (4, 8)})  # fmt: skip
    tensors(folder / "extra" / "learned.safetensors", emb_params=(2, 8))
    tensors(folder / "extra" / "ip.safetensors", **{"image_proj.proj.weight": (8, 8)})
    tensors(
        folder / "whole.safetensors",
        **{"cond_stage_model.transformer.text_model.x": (3, 5), "model.y": (2, 2)},
    )
    path = folder / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["added_tokens_decoder"] = {"700": {"content": "<cat-toy>", "special": False}}
    path.write_text(json.dumps(config))
    found = inspect(str(folder))
    lora, tokens = of(found, "LoRA of an encoder")[0], of(found, "learned tokens")
    assert (lora.name, lora.what) == (
        "pytorch_lora_weights.safetensors",
        "1 of 2 tensors change an encoder, 64 weights, F16",
    )
    assert [path.name for path in tokens] == [
        "tokenizer: 1 added",
        "extra/learned.safetensors",
        "load_textual_inversion",
    ]
    assert tokens[1].what == "textual inversion of 2 vector(s), 16 weights, F16"
    assert of(found, "image prompt")[0].name == "extra/ip.safetensors"
    assert "whole.safetensors: text_encoder" in [path.name for path in of(found, "text encoder")]
    assert len(found.uncovered) == 5
    path.write_text(json.dumps(config | {"added_tokens_decoder": {}}))
    model = StableDiffusion(str(folder))
    model.expand(Request(("cat",), ("tree",)))
    said = next(remark for remark in model.remarks if "does not change" in remark)
    assert said.startswith("This redaction does not change 4 of the paths by which a condition enters: ")
    assert "extra/ip.safetensors (image prompt)" in said
    assert f"redact inspect {folder}" in said


def test_single_files_are_told_by_their_tensors(tmp_path: Path) -> None:
    xl = tensors(
        tmp_path / "xl.safetensors",
        **{
            "conditioner.embedders.0.transformer.text_model.a": (2, 2),
            "conditioner.embedders.1.model.b": (2, 2),
        },
    )
    found = inspect(str(xl))
    assert found.family == "single-file checkpoint of Stable Diffusion XL"
    assert [path.name for path in found.paths] == [
        "xl.safetensors: text_encoder",
        "xl.safetensors: text_encoder_2",
    ]
    kohya = tensors(tmp_path / "k.safetensors", **{"lora_te1_text_model_x.lora_down.weight": (2, 2)})
    assert inspect(str(kohya)).paths[0].kind == "LoRA of an encoder"
    generator = tensors(tmp_path / "g.safetensors", **{"lora_unet_x.lora_down.weight": (2, 2)})
    assert inspect(str(generator)).paths[0].kind == "LoRA"
    other = tensors(
        tmp_path / "o.safetensors", **{"layer.a": (2, 2), "layer.b": (2, 2), "c.c": (1,), "d.d": (1,)}
    )
    with pytest.raises(RedactError, match="holds tensors of no kind that inspect knows"):
        inspect(str(other))


def test_a_redacted_folder_says_which_paths_were_changed(tmp_path: Path) -> None:
    folder = tiny_stable_diffusion_xl(tmp_path / "xl")
    changed = {"text_encoder/model.safetensors": {"before": "a", "after": "b"}}
    RedactionCard({}, {}, {}, changed, {}, {}, {}, "").write(folder)
    found = {path.name: path.redacted for path in inspect(str(folder)).paths}
    assert found["text_encoder"] is True
    assert found["text_encoder_2"] is False
    assert found["prompt_embeds, pooled_prompt_embeds"] is None


def test_the_families_say_what_diffusers_has() -> None:
    for name, family in FAMILIES.items():
        known = pipeline_class(name)
        assert known is not None, name
        read = {HIDDEN, family.mask, family.pooled} - {None}
        assert read <= set(family.returns), name
        if family.method == "encode_prompt":
            assert known.own_encoding, name
            assert read <= set(known.arguments), name
        else:
            assert hasattr(getattr(diffusers, name), family.method), name
    assert set(FAMILIES) < set(ADAPTERS)


def test_another_pipeline_has_no_adapter_and_its_encoders_are_uncovered(tmp_path: Path) -> None:
    index = {
        "_class_name": "UnCLIPPipeline",
        "prior": ["diffusers", "PriorTransformer"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    }
    found = inspect(str(write(tmp_path / "k", model_index__json=index)))
    assert found.adapter is None
    assert {path.kind for path in found.uncovered} == {"prior", "text encoder", "image prompt"}
    assert found.remarks[0].startswith("No adapter takes a UnCLIPPipeline")


def test_the_command_prints_a_table_and_errors_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["redact", "inspect", *arguments])
        status = cli.main()
        said = capsys.readouterr()
        return status, said.out, said.err

    status, out, _ = run("bundled")
    assert status == 0
    assert out.startswith("bundled: StableDiffusionPipeline; redact fit takes it as StableDiffusion.\n")
    assert "\nNot covered:\n" in out
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model_index.json").write_text("{")
    for given, wanted in (
        (str(tmp_path / "none"), "There is no folder or file"),
        (str(broken), "cannot be read as a JSON configuration"),
        (str(tmp_path), "is of no kind that inspect knows"),
    ):
        status, out, error = run(given)
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert wanted in error
