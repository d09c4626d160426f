"""A tiny random multi-speaker VITS, written to disk without a download."""

import json
from pathlib import Path

import torch
from transformers import VitsConfig, VitsModel, VitsTokenizer

NAMES = {"alice": 0, "bob": 1, "carol": 2, "dave": 3, "erin": 4}


def tiny_vits(folder: Path) -> Path:
    """A ``VitsModel`` of five voices in half precision, in the new ``folder``."""
    folder.mkdir()
    torch.manual_seed(0)
    letters = {letter: i for i, letter in enumerate("_abcdefghijklmnopqrstuvwxyz '")}
    (folder / "vocab.json").write_text(json.dumps(letters))
    config = VitsConfig(
        vocab_size=len(letters), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=8, spectrogram_bins=9, num_speakers=5, speaker_embedding_size=6, sampling_rate=8000,
        upsample_initial_channel=8, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], depth_separable_num_layers=1,
        duration_predictor_filter_channels=8, duration_predictor_num_flows=2, prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
    )  # fmt: skip
    VitsModel(config).half().save_pretrained(folder)
    tokenizer = VitsTokenizer(folder / "vocab.json", pad_token="_", unk_token="_", phonemize=False)
    tokenizer.save_pretrained(folder)
    (folder / "speaker_ids.json").write_text(json.dumps(NAMES))
    return folder
