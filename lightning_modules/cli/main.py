"""The commands ``redact`` and ``lightning``; a verb imports what it needs when it is called."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from lightning_modules.cli.closed_pipe import closed_pipes_allowed
from lightning_modules.support.names import folder_of, import_named
from lightning_modules.support.near_names import meant
from lightning_modules.support.output import printable
from redact_core import RedactError
from redact_core.version import __version__

USAGE = """usage: {program} VERB ...

  fit    redact a model:       {program} fit bundled --redact cigarette --reference lollipop --out out/no_cigarette
                               or with a file: {program} fit -c configs/text_to_image/bundled.yaml
  evaluate  sample, score and summarise base and redacted models, into a folder of evidence:
                               {program} evaluate --base StableDiffusion --base.source bundled \\
                                   --redacted out/no_cigarette --redact cigarette --reference lollipop --out evidence
  attack  try to bring back what was redacted, on base and redacted models, with the same evidence:
                               {program} attack --base StableDiffusion --base.source bundled \\
                                   --redacted out/no_cigarette --redact cigarette --suite quick --out out/attacks
  compare  apply several methods to a model, attack and judge all alike, one table:
                               {program} compare bundled --redact cigarette --methods ClosedForm UCE --out out/compared
  score  score evidence again, without a model:          {program} score EVIDENCE [--scorers+=NAME]
  report build the HTML report from evidence alone:      {program} report EVIDENCE
  card   show and verify the card of a redacted folder:  {program} card FOLDER
  export write a redacted pipeline as a LoRA, as its encoders, or as a single file:
                               {program} export FOLDER --as lora --out OUT
  inspect  list the paths by which a condition enters a model, and which a redaction covers: {program} inspect MODEL
  app    a page of this machine, base and redacted model side by side:
                               {program} app --base StableDiffusion --base.source bundled --redacted out/no_cigarette
  verify check a redacted folder, one line and a status: {program} verify FOLDER [--list withdrawals.csv --keep PEOPLE]
  demo   redact, grade and show a concept, a style and a voice of the bundled models: {program} demo --out out/demo
  ls     list what can be named, by kind:                {program} ls [adapters|objectives|attacks|...]
  completion  complete verbs and options in a shell:       eval "$({program} completion bash)"

{program} --version says which this is; {program} fit --help explains every option; --print_config prints a file to start from.
"""


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a disk says that takes no more; others may be faults of ours and keep their traceback."""


def main(program: str = "redact") -> int:
    """Run one verb; the status is 0, or 2 after a mistake that the one printed line explains."""
    with closed_pipes_allowed():
        return _run(program, sys.argv[1:])


def _run(program: str, arguments: Sequence[str]) -> int:
    try:
        _check_siblings()
        if arguments and arguments[0] == "help" and arguments[1:]:
            arguments = [*arguments[1:], "--help"]
        if arguments and arguments[0] in {"-V", "--version"}:
            print(f"redact {__version__}")  # noqa: T201
            return 0
        if not arguments or arguments[0] in {"-h", "--help", "help"}:
            print(USAGE.format(program=program))  # noqa: T201
            return 0
        verb = _VERBS.get(arguments[0])
        if verb is None:
            if program == "lightning":
                return _lightning_sdk(arguments)
            raise RedactError(
                f"There is no verb {arguments[0]!r}{meant(arguments[0], _VERBS)}; the verbs are {', '.join(_VERBS)}."
            )
        return verb(arguments)
    except ValueError as error:
        mistake = _mistake(error)
        if mistake is None:
            raise
        print(f"{program}: {printable(str(mistake))}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        if error.errno not in _DISK:
            raise
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        text = f"{printable(said)}; free space, mend its rights or give another path, then run again."
        print(f"{program}: {text}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print(f"{program}: stopped; what was not finished was not written.", file=sys.stderr)  # noqa: T201
        return 130


def _mistake(error: BaseException | None) -> RedactError | None:
    """The user's mistake behind ``error``: the parser raises an error of its own from those of an optional class."""
    while error is not None and not isinstance(error, RedactError):
        error = error.__cause__
    return error


def lightning_main() -> int:
    """The ``lightning`` command: our verbs, and everything else for lightning_sdk's command."""
    return main("lightning")


def fit(arguments: Sequence[str]) -> int:
    """Train and export; see :class:`lightning_modules.cli.fit.RedactCLI`."""
    _quiet()  # before the libraries are imported: they read the variables then
    from lightning_modules.cli.short_forms import expanded

    whole = expanded(arguments)
    import_named(whole)  # what is mistyped is told before Lightning is imported
    from lightning_modules.cli.fit import fit_with

    fit_with(arguments, whole)
    return 0


def _with_base(arguments: Sequence[str]) -> list[str]:
    """The verb and its options, with ``--base`` in place of a model that is named as ``fit`` and ``compare`` take it."""
    from lightning_modules.cli.short_forms import as_options

    return [arguments[0], *as_options(arguments[1:], "base")]


def evaluate(arguments: Sequence[str]) -> int:
    """Sample, score and summarise; see :mod:`lightning_modules.cli.evaluate`."""
    _quiet()
    arguments = _with_base(arguments)
    import_named(list(arguments))
    from lightning_modules.cli import evaluate as evaluate_cli

    evaluate_cli.evaluate(arguments[1:])
    return 0


def attack(arguments: Sequence[str]) -> int:
    """Attack and score; see :mod:`lightning_modules.cli.attack`."""
    _quiet()
    arguments = _with_base(arguments)
    import_named(list(arguments))
    from lightning_modules.cli import attack as attack_cli

    attack_cli.attack(arguments[1:])
    return 0


def compare(arguments: Sequence[str]) -> int:
    """Put methods side by side; see :mod:`lightning_modules.cli.compare`."""
    _quiet()
    from lightning_modules.cli import compare as compare_cli

    compare_cli.compare(arguments[1:])
    return 0


def score(arguments: Sequence[str]) -> int:
    """Score an evidence folder again."""
    _quiet()
    import_named(list(arguments))
    from lightning_modules.cli import evaluate as evaluate_cli

    evaluate_cli.score_again(arguments[1:])
    return 0


def report(arguments: Sequence[str]) -> int:
    """Build the HTML report of an evidence folder; see :mod:`lightning_modules.cli.report`."""
    from lightning_modules.cli import report as report_cli

    report_cli.report(arguments[1:])
    return 0


def card(arguments: Sequence[str]) -> int:
    """Show the card of a folder and compare every hash with the files; see :mod:`lightning_modules.cli.showing`."""
    from lightning_modules.cli import showing

    showing.card(arguments[1:])
    return 0


def export(arguments: Sequence[str]) -> int:
    """Write a redacted pipeline in another form; see :mod:`lightning_modules.cli.exporting`."""
    _quiet()
    from lightning_modules.cli import exporting

    exporting.export(arguments[1:])
    return 0


def inspect(arguments: Sequence[str]) -> int:
    """List the paths by which a condition enters a model; see :mod:`lightning_modules.cli.inspecting`."""
    from lightning_modules.cli import inspecting

    inspecting.inspect(arguments[1:])
    return 0


def app(arguments: Sequence[str]) -> int:
    """Serve a page that compares base and redacted model; see :mod:`lightning_modules.cli.app`."""
    _quiet()
    arguments = _with_base(arguments)
    import_named(list(arguments))
    from lightning_modules.cli import app as app_cli

    app_cli.app(arguments[1:])
    return 0


def verify(arguments: Sequence[str]) -> int:
    """Check a folder against its card and its receipt; see :mod:`lightning_modules.cli.verify`."""
    from lightning_modules.cli import verify as verify_cli

    verify_cli.verify(arguments[1:])
    return 0


def demo(arguments: Sequence[str]) -> int:
    """Redact, grade and show a concept, a style and a voice; see :mod:`lightning_modules.cli.demo`."""
    from lightning_modules.cli import demo as demo_cli

    demo_cli.demo(arguments[1:])
    return 0


def ls(arguments: Sequence[str]) -> int:
    """List what can be named in a config, by kind; see :mod:`lightning_modules.cli.showing`."""
    from lightning_modules.cli import showing

    showing.ls(arguments[1:])
    return 0


def completion(arguments: Sequence[str]) -> int:
    """Print a script for a shell; see :mod:`lightning_modules.cli.completing`."""
    _quiet()
    from lightning_modules.cli import completing

    completing.completion(arguments[1:])
    return 0


_VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "fit": fit, "evaluate": evaluate, "attack": attack, "compare": compare, "score": score, "report": report, "card": card,
    "verify": verify, "export": export, "inspect": inspect, "app": app, "demo": demo, "ls": ls, "completion": completion,
}  # fmt: skip


def _check_siblings() -> None:
    """All three packages must come from one place: ``modalities`` is also another project's name."""
    places = {name: folder_of(name).parent for name in ("redact_core", "lightning_modules", "modalities")}
    home = places["redact_core"]
    for name, place in places.items():
        if place != home:
            raise RedactError(
                f"{place / name} shadows the package {name} of redact (in {home}); "
                "install redact into a fresh virtual environment."
            )


def _lightning_sdk(arguments: Sequence[str]) -> int:
    """Hand over to the ``lightning`` command of lightning_sdk, if that is installed."""
    try:
        scripts = distribution("lightning_sdk").entry_points.select(group="console_scripts", name="lightning")
        command: Any = next(iter(scripts)).load()
    except (PackageNotFoundError, StopIteration):
        verbs = ", ".join(_VERBS)
        raise RedactError(
            f"There is no verb {arguments[0]!r}; redact's are {verbs}. "
            "Other verbs belong to lightning_sdk, which is not installed."
        ) from None
    return int(command() or 0)


def _quiet() -> None:
    """Hide other libraries' load bars and notices to one another; set the variables to see them."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
