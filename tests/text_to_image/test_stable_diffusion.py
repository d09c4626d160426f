"""The adapter on tiny folders of the real classes: what the pipeline hears, and what is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from tiny import tiny_stable_diffusion
from transformers import CLIPTextModel

from modalities.text_to_image import StableDiffusion
from redact_core import Lesson, RedactError, Request, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.folders import hashes


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=2)


def copy(tiny_sd: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sd, tmp_path / "copy"))


def test_contract(model: StableDiffusion) -> None:
    check_adapter(model, ["cat", "a red dog", "dog"])


def test_hears_what_the_pipeline_hears(tiny_sd: Path, model: StableDiffusion) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None, dtype=torch.float32)
    expected, _ = pipeline.encode_prompt(["a red cat"], "cpu", 1, False)
    torch.testing.assert_close(model.encoder(model.collate(["a red cat"])).hidden, expected)


def test_draws_what_the_pipeline_draws(tiny_sd: Path, model: StableDiffusion) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        "a red cat", num_inference_steps=2, generator=torch.Generator().manual_seed(3), output_type="pt"
    ).images
    torch.testing.assert_close(model.generate(["a red cat"], seeds=[3])[0], expected[0], atol=1e-4, rtol=0)


def test_a_sample_depends_on_its_own_seed_only(model: StableDiffusion) -> None:
    alone = model.generate(["dog"], seeds=[5])[0]
    model.batch_size = 2
    among = model.generate(["cat", "dog", "red"], seeds=[1, 5, 9])[1]
    torch.testing.assert_close(alone, among, atol=1e-4, rtol=0)


def test_all_positions_are_read_and_the_mask_only_where_the_config_asks(
    tiny_sd: Path, model: StableDiffusion, tmp_path: Path
) -> None:
    said = model.encoder(model.collate(["cat"]))
    assert said.mask.all()
    assert said.hidden.shape[1] == 77
    folder = copy(tiny_sd, tmp_path)
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_attention_mask": True}))
    masked = StableDiffusion(str(folder)).encoder(model.collate(["cat"])).hidden
    assert not torch.allclose(masked[:, -1], said.hidden[:, -1])


def test_a_prompt_beyond_the_context_is_refused_or_cut(model: StableDiffusion) -> None:
    with pytest.raises(
        RedactError, match=r'"x x x .*" has 92 tokens, the encoder reads 77 \(and 1 more\); shorten it'
    ):
        model.collate(["x " * 90, "cat", "y " * 90])
    model.truncate = True
    assert model.collate(["x " * 90])["input_ids"].shape == (1, 77)


def test_saved_folder_changes_the_encoder_only(tiny_sd: Path, model: StableDiffusion, tmp_path: Path) -> None:
    redact(model, [Lesson.redact("cat", "dog"), Lesson.retain("red")], steps=5, lr=1e-2)
    out = tmp_path / "out"
    out.mkdir()
    model.save(out)
    before, after = hashes(tiny_sd), hashes(out)
    assert set(before) == set(after)
    assert [name for name in before if before[name] != after[name]] == ["text_encoder/model.safetensors"]
    weights = "text_encoder/model.safetensors"
    with safe_open(tiny_sd / weights, "pt") as a, safe_open(out / weights, "pt") as b:
        assert list(a.keys()) == list(b.keys())
        assert a.metadata() == b.metadata()
        assert all(a.get_tensor(k).dtype == b.get_tensor(k).dtype for k in a.keys())  # noqa: SIM118
        assert "text_model.embeddings.position_ids" in a.keys()  # noqa: SIM118


def test_an_untrained_model_is_saved_bit_by_bit(
    tiny_sd: Path, model: StableDiffusion, tmp_path: Path
) -> None:
    model.save(tmp_path)
    assert hashes(tmp_path) == hashes(tiny_sd)


LOADS_ALONE = """
import sys, torch
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"redact_core", "modalities", "lightning_modules"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from diffusers import StableDiffusionPipeline
p = StableDiffusionPipeline.from_pretrained(sys.argv[1], safety_checker=None, dtype=torch.float32)
p.set_progress_bar_config(disable=True)
for prompt in ("cat", "dog", "red"):
    x = p(prompt, num_inference_steps=2, generator=torch.Generator().manual_seed(3), output_type="pt").images
    print(" ".join(f"{v:.5f}" for v in x.flatten()[:40].tolist()))
