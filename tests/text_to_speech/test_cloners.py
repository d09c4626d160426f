"""Voice cloners with two encoders in parallel: both are read as the stock code computes them, and one request redacts both."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny_cloners as tiny
import torch
from safetensors.torch import load_file
from tiny_speech import harmonic_bank
from torch import Tensor

from modalities.inspecting import inspect
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.cloners.paths import ParallelPaths
from redact_core import Distillation, RedactError, RedactionCard, Request, redact
from redact_core.gates import Gating
from redact_core.support.folders import hashes

REQUEST = Request(("p0",), ("p5",))


class Family(NamedTuple):
    make: Callable[[Path], Path]
    says: Callable[[Path, Tensor], dict[str, Tensor]]
    files: dict[str, str]
    """Path -> the file with its weights."""


FAMILIES = {
    "XTTS": Family(
        tiny.tiny_xtts, tiny.xtts_says, {"gpt_cond_latent": "model.pth", "speaker_embedding": "model.pth"}
    ),
    "Chatterbox": Family(
        tiny.tiny_chatterbox,
        tiny.chatterbox_says,
        {"speaker_emb": "ve.safetensors", "embedding": "s3gen.safetensors"},
    ),
    "StyleTTS2": Family(
        tiny.tiny_styletts2,
        tiny.styletts2_says,
        {"ref_s": "epochs_2nd_00020.pth", "ref_p": "epochs_2nd_00020.pth"},
    ),
}
every = pytest.mark.parametrize("kind", FAMILIES)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harmonic_bank(tmp_path_factory.mktemp("bank"))


def opened(folder: Path, bank: Path) -> tuple[SpeakerEncoder, Tensor]:
    model = SpeakerEncoder(str(folder), bank, seconds=1.2, variants=2)
    return model, model.collate([str(path) for paths in model.bank.voices.values() for path in paths])[
        "waveform"
    ]


def embedded(model: SpeakerEncoder, waves: Tensor) -> dict[str, Tensor]:
    """Path -> ``(batch, dim)``."""
    assert isinstance(model.encoder, ParallelPaths)
    with torch.no_grad():
        return {path: part({"waveform": waves}).hidden[:, 0] for path, part in model.encoder.parts.items()}


@every
def test_each_path_is_what_the_stock_code_computes(kind: str, bank: Path, tmp_path: Path) -> None:
    family = FAMILIES[kind]
    base = family.make(tmp_path / "base")
    model, waves = opened(base, bank)
    ours, theirs = embedded(model, waves), family.says(base, waves)
    assert list(ours) == list(theirs) == list(family.files)
    for path, rows in ours.items():
        assert theirs[path].std(0).max() > 1e-3  # clips differ
        torch.testing.assert_close(rows, theirs[path], atol=2e-5, rtol=1e-3)
    assert model.origin.kind == kind
    whole = model.encode([str(next(iter(model.bank.voices.values()))[0])]).hidden
    assert whole.shape[-1] == sum(rows.shape[1] for rows in ours.values())


@every
def test_one_request_distils_both_paths_into_the_stock_files(kind: str, bank: Path, tmp_path: Path) -> None:
    family = FAMILIES[kind]
    base = family.make(tmp_path / "base")
    model, waves = opened(base, bank)
    before = embedded(model, waves)
    redact(model, REQUEST, objective=Distillation(), steps=4, lr=3e-3)
    after = embedded(model, waves)
    out = model.save_pretrained(tmp_path / "out")
    theirs = family.says(out, waves)
    for path, rows in after.items():
        assert not torch.allclose(rows, before[path], atol=1e-4), path
        torch.testing.assert_close(theirs[path], rows, atol=2e-5, rtol=1e-3)
    card = RedactionCard.read(out)
    left_out = {"ve.pt"} if kind == "Chatterbox" else set()  # a copy of the stock weights
    assert {name for name, change in card.changed.items() if change["after"]} == set(family.files.values())
    assert set(hashes(base)) - set(hashes(out)) == left_out
    covered = [path for path in inspect(str(out)).paths if path.covered_by == "SpeakerEncoder"]
    assert [path.redacted for path in covered] == [True, True]


@every
def test_gates_stand_behind_each_path(kind: str, bank: Path, tmp_path: Path) -> None:
    family = FAMILIES[kind]
    base = family.make(tmp_path / "base")
    model, waves = opened(base, bank)
    before = embedded(model, waves)
    redact(model, REQUEST)
    out = model.save_pretrained(tmp_path / "out")
    stock = family.says(out, waves)
    after = embedded(opened(out, bank)[0], waves)
    for path in family.files:
        assert torch.equal(after[path][3:], before[path][3:])
        assert (after[path][:3] != before[path][:3]).any(1).all()
        script = torch.jit.load(str(out / f"voice_gates.{path}.pt"))
        torch.testing.assert_close(script(stock[path][:, None])[:, 0], after[path], atol=1e-4, rtol=1e-3)
    own = hashes(out)
    assert all(own[name] == digest for name, digest in hashes(base).items())
    covered = [path for path in inspect(str(out)).paths if path.covered_by == "SpeakerEncoder"]
    assert [path.redacted for path in covered] == [True, True]
    redact(again := opened(out, bank)[0], Request(("p2",), ("p5",)))
    second = again.save_pretrained(tmp_path / "second")
    later = embedded(opened(second, bank)[0], waves)
    for path in family.files:
        assert torch.equal(later[path][:3], after[path][:3])
        assert (later[path][6:9] != after[path][6:9]).any(1).all()


@every
def test_one_path_alone_leaves_the_other_as_it_was(kind: str, bank: Path, tmp_path: Path) -> None:
    base = FAMILIES[kind].make(tmp_path / "base")
    model, waves = opened(base, bank)
    before = embedded(model, waves)
    lessons = model.expand(REQUEST)
    first, second = model.vectors()
    Gating().solve(first, lessons)
    after = embedded(model, waves)
    a, b = before
    assert (after[a][:3] != before[a][:3]).any(1).all()
    assert torch.equal(after[b], before[b])
    assert first.encoder is not second.encoder


def test_the_same_person_answers_by_all_paths(bank: Path, tmp_path: Path) -> None:
    model, _ = opened(tiny.tiny_chatterbox(tmp_path / "base"), bank)
    kept = {
        str(path): embedded(model, model.collate([str(path)])["waveform"])
        for voice, paths in model.bank.voices.items()
        for path in paths
        if voice != "p0"
    }
    redact(model, Request(("p0",), ("mean",)))
    whose: list[set[str]] = []
    for path, part in model.encoder.parts.items():
        (gate,) = part.gates
        near = {
            clip: torch.cosine_similarity(rows[path][0], gate.answer, dim=0).item()
            for clip, rows in kept.items()
        }
        whose.append({Path(clip).parent.name for clip in sorted(near, key=lambda clip: -near[clip])[:1]})
    assert whose[0] == whose[1]


def test_what_is_missing_or_of_another_version_is_one_line(bank: Path, tmp_path: Path) -> None:
    xtts = tiny.tiny_xtts(tmp_path / "xtts")
    values = torch.load(xtts / "model.pth", weights_only=True)
    older = {name: value for name, value in values["model"].items() if "perceiver" not in name}
    torch.save({"model": older}, xtts / "model.pth")
    with pytest.raises(
        RedactError, match=r"an XTTS of version 1, whose latents are as many as the clip has frames"
    ):
        opened(xtts, bank)
    torch.save({"model": {}, "config": Path("of a class")}, xtts / "model.pth")
    with pytest.raises(
        RedactError, match=r"holds more than tensors, as Coqui's own does with its configuration"
    ):
        opened(xtts, bank)
    (xtts / "model.pth").unlink()
    with pytest.raises(RedactError, match=r"model\.pth is missing; the folder is not complete"):
        opened(xtts, bank)
    style = tiny.tiny_styletts2(tmp_path / "style")
    (style / "epochs_1st_00010.pth").write_bytes(b"")
    with pytest.raises(RedactError, match=r"holds 2 checkpoints .* leave the one that is used"):
        opened(style, bank)
    box = tiny.tiny_chatterbox(tmp_path / "box")
    state = load_file(box / "s3gen.safetensors")
    del state["speaker_encoder.head.conv2.weight"]
    tiny.save_file(state, box / "s3gen.safetensors")
    with pytest.raises(RedactError, match=r"s3gen\.safetensors holds no speaker_encoder of Chatterbox"):
        opened(box, bank)


def test_a_checkpoint_of_the_trainer_and_one_gpu_are_read_too(bank: Path, tmp_path: Path) -> None:
    xtts = tiny.tiny_xtts(tmp_path / "xtts")
    plain, waves = opened(xtts, bank)
    values = torch.load(xtts / "model.pth", weights_only=True)
    torch.save(
        {"model": {f"xtts.{name}": value for name, value in values["model"].items()}}, xtts / "model.pth"
    )
    trained, _ = opened(xtts, bank)
    for path, rows in embedded(plain, waves).items():
        assert torch.equal(embedded(trained, waves)[path], rows)
    many, waves = opened(tiny.tiny_styletts2(tmp_path / "many"), bank)
    one, _ = opened(tiny.tiny_styletts2(tmp_path / "one", module=""), bank)
    for path, rows in embedded(many, waves).items():
        assert torch.equal(embedded(one, waves)[path], rows)


def test_a_clip_of_less_than_a_second_is_too_short_for_a_style(bank: Path, tmp_path: Path) -> None:
    model = SpeakerEncoder(str(tiny.tiny_styletts2(tmp_path / "style")), bank, seconds=0.6)
    with pytest.raises(
        RedactError, match=r"clips of at least a second; give --model\.adapter\.seconds 1 or more"
    ):
        model.encode(["p0"])
