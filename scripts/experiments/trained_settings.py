"""Students of one setting, trained once and timed; for the scripts that compare settings."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from lightning_modules.support.specs import build, spec_of
from redact_core import Adapter, Lesson, Objective, Request, redact
from redact_core.support.folders import new_folder, write_whole


def folder_name(setting: str, training: str) -> str:
    """``setting`` with an underscore for whatever a file name should not hold, and how it was trained."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in setting) + f"_{training}"


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """``--retain`` and ``--implicit-synonyms``: the rows that students of prompts are trained on."""
    parser.add_argument(
        "--retain", nargs="+", default=[], help="Sources of retained rows; default: the adapter's."
    )
    parser.add_argument(
        "--implicit-synonyms", type=int, default=0, help="As the adapter's implicit_synonyms."
    )


def row_label(args: argparse.Namespace) -> str:
    """The options of :func:`add_row_options` for a file name; nothing where none is given."""
    heard = [f"heard{args.implicit_synonyms}"] if args.implicit_synonyms else []
    return "".join(f"{part}_" for part in (*args.retain, *heard))


def trained(
    model: Adapter,
    request: Request | Sequence[Lesson],
    setting: str,
    folder: Path,
    *,
    steps: int,
    batch_size: int,
    lr: float | None = None,
    seed: int = 0,
) -> float:
    """CPU seconds of the process that the training of a setting took, teacher's answers included.

    The student is saved to ``folder``, the seconds beside it; where they are there already, nothing is trained.

    Args:
        model: The untouched model; it is the student afterwards, if there was anything to train.
        request: What is redacted, or ready rows.
        setting: An objective, such as ``RobustDistillation: {radius: 2}``.
        folder: Of the student.
        steps: Of training.
        batch_size: Rows of a step.
        lr: Peak learning rate; default: what the method or the model recommends.
        seed: Of the training.
    """
    notes = folder.with_name(folder.name + ".setting.json")
    if not notes.exists():
        objective = build(Objective, spec_of(setting))
        began = time.process_time()
        redact(model, request, objective=objective, steps=steps, batch_size=batch_size, lr=lr, seed=seed)
        seconds = time.process_time() - began
        with new_folder(folder) as part:
            model.save(part)
        write_whole(
            notes,
            json.dumps({"setting": setting, "steps": steps, "seconds": seconds}, allow_nan=False).encode(),
        )
    return json.loads(notes.read_text(encoding="utf-8"))["seconds"]
