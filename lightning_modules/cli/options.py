"""Options that ``redact evaluate`` and ``redact attack`` share, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.cli.hints import with_hint
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import Names, at_home_everywhere, gathered
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


def parsed(parser: ArgumentParser, verb: str, arguments: Sequence[str]) -> Namespace:
    """What ``arguments`` say, with the home folder in place of ``~``.

    Args:
        parser: Made with ``exit_on_error=False``.
        verb: That it belongs to.
        arguments: What follows the verb.

    Raises:
        RedactError: The parser refuses them; a mistyped option is told with the nearest right one.
    """
    with mishaps.parsing(lambda message: with_hint(message, parser._option_string_actions)):
        return at_home_everywhere(parser.parse_args(gathered([verb, *arguments])[1:]))