"""


def test_artefact_loads_without_us_and_draws_the_same(tmp_path: Path) -> None:
    base = tiny_stable_diffusion(tmp_path / "base", legacy_keys=False)
    model = StableDiffusion(str(base), steps=2)
    redact(model, [Lesson.redact("cat", "dog"), Lesson.retain("red"), Lesson.retain("")], steps=150, lr=1e-2)
    out = tmp_path / "out"
    out.mkdir()
    model.save(out)
    done = subprocess.run(
        [sys.executable, "-c", LOADS_ALONE, str(out)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cat, dog, _ = (torch.tensor([float(v) for v in line.split()]) for line in done.stdout.splitlines()[-3:])
    ours = model.generate(["cat", "dog"], seeds=[3, 3])
    torch.testing.assert_close(ours[0].flatten()[:40], cat, atol=1e-3, rtol=0)
    torch.testing.assert_close(ours[1].flatten()[:40], dog, atol=1e-3, rtol=0)
    torch.testing.assert_close(cat, dog, atol=0.02, rtol=0)


def test_stock_weights_in_other_formats_are_left_out(tiny_sd: Path, tmp_path: Path) -> None:
    folder = copy(tiny_sd, tmp_path)
    for name in (
        "text_encoder/pytorch_model.bin",
        "text_encoder/flax_model.msgpack",
        "v1-5-pruned.ckpt",
        "extra/notes.txt",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"stock")
    (tmp_path / "out").mkdir()
    StableDiffusion(str(folder)).save(tmp_path / "out")
    assert set(hashes(tmp_path / "out")) == set(hashes(tiny_sd))


def test_only_the_last_blocks_move_if_asked(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd), train_blocks=1)
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    redact(model, [Lesson.redact("cat", "dog"), Lesson.retain("red")], steps=3, lr=1e-2)
    moved = {key for key, value in model.encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert all("layers.1." in key or "final_layer_norm" in key for key in moved)
    with pytest.raises(RedactError, match="train_blocks is 3, the text encoder has 2 blocks; give 1 to 2"):
        StableDiffusion(str(tiny_sd), train_blocks=3)


def test_expansion_fits_the_context(model: StableDiffusion) -> None:
    lessons = model.expand(Request(("cat",), ("dog",)))
    model.collate([lesson.asked for lesson in lessons])
    assert sum(lesson.redacted for lesson in lessons) > 50


def test_a_precision_variant_is_read_and_written_under_its_name(tiny_sd: Path, tmp_path: Path) -> None:
    folder = copy(tiny_sd, tmp_path)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    with pytest.raises(RedactError, match='only as the variant "fp16"; set variant to fp16'):
        StableDiffusion(str(folder))
    model = StableDiffusion(str(folder), variant="fp16", steps=2)
    assert model.generate(["cat"], seeds=[0])[0].shape == (3, 16, 16)
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(folder)


def _pickle_only(folder: Path) -> None:
    path = folder / "text_encoder"
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def _other_class(folder: Path) -> None:
    path = folder / "model_index.json"
    path.write_text(path.read_text().replace("StableDiffusionPipeline", "StableDiffusionXLPipeline"))


def _other_encoder(folder: Path) -> None:
    path = folder / "model_index.json"
    path.write_text(path.read_text().replace("CLIPTextModel", "T5EncoderModel"))


def _cut_weights(folder: Path) -> None:
    path = folder / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_pickle_only, "pytorch_model.bin is a pickled weight file.*convert it to safetensors"),
        (_other_class, "holds a StableDiffusionXLPipeline; this adapter takes StableDiffusionPipeline"),
        (_other_encoder, "text_encoder is a T5EncoderModel; this adapter needs a CLIPTextModel"),
        (_cut_weights, "is no readable safetensors file"),
        (lambda f: (f / "model_index.json").unlink(), "no diffusers folder"),
        (lambda f: (f / "model_index.json").write_text("{"), "no diffusers folder"),
        (lambda f: (f / "text_encoder" / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda f: shutil.rmtree(f / "text_encoder"), "text_encoder is missing"),
        (lambda f: shutil.rmtree(f / "tokenizer"), "tokenizer is missing"),
    ],
)
def test_wrong_folders_are_one_clear_line(tiny_sd: Path, tmp_path: Path, damage, message: str) -> None:
    folder = copy(tiny_sd, tmp_path)
    damage(folder)
    with pytest.raises(RedactError, match=message):
        StableDiffusion(str(folder))


def test_wrong_sources_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RedactError, match=r"There is no folder .*nowhere; give a diffusers folder, a hub id"):
        StableDiffusion(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RedactError, match="is a file; give the folder"):
        StableDiffusion(str(tmp_path / "file"))
    with pytest.raises(RedactError, match="could it be fetched from the hub"):
        StableDiffusion("nobody/no-such-model-anywhere")


def test_saved_encoder_loads_with_transformers_alone(
    tiny_sd: Path, model: StableDiffusion, tmp_path: Path
) -> None:
    model.save(tmp_path)
    text = CLIPTextModel.from_pretrained(tmp_path / "text_encoder", dtype=torch.float32)
    for key, value in text.state_dict().items():
        assert torch.equal(value, model.encoder.model.state_dict()[key])


def test_a_reopened_model_is_trained_at_the_rate_of_its_base(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    model.learning_rate, model.soft_tokens = 3e-3, 2
    model.save(tmp_path)
    again = model.reopen(tmp_path)
    # an attack that trains the redacted model anew would otherwise crawl where its base needs more
    assert (again.learning_rate, again.soft_tokens) == (3e-3, 2)


@pytest.mark.parametrize("name", ["implicit_synonyms", "per_name", "random_wordings", "misspellings"])
def test_a_number_of_rows_is_kept_by_a_reopened_model_and_not_negative(tiny_sd: Path, name: str) -> None:
    model = StableDiffusion(str(tiny_sd), **{name: 7})
    assert getattr(model.reopen(tiny_sd), name) == 7
    with pytest.raises(RedactError, match=f"{name} is -1; give at least 0"):
        StableDiffusion(str(tiny_sd), **{name: -1})
