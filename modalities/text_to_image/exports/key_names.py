"""Key names of LoRA files and single-file checkpoints, as the tools that read them have them.

Sources, read in November 2026:

- ComfyUI (``Comfy-Org/ComfyUI``, ``comfy/lora.py``, ``model_lora_keys_clip`` and ``load_lora``, commit 17358c8f):
  ``lora_te_text_model_encoder_layers_N_MAP`` for one CLIP, ``lora_te1_`` and ``lora_te2_`` for two, with ``.lora_up.weight``,
  ``.lora_down.weight``, ``.alpha``, and ``.diff_b`` for the change of a bias.
- Stable Diffusion web UI (``AUTOMATIC1111/stable-diffusion-webui``, ``extensions-builtin/Lora/networks.py``,
  ``convert_diffusers_name_to_compvis``, commit 873edba4): the same names. It knows no ``diff_b``, and changes an OpenCLIP
  attention only where all four of its maps are in the file.
- diffusers (``loaders/lora_base.py``, ``utils/state_dict_utils.py``):
  ``PART.text_model.encoder.layers.N.MAP.lora_linear_layer.down.weight`` and ``.up.weight``, and ``.up.bias`` for the change of
  a bias. PEFT's own names (``lora_A``) are refused where no map of an attention is in the file.
- Single files: ``loaders/single_file_utils.py`` of diffusers, ``convert_ldm_clip_checkpoint`` and
  ``convert_open_clip_checkpoint``.
"""

from __future__ import annotations

from collections.abc import Mapping

KOHYA: Mapping[str, str] = {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
KOHYA_ALONE = "lora_te"
"""In place of ``lora_te1`` where the model has one CLIP."""
SINGLE: Mapping[str, tuple[str, ...]] = {
    "text_encoder": (
        "cond_stage_model.transformer.text_model.",
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.text_model.",
        "text_encoders.clip_l.transformer.text_model.",
    ),
    "text_encoder_2": ("text_encoders.clip_g.transformer.text_model.",),
}
"""Part -> prefixes of its tensors where a single file keeps the names of transformers."""
OPEN_CLIP: Mapping[str, tuple[str, ...]] = {
    "text_encoder": ("cond_stage_model.model.", "conditioner.embedders.0.model."),
    "text_encoder_2": ("conditioner.embedders.1.model.",),
}
"""Part -> prefixes where a single file has the names of OpenCLIP."""


def kohya(part: str, name: str, alone: bool) -> str:
    """``lora_te1_text_model_encoder_layers_0_mlp_fc1`` of the map ``encoder.layers.0.mlp.fc1``."""
    return f"{KOHYA_ALONE if alone else KOHYA[part]}_text_model_{name.replace('.', '_')}"


def diffusers(part: str, name: str) -> str:
    """``text_encoder.text_model.encoder.layers.0.mlp.fc1`` of the same."""
    return f"{part}.text_model.{name}"


def open_clip(name: str) -> str | None:
    """OpenCLIP's name of a tensor; ``None`` of one of the three maps that it keeps as one.

    Args:
        name: Of transformers, without the prefix ``text_model.``.
    """
    if name in _WHOLE:
        return _WHOLE[name]
    if any(f"self_attn.{one}_proj" in name for one in "qkv"):
        return None
    for old, new in _PARTS:
        name = name.replace(old, new)
    return f"transformer.{name}"


_WHOLE = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
_PARTS = (
    ("encoder.layers.", "resblocks."),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    (".fc1.", ".c_fc."),
    (".fc2.", ".c_proj."),
    (".self_attn", ".attn"),
)
