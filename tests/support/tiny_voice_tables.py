"""Tiny folders of models that store voices as values, of the classes and formats that the real ones have."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import (
    FastSpeech2ConformerConfig,
    FastSpeech2ConformerHifiGanConfig,
    FastSpeech2ConformerModel,
    FastSpeech2ConformerWithHifiGan,
    FastSpeech2ConformerWithHifiGanConfig,
    SeamlessM4TConfig,
    SeamlessM4TForTextToSpeech,
)

NAMES = {"ann": 0, "bob": 1, "cid": 2, "dee": 3}
PIPER = "en_tiny.onnx"
_PIPER = """
<ir_version: 8, opset_import: ["": 17]>
piper (int64[1, n] input, int64[1] sid) => (float[1, m] output)
{
  letters = Cast<to = 1>(input)
  g = Gather<axis = 0>(table, sid)
  timbre = ReduceMean<axes = [1], keepdims = 1>(g)
  output = Mul(letters, timbre)
}
"""


def fastspeech(folder: Path) -> Path:
    """A ``FastSpeech2ConformerModel`` of four voices in half precision."""
    torch.manual_seed(0)
    FastSpeech2ConformerModel(_fastspeech_config()).half().save_pretrained(folder)
    return _named(folder)


def fastspeech_hifigan(folder: Path) -> Path:
    """The same with its vocoder, in single precision."""
    torch.manual_seed(0)
    vocoder = FastSpeech2ConformerHifiGanConfig(
        model_in_dim=4, upsample_initial_channel=8, upsample_rates=[2], upsample_kernel_sizes=[4],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
    )  # fmt: skip
    config = FastSpeech2ConformerWithHifiGanConfig(
        model_config=_fastspeech_config().to_dict(), vocoder_config=vocoder.to_dict()
    )
    FastSpeech2ConformerWithHifiGan(config).save_pretrained(folder)
    return _named(folder)


def seamless(folder: Path) -> Path:
    """A ``SeamlessM4TForTextToSpeech`` whose vocoder has four voices."""
    torch.manual_seed(0)
    config = SeamlessM4TConfig(
        vocab_size=20, t2u_vocab_size=20, hidden_size=8, encoder_layers=1, encoder_ffn_dim=8, encoder_attention_heads=2,
        decoder_layers=1, decoder_ffn_dim=8, decoder_attention_heads=2, speech_encoder_layers=1,
        speech_encoder_attention_heads=2, speech_encoder_intermediate_size=8, adaptor_kernel_size=2,
        t2u_encoder_layers=1, t2u_encoder_ffn_dim=8, t2u_encoder_attention_heads=2, t2u_decoder_layers=1,
        t2u_decoder_ffn_dim=8, t2u_decoder_attention_heads=2, unit_hifi_gan_vocab_size=12, unit_embed_dim=8,
        lang_embed_dim=4, spkr_embed_dim=4, vocoder_num_langs=2, vocoder_num_spkrs=4, upsample_initial_channel=16,
        upsample_rates=[2, 2], upsample_kernel_sizes=[4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
        variance_predictor_kernel_size=3,
    )  # fmt: skip
    SeamlessM4TForTextToSpeech(config).save_pretrained(folder)
    return _named(folder)


def piper(folder: Path) -> Path:
    """A Piper voice of four speakers: a graph with ``emb_g.weight``, and the JSON file beside it."""
    import onnx

    folder.mkdir()
    model = onnx.parser.parse_model(_PIPER)
    model.graph.node[1].input[0] = "emb_g.weight"  # the parser takes no dots
    draw = np.random.default_rng(0)
    for name, shape in (("emb_g.weight", (4, 6)), ("dec.weight", (3, 5))):
        values = draw.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, folder / PIPER)
    settings = {"num_speakers": 4, "speaker_id_map": NAMES, "audio": {"sample_rate": 22050}}
    (folder / f"{PIPER}.json").write_text(json.dumps(settings))
    return folder


def bark_archives(folder: Path) -> Path:
    """Presets as Suno ships them: ``assets/prompts/v2/NAME.npz``, codes of several lengths."""
    place = folder / "assets" / "prompts" / "v2"
    place.mkdir(parents=True)
    for name, parts in _codes().items():
        np.savez(place / f"{name}.npz", **parts)
    return folder


def bark_arrays(folder: Path) -> Path:
    """Presets as ``BarkProcessor.save_pretrained`` writes them."""
    place = folder / "speaker_embeddings"
    place.mkdir(parents=True)
    stated: dict[str, object] = {"repo_or_path": "somewhere"}
    for name, parts in _codes().items():
        for part, codes in parts.items():
            np.save(place / f"{name}_{part}.npy", codes)
        stated[name] = {part: f"speaker_embeddings/{name}_{part}.npy" for part in parts}
    (folder / "speaker_embeddings_path.json").write_text(json.dumps(stated))
    (folder / "config.json").write_text(json.dumps({"model_type": "bark"}))
    return folder


def xtts(folder: Path) -> Path:
    """``speakers_xtts.pth`` beside a configuration and weights."""
    folder.mkdir()
    torch.manual_seed(0)
    both = torch.randn(4, 1, 8, 6)  # the file holds views, as some do
    voices = {
        name: {"gpt_cond_latent": both[row], "speaker_embedding": torch.randn(1, 5, 1)}
        for name, row in NAMES.items()
    }
    torch.save(voices, folder / "speakers_xtts.pth")
    (folder / "config.json").write_text(json.dumps({"model": "xtts"}))
    (folder / "model.pth").write_bytes(b"the generator")
    return folder


def cosyvoice(folder: Path) -> Path:
    """``spk2info.pt`` beside the graph of the speaker encoder."""
    folder.mkdir()
    torch.manual_seed(0)
    torch.save({name: {"embedding": torch.randn(1, 6)} for name in NAMES}, folder / "spk2info.pt")
    (folder / "campplus.onnx").write_bytes(b"the encoder")
    return folder


def qwen(folder: Path) -> Path:
    """``spk_dict.pt`` of Qwen2.5-Omni: vectors, a spectrogram of any length, and the number of a token."""
    folder.mkdir()
    torch.manual_seed(0)
    voices = {
        name: {"bos_token": 151_660 + row, "cond": torch.randn(1, 6), "ref_mel": torch.randn(1, 4 + row, 3)}
        for name, row in NAMES.items()
    }
    torch.save(voices, folder / "spk_dict.pt")
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni"}))
    return folder


def _codes() -> dict[str, dict[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    return {
        name: {
            "semantic_prompt": draw.integers(0, 10_000, 7 + row),
            "coarse_prompt": draw.integers(0, 1024, (2, 9 + row)),
            "fine_prompt": draw.integers(0, 1024, (8, 9 + row)),
        }
        for name, row in NAMES.items()
    }


def _fastspeech_config() -> FastSpeech2ConformerConfig:
    return FastSpeech2ConformerConfig(
        hidden_size=8, vocab_size=20, num_mel_bins=4, encoder_num_attention_heads=2, encoder_layers=1,
        encoder_linear_units=8, decoder_layers=1, decoder_num_attention_heads=2, decoder_linear_units=8,
        speech_decoder_postnet_layers=2, speech_decoder_postnet_units=8, positionwise_conv_kernel_size=3,
        num_speakers=4, duration_predictor_channels=8, energy_predictor_channels=8, pitch_predictor_channels=8,
        pitch_predictor_layers=1, pitch_embed_kernel_size=1,
    )  # fmt: skip


def _named(folder: Path) -> Path:
    (folder / "speaker_ids.json").write_text(json.dumps(NAMES))
    return folder
