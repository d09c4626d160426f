"""``redact app``: a page on which base and redacted model answer the same request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.app.compare import Comparison, subjects_of
from lightning_modules.app.page import gradio, page, serve
from lightning_modules.cli.options import parsed
from lightning_modules.evaluation.judges import chosen_scorers, default_judges
from lightning_modules.support import mishaps
from lightning_modules.support.arguments import Names, names_in
from lightning_modules.support.devices import DEVICE_HELP, chosen_device
from lightning_modules.support.environment import quiet
from lightning_modules.support.specs import folders_by_name
from redact_core import Adapter, RedactError, Scorer
from redact_core.adapters.capabilities import Reopens, require


def app_parser() -> LightningArgumentParser:
    """Options of ``redact app``; every one may stand in a config."""
    parser = LightningArgumentParser(
        prog="redact app",
        description="A page of this machine: base and redacted model side by side.",
        exit_on_error=False,
    )
    parser.add_argument("-c", "--config", action="config", help="YAML file with the same options.")
    parser.add_subclass_arguments(Adapter, "base", required=True, help="The untouched model.")
    parser.add_argument("--redacted", type=Path, required=True, help="Folder that redact fit exported.")
    parser.add_argument(
        "--redact", type=Names | None, help="What judges look for; default: what the card discloses."
    )
    parser.add_argument(
        "--reference", type=Names | None, help="What shall appear instead; default: the card's."
    )
    parser.add_argument(
        "--scorers", type=list[Scorer] | None, help="Judges. Default: those that the adapter names."
    )
    parser.add_argument("--device", type=str, default="auto", help=DEVICE_HELP)
    parser.add_argument(
        "--host", type=str, default="127.0.0.1", help="Address to listen on; default: this machine's own."
    )
    parser.add_argument("--port", type=int | None, help="Default: the first free one from 7860.")
    parser.add_argument("--share", type=bool, default=False, help="Whether Gradio makes the page public.")
    return parser


def app(arguments: Sequence[str]) -> None:
    """Load both models and serve the page until it is stopped."""
    quiet()
    parser = app_parser()
    config = parsed(parser, "app", arguments)
    gradio()  # a missing package is told before models are loaded
    if config["port"] is not None and not 0 < config["port"] < 65536:
        raise RedactError(f"--port is {config['port']}; give 1 to 65535.")
    device = chosen_device(config["device"])
    ((name, folder),) = folders_by_name([config["redacted"]]).items()
    with mishaps.building():
        ready = parser.instantiate(config)
    base: Adapter = ready["base"]
    redacted = require(base, Reopens, "redact app").reopen(folder)
    scorers, _ = chosen_scorers(config, ready, default_judges(base)[0])
    for one in (base, redacted, *scorers):
        one.to(device)
    subjects = subjects_of(folder, names_in(config["redact"]), names_in(config["reference"]))
    compare = Comparison(base, redacted, scorers, subjects)
    blocks = page(compare, f"Base and {name}")
    serve(blocks, compare, config["host"], config["port"], config["share"])
