"""Tiny random pipelines of the classes with an ``encode_prompt`` of their own, written to disk without a download."""

import inspect
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    PriorTransformer,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    UnCLIPScheduler,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vq_model import VQModel
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, normalizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("cat", "dog", "red", "guitar", "tree", "photo", "painting", "the", "with")
WIDTH = 32


def t5_tokenizer(length: int = 512) -> T5Tokenizer:
    """Letters, and a few whole words."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    words = [(f"\u2581{word}", -3.0) for word in WORDS]
    letters = [(letter, -5.0) for letter in string.printable.strip()]
    return T5Tokenizer(vocab=[*special, *words, *letters], extra_ids=0, model_max_length=length)


def t5(multilingual: bool = False, layers: int = 2) -> Any:
    config, kind = (UMT5Config, UMT5EncoderModel) if multilingual else (T5Config, T5EncoderModel)
    sizes = {"d_model": WIDTH, "d_kv": 8, "d_ff": 768, "num_layers": layers, "num_heads": 4}
    return kind(config(vocab_size=len(t5_tokenizer()), feed_forward_proj="gated-gelu", **sizes)).eval()


def clip(tokenizer: Any, projected: bool, width: int = WIDTH, features: int = 512) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=77, hidden_size=width, intermediate_size=features,
        num_hidden_layers=3, num_attention_heads=4, projection_dim=width, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def autoencoder(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=16, block_out_channels=(4, 8), layers_per_block=1, latent_channels=channels, norm_num_groups=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, use_quant_conv=False,
        use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5,
    )  # fmt: skip


def _sd3(with_t5: bool = True) -> dict[str, Any]:
    tokenizer, other = tiny_tokenizer(), tiny_tokenizer()
    return {
        "transformer": SD3Transformer2DModel(
            sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
            caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=56, out_channels=4,
        ),
        "vae": autoencoder(4), "scheduler": FlowMatchEulerDiscreteScheduler(), "tokenizer": tokenizer,
        "text_encoder": clip(tokenizer, True), "tokenizer_2": other, "text_encoder_2": clip(other, True, 24),
        "tokenizer_3": t5_tokenizer(), "text_encoder_3": _wide_t5() if with_t5 else None,
    }  # fmt: skip


def _wide_t5() -> Any:
    sizes = {"d_model": 64, "d_kv": 8, "d_ff": 768, "num_layers": 2, "num_heads": 4}
    return T5EncoderModel(
        T5Config(vocab_size=len(t5_tokenizer()), feed_forward_proj="gated-gelu", **sizes)
    ).eval()


def _flux() -> dict[str, Any]:
    tokenizer = tiny_tokenizer()
    return {
        "transformer": FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
        ),
        "vae": autoencoder(4), "scheduler": FlowMatchEulerDiscreteScheduler(), "tokenizer": tokenizer,
        "text_encoder": clip(tokenizer, False), "tokenizer_2": t5_tokenizer(), "text_encoder_2": t5(),
    }  # fmt: skip


def _pixart() -> dict[str, Any]:
    return {
        "transformer": PixArtTransformer2DModel(
            sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=4, caption_channels=32,
            in_channels=4, cross_attention_dim=32, out_channels=8,
        ),
        "vae": autoencoder(4), "scheduler": DPMSolverMultistepScheduler(), "tokenizer": t5_tokenizer(),
        "text_encoder": t5(),
    }  # fmt: skip


def _aura() -> dict[str, Any]:
    return {
        "transformer": AuraFlowTransformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
            attention_head_dim=8, num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32,
            out_channels=4, pos_embed_max_size=64,
        ),
        "vae": autoencoder(4), "scheduler": FlowMatchEulerDiscreteScheduler(), "tokenizer": t5_tokenizer(),
        "text_encoder": t5(multilingual=True),
    }  # fmt: skip


def _gemma_tokenizer() -> GemmaTokenizer:
    """Learnt on the instruction that Sana's pipeline puts before every prompt, which would be long in letters."""
    instruction = (
        inspect.signature(diffusers.SanaPipeline.__call__).parameters["complex_human_instruction"].default
    )
    learnt = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True))
    learnt.normalizer = normalizers.Replace(" ", "\u2581")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    learnt.train_from_iterator(
        [*instruction, *WORDS, string.printable.strip()],
        BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False),
    )
    model = json.loads(learnt.to_str())["model"]
    return GemmaTokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], model_max_length=2048
    )


