"""``redact completion``: a script that completes verbs and options in a shell."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from lightning_modules.cli.hints import Parser
from redact_core import RedactError

SHELLS = ("bash", "zsh", "tcsh")


def completion(arguments: Sequence[str]) -> None:
    """Print the script of one shell.

    Raises:
        RedactError: The shell is none of :data:`SHELLS`, or the package that writes such scripts is missing.
    """
    parser = Parser("completion", "Print a script that completes verbs and options in a shell.")
    options(parser)
    shell = parser.parse_args(list(arguments)).shell
    if find_spec("shtab") is None:
        raise RedactError("Completion needs the package shtab; install it: pip install shtab.")
    print(script(shell))  # noqa: T201


def options(parser: ArgumentParser) -> None:
    """Of ``redact completion``."""
    parser.add_argument("shell", choices=SHELLS, help='Whose: eval "$(redact completion bash)".')


def parsers() -> dict[str, Any]:
    """Verb -> a parser of jsonargparse with its options, of every verb; this imports all of Lightning."""
    import jsonargparse

    from lightning_modules.cli import demo, exporting, inspecting, report, showing, verify
    from lightning_modules.cli.app import app_parser
    from lightning_modules.cli.attack import attack_parser
    from lightning_modules.cli.compare import compare_parser
    from lightning_modules.cli.evaluate import evaluate_parser, score_parser
    from lightning_modules.cli.fit import fit_parser

    made: dict[str, Any] = {
        "fit": fit_parser(), "evaluate": evaluate_parser(), "attack": attack_parser(), "score": score_parser(),
        "compare": compare_parser(), "app": app_parser(),
    }  # fmt: skip
    small: dict[str, Callable[[ArgumentParser], None]] = {
        "report": report.options, "card": showing.card_options, "verify": verify.options,
        "export": exporting.options, "inspect": inspecting.options,
        "demo": demo.options, "ls": showing.ls_options, "completion": options,
    }  # fmt: skip
    for verb, add in small.items():
        made[verb] = jsonargparse.ArgumentParser(prog=f"redact {verb}")
        add(made[verb])
    return made


def script(shell: str) -> str:
    """The script of a shell of :data:`SHELLS`, for all verbs."""
    import jsonargparse

    root = jsonargparse.ArgumentParser(prog="redact")
    verbs = root.add_subcommands()
    for verb, parser in parsers().items():
        verbs.add_subcommand(verb, parser)
    return root.get_completion_script(f"shtab-{shell}")
