"""``redact demo``: a concept, a style and a voice of the bundled bases stop working; they are graded and shown.

Trainings and gradings wait in one queue, which a few processes work off, each with its share of the cores: what a
process has imported for one task is there for the next. Nothing heavy is imported here, so a mistake is told at once.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_modules.cli.demo_status import Status
from lightning_modules.cli.hints import Parser
from lightning_modules.support.output import say, say_columns
from redact_core.errors import RedactError
from redact_core.support.folders import check_target
from redact_core.support.paths import at_home

MOST_PROCESSES = 4
_LOOK = 1.0
"""Seconds between two looks at what the processes are doing."""
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
"""For glibc, which reads them when a process begins: memory that is asked for again and again is kept, not given back to
the system between two steps. This saves a tenth of the time, and changes no result."""
PICTURE_GROUPS = ("redacted", "paraphrased", "neighbours", "retained")


@dataclass(frozen=True)
class Redaction:
    """One of the three: how it is trained, and how it is graded afterwards."""

    kind: str
    name: str
    reference: str
    steps: int | None
    """Of training; ``None``: nothing is trained."""
    modality: str
    options: tuple[str, ...]
    """Of ``redact fit``, beside folder and steps."""

    @property
    def folder(self) -> str:
        """Name of the artefact's folder."""
        return "no_voice" if self.kind == "voice" else f"no_{self.name}"

    def gradings(self, folder: Path, n: int, n_voice: int) -> list[tuple[str | int, ...]]:
        """Arguments of the modality's ``demo.grade``, but for the device; one entry for each task."""
        if self.kind == "voice":
            return [(self.name, self.reference, str(folder), n_voice)]
        return [(self.kind, self.name, self.reference, str(folder), group, n) for group in PICTURE_GROUPS]


_PICTURES = ("--model.adapter", "StableDiffusion", "--model.adapter.source", "bundled")
_VOICES = ("--model.adapter", "SpeechT5", "--model.adapter.source", "bundled")
CONCEPT = Redaction(
    "concept", "cigarette", "lollipop",
    90,  # the config takes 220 of 64 rows; so few are enough for this one, and the demo is to end soon
    "text_to_image",
    (*_PICTURES, "--data.redact", "cigarette", "--data.reference", "lollipop", "--data.batch_size", "32"),
)  # fmt: skip
STYLE = Redaction(
    "style", "twemoji", "fluent", 220, "text_to_image",
    # towards another style, which is free of the first; random wordings stand for those that nobody taught
    (*_PICTURES, "--data.redact", "style: twemoji", "--data.reference", "style: fluent",
     "--model.objective", "Distillation", "--model.adapter.random_wordings", "480", "--data.batch_size", "32"),
)  # fmt: skip
VOICE = Redaction(
    "voice", "voice21", "voice05", None, "text_to_speech",
    # a gate needs no training, and leaves other voices as they are to the bit (docs/explanation/voice_gates.md)
    # a wider margin than the default's, chosen on this voice: two of forty unseen clips went by without it
    (*_VOICES, "--data.redact", "voice21", "--data.reference", "voice05", "--model.objective", "Gating",
     "--model.objective.margin", "0.1"),
)  # fmt: skip
SHOWN = (CONCEPT, STYLE, VOICE)
QUEUED = (VOICE, STYLE, CONCEPT)
"""What has the longest task after it comes first."""

LEAD = (
    f"From the bundled bases: the concept {CONCEPT.name} (answered as {CONCEPT.reference}), the style {STYLE.name} "
    f"(answered as {STYLE.reference}), and the voice {VOICE.name} (answered as {VOICE.reference}). Base "
    "and redacted model get the same prompts, clips, sentences and seeds. Samples are small here; read "
    "the intervals. Concept, style and voice were chosen, not drawn by chance, and so was the margin of the gate, on this "
    "voice; nothing was attacked. The bundled voices are understood with effort: about one letter in six is misread. Concept and style "
    "are redacted by training the prompt encoder, the voice by a gate behind the speaker encoder, which needs no training. "
    "Putting the stock encoder back undoes either."
)


