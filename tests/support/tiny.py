"""Tiny random models of the classes that users have, written to disk without a download."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


def tiny_tokenizer(context: int = 77) -> CLIPTokenizer:
    """Single bytes only: every text can be encoded, words are long."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("r", "e"), ("re", "d</w>")]
    tokens += [a + b for a, b in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=context)


def _text_config(tokenizer: CLIPTokenizer, context: int, **more: int) -> CLIPTextConfig:
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=context, **tokens, **(sizes | more)
    )


def tiny_autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        3, 3, ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2, (4, 8), 1, latent_channels=4,
        norm_num_groups=2, sample_size=16,
    )  # fmt: skip


def tiny_stable_diffusion(folder: Path, context: int = 77, legacy_keys: bool = True) -> Path:
    """Like diffusers' own test model: denoiser channels (4, 8), text width 8, 16-pixel pictures."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer(context)
    text = CLIPTextModel(_text_config(tokenizer, context))
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8, attention_head_dim=2, norm_num_groups=2,
    )  # fmt: skip
    vae = tiny_autoencoder()
    scheduler = DDIMScheduler(
        clip_sample=False, prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    if legacy_keys:  # as on the hub: half precision, keys with the prefix of older versions, a constant
        path = folder / "text_encoder" / "model.safetensors"
        state = {"text_model." + key: value.half() for key, value in load_file(path).items()}
        state["text_model.embeddings.position_ids"] = torch.arange(context)[None]
        save_file(state, path, metadata={"format": "pt"})
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    return folder


def tiny_denoiser_xl(hidden: int, pooled: int) -> UNet2DConditionModel:
    """Of SDXL's kind, for conditionings of these widths."""
    return UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=hidden, attention_head_dim=2,
        norm_num_groups=2, addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + pooled,
    )  # fmt: skip


def tiny_stable_diffusion_xl(folder: Path, context: int = 77) -> Path:
    """Two text models of width 8 and 12; the second one's prompts are filled up with "!", as on the hub."""
    torch.manual_seed(0)
    tokenizer, other = tiny_tokenizer(context), tiny_tokenizer(context)
    other.pad_token = "!"
    second = _text_config(other, context, hidden_size=12, num_hidden_layers=3, projection_dim=10)
    unet = tiny_denoiser_xl(hidden=20, pooled=10)
    pipeline = StableDiffusionXLPipeline(
        vae=tiny_autoencoder(), unet=unet, tokenizer=tokenizer, tokenizer_2=other,
        text_encoder=CLIPTextModel(_text_config(tokenizer, context, num_hidden_layers=3)),
        text_encoder_2=CLIPTextModelWithProjection(second),
        scheduler=DDIMScheduler(clip_sample=False, timestep_spacing="trailing", steps_offset=1),
        add_watermarker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder
