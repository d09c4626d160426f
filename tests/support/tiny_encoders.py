"""Tiny speaker encoders of transformers' classes, and one as an ONNX graph."""

from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

_GRAPH = """
<ir_version: 8, opset_import: ["": 17]>
campplus (float[b, frames, 80] feats) => (float[b, 12] embs)
{
  energy = Mul(feats, feats)
  spread = ReduceMean<axes = [1], keepdims = 0>(energy)
  embs = MatMul(spread, weight)
}
"""


def tiny_xvector(folder: Path, kind: type) -> Path:
    """An x-vector model of ``kind`` with its feature extractor, which normalises each clip."""
    torch.manual_seed(0)
    config = (WavLMConfig if kind is WavLMForXVector else Wav2Vec2Config)(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8), conv_kernel=(10, 8),
        conv_stride=(5, 64), num_feat_extract_layers=2, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        tdnn_dim=(16, 16), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=12, num_labels=3,
    )  # fmt: skip
    kind(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)
    return folder


def tiny_onnx_encoder(folder: Path) -> Path:
    """``campplus.onnx``: filter banks to a vector of 12."""
    import onnx

    folder.mkdir()
    model = onnx.parser.parse_model(_GRAPH)
    weight = np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "weight"))
    onnx.save(model, folder / "campplus.onnx")
    (folder / "cosyvoice.yaml").write_text("kept")
    (folder / "llm").mkdir()
    (folder / "llm" / "config.json").write_text("{}")
    return folder
