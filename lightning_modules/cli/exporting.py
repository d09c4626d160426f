"""``redact export``: a redacted pipeline as a LoRA, as encoders alone, or as a single-file checkpoint."""

from __future__ import annotations

import importlib
from argparse import ArgumentParser
from collections.abc import Sequence

from lightning_modules.cli.hints import Parser
from lightning_modules.support.output import say

_KINDS = ("lora", "encoder", "single_file")


def export(arguments: Sequence[str]) -> None:
    """Write a redacted folder in another form, and say how much of the redaction that holds."""
    parser = Parser(
        "export",
        "Write a redacted pipeline as a LoRA (for diffusers, ComfyUI and the Stable Diffusion web UI), as its text "
        "encoders alone, or as a single-file checkpoint whose encoders are replaced.",
    )
    options(parser)
    config = parser.parse_args(list(arguments))
    # the packages of modalities are named and never imported here
    module = importlib.import_module("modalities.text_to_image.exports.export")
    sentences: list[str] = module.export(
        config.folder,
        config.kind,
        config.out,
        base=config.base,
        checkpoint=config.checkpoint,
        variant=config.variant,
        lora=module.LoraSettings(config.rank, config.tolerance, config.dtype),
    )
    for sentence in sentences:
        say(sentence)


def options(parser: ArgumentParser) -> None:
    """Of ``redact export``."""
    parser.add_argument("folder", help="The redacted pipeline.")
    parser.add_argument("--as", dest="kind", choices=_KINDS, required=True, help="The form.")
    parser.add_argument("--out", required=True, help="The folder to be made.")
    parser.add_argument("--base", help="Of a LoRA: the untouched pipeline; default: what the card names.")
    parser.add_argument("--checkpoint", help="Of a single file: the stock one, safetensors.")
    parser.add_argument("--variant", help="Of the weight files, for example fp16.")
    parser.add_argument(
        "--rank", type=int, help="Of a LoRA: at most so much for each map; default: as --tolerance needs."
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        help="Of a LoRA: share of a map's change that may be lost; default 0.01.",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="Of a LoRA; default: that of the redacted encoder.",
    )
