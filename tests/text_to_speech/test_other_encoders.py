"""Speaker encoders of transformers and of ONNX: read as their libraries read them, and written back with gates."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_encoders import tiny_onnx_encoder, tiny_xvector
from tiny_speech import harmonic_bank
from transformers import AutoFeatureExtractor, Wav2Vec2ForXVector, WavLMForXVector

from modalities.inspecting import inspect
from modalities.text_to_speech import SpeakerEncoder
from modalities.text_to_speech.encoders.gate_files import bare_and_gates
from modalities.text_to_speech.encoders.onnx_encoder import banks
from modalities.text_to_speech.encoders.onnx_gates import with_gates, without_gates
from redact_core import RedactError, RedactionCard, Request, redact
from redact_core.gates import fit_gate
from redact_core.support.folders import hashes

REQUEST = Request(("p0", "p1"), ("p5",))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harmonic_bank(tmp_path_factory.mktemp("bank"))


def clips(model: SpeakerEncoder) -> dict[str, torch.Tensor]:
    return model.collate([str(path) for paths in model.bank.voices.values() for path in paths])


def embedded(model: SpeakerEncoder) -> torch.Tensor:
    with torch.no_grad():
        return model.encoder(clips(model)).hidden[:, 0]


def opened(folder: Path, bank: Path) -> SpeakerEncoder:
    return SpeakerEncoder(str(folder), bank, seconds=1.0, variants=2)


@pytest.mark.parametrize("kind", [WavLMForXVector, Wav2Vec2ForXVector], ids=lambda kind: kind.__name__)
def test_an_x_vector_model_is_read_as_transformers_reads_it(kind: type, bank: Path, tmp_path: Path) -> None:
    base = tiny_xvector(tmp_path / "base", kind)
    model = opened(base, bank)
    stock = kind.from_pretrained(base).eval()
    features = AutoFeatureExtractor.from_pretrained(base)
    waves = clips(model)["waveform"]
    given = features([wave.numpy() for wave in waves], sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        theirs = stock(given["input_values"]).embeddings
    torch.testing.assert_close(embedded(model), theirs, atol=1e-5, rtol=1e-4)


def test_gates_behind_an_x_vector_model(bank: Path, tmp_path: Path) -> None:
    base = tiny_xvector(tmp_path / "base", WavLMForXVector)
    model = opened(base, bank)
    before = embedded(model)
    redact(model, REQUEST)
    out = model.save_pretrained(tmp_path / "out")
    after = embedded(opened(out, bank))
    assert torch.equal(after[6:], before[6:])
    assert (after[:6] != before[:6]).any(1).all()
    assert hashes(out)["model.safetensors"] == hashes(base)["model.safetensors"]
    found = inspect(str(out))
    assert (found.family, found.adapter) == ("WavLMForXVector", "SpeakerEncoder")
    card = RedactionCard.read(out)
    assert card.base["kind"] == "x-vector model of transformers"
    assert card.verify(out) == []
    WavLMForXVector.from_pretrained(out)  # the stock class; its embeddings go through TorchScript
    script = torch.jit.load(str(out / "voice_gates.pt"))
    torch.testing.assert_close(script(before[:, None])[:, 0], after)
    redact(again := opened(out, bank), Request(("p2",), ("p5",)))
    assert len(bare_and_gates(again.encoder)[1]) == 3


def test_a_pickled_or_incomplete_x_vector_model_is_refused(bank: Path, tmp_path: Path) -> None:
    base = tiny_xvector(tmp_path / "base", WavLMForXVector)
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(
        RedactError, match=r"holds no model\.safetensors; other kinds of weights are not read"
    ):
        opened(base, bank)


RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession("campplus.onnx", providers=["CPUExecutionProvider"])
assert [one.name for one in session.get_inputs()] == ["feats"] and [one.name for one in session.get_outputs()] == ["embs"]
rows = numpy.load(sys.argv[1])
numpy.save(sys.argv[2], numpy.concatenate([session.run(None, {"feats": row[None]})[0] for row in rows]))
assert not any(name.startswith(("redact", "modalities")) for name in sys.modules)
"""