def demo(arguments: Sequence[str]) -> None:
    """Redact, grade, write ``summary.json`` and ``report.html``.

    Raises:
        RedactError: The folder exists, a task refused what it was given, or a process was ended from outside.
    """
    parser = Parser("demo", "Redact a concept, a style and a voice; grade and show them.")
    options(parser)
    args = parser.parse_args(list(arguments))
    out = at_home(args.out)
    check_target(out)
    out.mkdir(parents=True)
    began = time.perf_counter()
    cores = _cores()
    processes = min(cores, MOST_PROCESSES)
    say(f"Processes that redact and grade: {processes}. What they say goes to {out / 'no_*.log'}.")
    for name, value in _ALLOCATOR.items():
        os.environ.setdefault(name, value)
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(max(1, cores // processes),),
    )
    try:
        parts = _work_off(pool, out, args.n, args.n_voice, args.steps, args.device, began)
        # by a process that has imported what it takes
        rows = _queue(
            pool, out / "report.log", "write", out, LEAD, parts, {x.kind: x.name for x in SHOWN}
        ).result()
    except BrokenProcessPool as error:
        raise RedactError(
            f"A process of the demo was ended from outside, perhaps for want of memory; see the logs in {out}."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    say_columns([("task", "group", "metric", "base", "redacted", "interval", "n"), *map(_cells, rows)])
    say(f"It took {time.perf_counter() - began:.0f} s. See {out / 'report.html'}")


def options(parser: ArgumentParser) -> None:
    """Of ``redact demo``."""
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="New folder; default: %(default)s."
    )
    parser.add_argument(
        "--n", type=_count, default=32, help="Pictures of a group and model; default: %(default)s."
    )
    parser.add_argument(
        "--n_voice", type=_count, default=20, help="Utterances of a group and model; default: %(default)s."
    )
    parser.add_argument("--steps", type=_count, help="Training steps of concept and style, for a quick try.")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N; auto is the GPU where there is one."
    )


def _work_off(
    pool: ProcessPoolExecutor, out: Path, n: int, n_voice: int, steps: int | None, device: str, began: float
) -> list[Any]:
    """Train each redaction, then grade it in parts; the parts in the order of the report."""
    running: dict[Future[Any], tuple[Redaction, int | None]] = {}
    status = Status()
    for redaction in QUEUED:
        options = [*redaction.options, "--export.folder", str(out / redaction.folder)]
        if redaction.steps is not None:
            options += ["--trainer.max_steps", str(steps or redaction.steps)]
        running[_queue(pool, _log(out, redaction), "fit", options, device)] = (redaction, None)
    parts: dict[tuple[str, int], Any] = {}
    while running:
        done, _ = wait(running, _LOOK, FIRST_COMPLETED)
        status.clear()
        for task in done:
            redaction, number = running.pop(task)
            said = task.result()
            gradings = redaction.gradings(out / redaction.folder, n, n_voice)
            if number is not None:
                parts[redaction.kind, number] = said
                left = sum((redaction.kind, i) not in parts for i in range(len(gradings)))
                if not left:
                    say(f"{time.perf_counter() - began:4.0f} s  {redaction.kind} {redaction.name}: graded")
                continue
            say(f"{time.perf_counter() - began:4.0f} s  {redaction.kind} {redaction.name}: redacted")
            for i, grading in enumerate(gradings):
                task = _queue(pool, _log(out, redaction), "grade", redaction.modality, grading, device)
                running[task] = (redaction, i)
        status.show(time.perf_counter() - began, _doing(out, running))
    status.clear()
    return [part for x in SHOWN for (kind, _), part in sorted(parts.items()) if kind == x.kind]


def _doing(out: Path, running: Mapping[Future[Any], tuple[Redaction, int | None]]) -> dict[str, Path]:
    """What is under way, in words, and its log."""
    under_way = [(redaction, number) for task, (redaction, number) in running.items() if task.running()]
    return {
        f"{redaction.kind}: {'training' if number is None else 'grading'}": _log(out, redaction)
        for redaction, number in under_way
    }


def _queue(pool: ProcessPoolExecutor, log: Path, step: str, *arguments: Any) -> Future[Any]:
    return pool.submit(_carry_out, log, step, *arguments)


def _begin(threads: int) -> None:
    """What each process does first."""
    # read by OpenMP when torch is imported
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _carry_out(log: Path, step: str, *arguments: Any) -> Any:
    """Run a function of :mod:`.demo_steps`; whatever it and its libraries print goes to the end of ``log``."""
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("ab") as file:
        # the descriptors: libraries keep the streams that they found when they were imported
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    from lightning_modules.cli import demo_steps

    return getattr(demo_steps, step)(*arguments)


def _log(out: Path, redaction: Redaction) -> Path:
    return out / f"{redaction.folder}.log"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    figures = {
        key: "?" if row[key] is None else f"{row[key]:.2f}" for key in ("base", "redacted", "low", "high")
    }
    interval = f"[{figures['low']}, {figures['high']}]"
    return (
        row["task"], row["group"], row["metric"], figures["base"], figures["redacted"], interval, str(row["n"])
    )  # fmt: skip


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)
