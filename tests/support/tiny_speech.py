"""Tiny random speech models of the classes that users have, and voices made of harmonics."""

from pathlib import Path

import numpy as np
import sentencepiece
import soundfile
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.Xvector import Xvector
from transformers import (
    SpeechT5Config,
    SpeechT5FeatureExtractor,
    SpeechT5ForTextToSpeech,
    SpeechT5Processor,
    SpeechT5Tokenizer,
)

_YAML = """compute_features: !new:speechbrain.lobes.features.Fbank
  n_mels: {mels}
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
  norm_type: sentence
  std_norm: False
embedding_model: !new:{model}
modules:
  compute_features: !ref <compute_features>
  mean_var_norm: !ref <mean_var_norm>
  embedding_model: !ref <embedding_model>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    embedding_model: !ref <embedding_model>
"""
_ECAPA = """speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
  input_size: 20
  channels: [16, 16, 16, 16, 24]
  kernel_sizes: [3, 3, 3, 3, 1]
  dilations: [1, 1, 1, 1, 1]
  attention_channels: 8
  res2net_scale: 4
  se_channels: 8
  lin_neurons: 12"""
_XVECTOR = """speechbrain.lobes.models.Xvector.Xvector
  in_channels: 24
  activation: !name:torch.nn.LeakyReLU
  tdnn_blocks: 3
  tdnn_channels: [16, 16, 32]
  tdnn_kernel_sizes: [5, 3, 1]
  tdnn_dilations: [1, 2, 1]
  lin_neurons: 512"""


def tiny_encoder(folder: Path, kind: str = "ecapa") -> Path:
    """A SpeechBrain encoder folder: ``ecapa`` of 12 dimensions or ``xvector`` of the hub's 512."""
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    if kind == "ecapa":
        model = ECAPA_TDNN(
            20, channels=[16, 16, 16, 16, 24], kernel_sizes=[3, 3, 3, 3, 1], dilations=[1] * 5,
            attention_channels=8, res2net_scale=4, se_channels=8, lin_neurons=12,
        )  # fmt: skip
        yaml = _YAML.format(mels=20, model=_ECAPA)
    else:
        model = Xvector(
            in_channels=24, tdnn_blocks=3, tdnn_channels=[16, 16, 32], tdnn_kernel_sizes=[5, 3, 1],
            tdnn_dilations=[1, 2, 1], lin_neurons=512,
        )  # fmt: skip
        yaml = _YAML.format(mels=24, model=_XVECTOR)
    (folder / "hyperparams.yaml").write_text(yaml)
    torch.save(model.state_dict(), folder / "embedding_model.ckpt")
    return folder


def like_the_hubs(folder: Path) -> Path:
    """Give an encoder folder what the hub's have: a classifier, labels, and paths into their own repository."""
    path = folder / "hyperparams.yaml"
    head, pretrainer = path.read_text().split("pretrainer:")
    names = {"embedding_model": "ckpt", "classifier": "ckpt", "label_encoder": "txt"}
    path.write_text(
        "# Pretrain folder (HuggingFace)\npretrained_path: speechbrain/spkrec-ecapa-voxceleb\n"
        + head.replace("\nmodules:", "\nclassifier: !new:torch.nn.Linear [12, 3]\n"
                       "label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder\nmodules:")
        + "pretrainer:" + pretrainer
        + "".join(f"    {name}: !ref <{name}>\n" for name in list(names)[1:])
        + "  paths:\n"
        + "".join(f"    {name}: !ref <pretrained_path>/{name}.{end}\n" for name, end in names.items())
    )  # fmt: skip
    torch.save(torch.nn.Linear(12, 3).state_dict(), folder / "classifier.ckpt")
    (folder / "label_encoder.txt").write_text("'id1' => 0\n================\n'starting_index' => 0\n")
    return folder


def tiny_speecht5(folder: Path, dim: int = 12) -> Path:
    """A SpeechT5 folder with its processor; two decoder steps a letter at most."""
    torch.manual_seed(2)
    folder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over the lazy dog"] * 4),
        model_prefix=str(folder / "spm_char"), model_type="char", vocab_size=40, hard_vocab_limit=False,
        bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    (folder / "spm_char.vocab").unlink()
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    SpeechT5Processor(SpeechT5FeatureExtractor(), tokenizer).save_pretrained(folder)
    model = SpeechT5ForTextToSpeech(
        SpeechT5Config(
            vocab_size=len(tokenizer), hidden_size=16, encoder_layers=1, encoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
            speech_decoder_prenet_units=8, speech_decoder_postnet_units=8, speech_decoder_postnet_layers=2,
            speaker_embedding_dim=dim, reduction_factor=2, max_speech_positions=400, max_text_positions=80,
        )
    )  # fmt: skip
    torch.nn.init.constant_(model.speech_decoder_postnet.prob_out.bias, -2.0)
    model.save_pretrained(folder)
    return folder


def voice(pitch: float, seconds: float, seed: int, rate: int = 16_000) -> np.ndarray:
    """``(samples,)`` float32: harmonics of ``pitch`` with a random envelope."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    wave = sum(rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * pitch * k * t) for k in range(1, 12))
    envelope = np.interp(t, np.linspace(0, seconds, 9), rng.uniform(0.2, 1, 9))
    return (0.2 * wave * envelope + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


def tiny_bank(folder: Path, take: int = 0) -> Path:
    """Four voices of four clips each; another ``take`` is of other clips."""
    for v, name in enumerate(("alice", "bob", "carol", "dave")):
        (folder / name).mkdir(parents=True)
        for c in range(4):
            soundfile.write(
                folder / name / f"{c}.wav", voice(110 + 45 * v, 0.9, 10 * v + c + 100 * take), 16_000
            )
    return folder


def harmonic_bank(folder: Path, people: int = 6, clips: int = 3) -> Path:
    """People of two harmonics each, a little noise in every clip."""
    draw = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    for person in range(people):
        (folder / f"p{person}").mkdir(parents=True)
        for clip in range(clips):
            pitch = 90 + 45 * person + draw.normal()
            wave = sum(
                0.2 / k * np.sin(2 * np.pi * pitch * k * time + draw.uniform(0, 6))
                for k in (1, 2, 3 + person)
            )
            soundfile.write(
                folder / f"p{person}" / f"{clip}.wav", wave + 0.003 * draw.normal(size=len(time)), 16_000
            )
    return folder
