"""Options that ``redact evaluate`` and ``redact attack`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.support.arguments import Names
from redact_core import Adapter, Guard


def add_models(parser: LightningArgumentParser) -> None:
    """``--config``, the models ``--base``, ``--redacted`` and ``--guards``, and ``--out``."""
    parser.add_argument("-c", "--config", action="config", help="YAML file with the same options.")
    parser.add_subclass_arguments(Adapter, "base", required=True, help="The untouched model.")
    parser.add_argument("--redacted", type=Path, nargs="+", help="Folders that redact fit exported.")
    parser.add_argument(
        "--guards", type=dict[str, Callable[[Adapter], Guard]] | None,
        help="Name -> class_path and init_args of a guard of the base; MODEL+NAME guards another model.",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="The evidence folder, new or begun before.")


def add_request(parser: LightningArgumentParser) -> None:
    """``--redact`` and ``--reference``."""
    parser.add_argument("--redact", type=Names | None, help="What was redacted; instead of --plan.")
    parser.add_argument("--reference", type=Names | None, help="What is answered instead.")