def _sana() -> dict[str, Any]:
    tokenizer = _gemma_tokenizer()
    encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=768, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, head_dim=16,
        )
    ).eval()  # fmt: skip
    blocks = ("ResBlock", "EfficientViTBlock")
    return {
        "transformer": SanaTransformer2DModel(
            patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
            num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=32,
            sample_size=8,
        ),
        "vae": AutoencoderDC(
            in_channels=3, latent_channels=4, attention_head_dim=2, encoder_block_types=blocks,
            decoder_block_types=blocks, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)), encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1), downsample_block_type="conv", upsample_block_type="interpolate",
            decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.41,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0), "tokenizer": tokenizer, "text_encoder": encoder,
    }  # fmt: skip


def _film(multilingual: bool) -> dict[str, Any]:
    """Encoders alone: what draws films is large even where it is tiny."""
    return {
        "transformer": None, "vae": None, "scheduler": FlowMatchEulerDiscreteScheduler(),
        "tokenizer": t5_tokenizer(), "text_encoder": t5(multilingual),
    }  # fmt: skip


def _kandinsky_prior() -> dict[str, Any]:
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": WIDTH, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 4}
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1, num_embeddings=77
    )
    prior.clip_std.data.fill_(1.0)  # fresh ones are 0, and so would every embedding be
    vision = CLIPVisionConfig(**sizes, projection_dim=WIDTH, image_size=16, patch_size=8)
    return {
        "prior": prior,
        "image_encoder": CLIPVisionModelWithProjection(vision).eval(),
        "image_processor": CLIPImageProcessorPil(crop_size=16, size=16),
        "text_encoder": clip(tokenizer, True, features=1536), "tokenizer": tokenizer,
        "scheduler": UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", num_train_timesteps=1000, clip_sample=True,
            clip_sample_range=10.0,
        ),
    }  # fmt: skip


def tiny_kandinsky_decoder(folder: Path) -> Path:
    """A folder of ``KandinskyV22Pipeline``, which draws from embeddings of pictures."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=8, addition_embed_type="image", encoder_hid_dim_type="image_proj",
        encoder_hid_dim=WIDTH, cross_attention_dim=8, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        attention_head_dim=4, resnet_time_scale_shift="scale_shift", norm_num_groups=4,
    )  # fmt: skip
    movq = VQModel(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"), layers_per_block=1, latent_channels=4,
        norm_num_groups=8, norm_type="spatial", num_vq_embeddings=12, vq_embed_dim=4,
    )  # fmt: skip
    diffusers.KandinskyV22Pipeline(unet, DDIMScheduler(), movq).save_pretrained(folder)
    return folder


BUILDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
    "PixArtAlphaPipeline": _pixart,
    "PixArtSigmaPipeline": _pixart,
    "AuraFlowPipeline": _aura,
    "SanaPipeline": _sana,
    "LTXPipeline": lambda: _film(False),
    "CogVideoXPipeline": lambda: _film(False),
    "WanPipeline": lambda: _film(True),
    "KandinskyV22PriorPipeline": _kandinsky_prior,
}
FILMS = ("LTXPipeline", "CogVideoXPipeline", "WanPipeline")
"""Built without the parts that draw."""
NO_PICTURES = (*FILMS, "KandinskyV22PriorPipeline")
"""Nothing is drawn with them here."""


def tiny_pipeline(folder: Path, kind: str, **options: Any) -> Path:
    """A folder of this class."""
    torch.manual_seed(0)
    pipeline = getattr(diffusers, kind)(**BUILDERS[kind](**options))
    pipeline.save_pretrained(folder)
    return folder
