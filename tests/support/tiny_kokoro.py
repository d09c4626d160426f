"""Tiny voice packs in Kokoro's formats, and a tiny ONNX model with its inputs and output that speaks with them."""

import io
import json
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch

VOICES = ("af_anna", "af_bea", "am_carl", "jm_dan")
ROWS, STYLE = 6, 256
_MODEL = """
<ir_version: 8, opset_import: ["": 17]>
kokoro (int64[1, n] tokens, float[1, 256] style, float[1] speed) => (float[m] audio)
<float[1] zero = {0.0}, int64[1] flat = {-1}, int64[1] sound = {400}, int64[2] starts = {0, 0}>
{
  heights = Cast<to = 1>(tokens)
  timbre = ReduceMean<axes = [1], keepdims = 1>(style)
  pitched = Mul(heights, timbre)
  wave = Sin(pitched)
  slow = Div(wave, speed)
  line = Reshape(slow, flat)
  audio = Tile(line, sound)
}
"""


def packs() -> dict[str, np.ndarray]:
    """Voice -> ``(6, 1, 256)``; one in half precision."""
    draw = np.random.default_rng(0)
    found = {
        name: (k + 1 + draw.normal(size=(ROWS, 1, STYLE))).astype(np.float32) for k, name in enumerate(VOICES)
    }
    found["am_carl"] = found["am_carl"].astype(np.float16)
    return found


def npz(path: Path, voices: dict[str, np.ndarray], *, packed: bool = False) -> Path:
    """An archive as ``np.savez`` writes it, maybe compressed."""
    with ZipFile(path, "w", ZIP_DEFLATED if packed else 0) as archive:
        for name, values in voices.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, values)
            archive.writestr(f"{name}.npy", stream.getvalue())
    return path


def tiny_kokoro(folder: Path, kind: str = "npz") -> Path:
    """A new ``folder`` with a model, its phonemes and packs of one ``kind``: ``npz``, ``onnx`` (kokoro-onnx), ``pt``, ``bin``."""
    import onnx

    folder.mkdir()
    onnx.save(onnx.parser.parse_model(_MODEL), folder / "kokoro.onnx")
    (folder / "vocab.json").write_text(json.dumps({"vocab": {"a": 1, "o": 2, "k": 3, " ": 4}}))
    (folder / "LICENSE").write_text("kept")
    if kind in ("npz", "onnx"):
        npz(
            folder / ("voices_ja.npz" if kind == "npz" else "voices-v1.0.bin"), packs(), packed=kind == "onnx"
        )
        return folder
    (folder / "voices").mkdir()
    for name, values in packs().items():
        path = folder / "voices" / f"{name}.{kind}"
        if kind == "pt":
            torch.save(torch.from_numpy(values), path)
        else:
            path.write_bytes(values.astype("<f4").tobytes())
    return folder