def test_gates_lie_inside_the_graph_and_onnx_runtime_alone_runs_them(bank: Path, tmp_path: Path) -> None:
    base = tiny_onnx_encoder(tmp_path / "base")
    model = opened(base, bank)
    before = embedded(model)
    redact(model, REQUEST)
    ours = embedded(model)
    out = model.save_pretrained(tmp_path / "out")
    assert torch.equal(ours[6:], before[6:])
    assert (ours[:6] != before[:6]).any(1).all()
    np.save(tmp_path / "rows.npy", torch.stack([banks(wave) for wave in clips(model)["waveform"]]).numpy())
    done = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path / "rows.npy", tmp_path / "found.npy"], cwd=out, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))
    torch.testing.assert_close(found[:6], ours[:6])
    assert torch.equal(found[6:], before[6:])  # of those who stay, every bit
    onnx.checker.check_model(onnx.load(out / "campplus.onnx"))
    card = RedactionCard.read(out)
    assert set(card.changed) == {"campplus.onnx", "voice_gates.safetensors"}
    assert (out / "cosyvoice.yaml").read_text() == "kept"
    assert (out / "llm" / "config.json").is_file()
    found = inspect(str(out))
    assert [(path.name, path.covered_by, path.redacted) for path in found.paths[:2]] == [
        ("campplus.onnx", "SpeakerEncoder", True), ("prompt tokens and spectrogram", None, False)
    ]  # fmt: skip
    again = opened(out, bank)
    assert torch.equal(embedded(again), ours)
    redact(again, Request(("p2",), ("p5",)))
    second = again.save_pretrained(tmp_path / "second")
    three = embedded(opened(second, bank))
    assert torch.equal(three[:6], ours[:6])
    assert torch.equal(three[9:], ours[9:])
    assert (three[6:9] != ours[6:9]).any(1).all()


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_a_gate_in_a_graph_is_the_gate(opset: int) -> None:
    generator = torch.Generator().manual_seed(0)
    people = [
        torch.randn(1, 1, 16, generator=generator) + 0.1 * torch.randn(3, 2, 16, generator=generator)
        for _ in range(8)
    ]
    gates = [fit_gate(people[k], [p[:, 0] for p in people[2:]]).gate for k in (0, 1)]
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g (float[n, 16] x) => (float[n, 16] y) {{ y = Identity(x) }}'
    )
    gated = with_gates(model, gates)
    onnx.checker.check_model(gated)
    session = onnxruntime.InferenceSession(gated.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = torch.cat([p.flatten(0, 1) for p in people])
    path = torch.linspace(0, 1, 50)[:, None] * rows[0] + torch.linspace(1, 0, 50)[:, None] * rows[-1]
    rows = torch.cat([rows, path, torch.randn(200, 16, generator=generator)])
    with torch.no_grad():
        expected = gates[1](gates[0](rows[:, None]))[:, 0]
    found = torch.from_numpy(session.run(None, {"x": rows.numpy()})[0])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    same = (expected == rows).all(1)
    assert 20 < same.sum() < len(rows)
    assert torch.equal(found[same], rows[same])
    assert without_gates(gated) == model


def test_graphs_of_another_kind_are_one_clear_line(bank: Path, tmp_path: Path) -> None:
    old = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 11]> g (float[n, 4] x) => (float[n, 4] y) { y = Identity(x) }'
    )
    with pytest.raises(
        RedactError, match="uses the operators of opset 11, gates need 13 or later; convert it"
    ):
        with_gates(old, [])
    two = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[n] x, float[n] z) => (float[n] y) { y = Add(x, z) }'
    )
    for name in ("two.onnx", "other.onnx"):
        onnx.save(two, tmp_path / name)
    with pytest.raises(
        RedactError, match=r"holds 2 ONNX files and none is called campplus\.onnx; give a folder"
    ):
        opened(tmp_path, bank)
    (tmp_path / "other.onnx").unlink()
    with pytest.raises(
        RedactError, match="has 2 inputs, the first of 1 dimensions; wanted is one of samples"
    ):
        opened(tmp_path, bank)
    (tmp_path / "two.onnx").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(
        RedactError, match="an x-vector model of transformers nor an ONNX file; give the folder"
    ):
        opened(tmp_path, bank)


def test_a_graph_that_reads_samples(bank: Path, tmp_path: Path) -> None:
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[b, n] wave) => (float[b, 1] y) '
        "{ y = ReduceMean<axes = [1], keepdims = 1>(wave) }"
    )
    onnx.save(graph, tmp_path / "encoder.onnx")
    model = opened(tmp_path, bank)
    torch.testing.assert_close(embedded(model)[:, 0], clips(model)["waveform"].mean(1), atol=1e-6, rtol=1e-4)
