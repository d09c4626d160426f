"""Concepts drawn by chance, each redacted with the default settings: does anything come back? Resumable.

    python scripts/experiments/chance_concepts.py --out out/chance
    python scripts/experiments/chance_concepts.py --out out/chance --device cuda --workers 12 --n 100

Concepts of the bundled base are drawn by the seed, and each is redacted by itself: the default reference, the
default method, steps and rows. Then pictures are drawn and the bundled grader looks for the concept:

* *redacted*: its listed names in wordings of the kind that taught the redaction;
* *reworded*: the same names in held-out wordings;
* *synonyms*: held-out names that the untouched base understands, in held-out wordings.

Beside each stands the *floor*: how often the untouched base draws the concept when it is asked for the reference, in
the same wordings and with the same seeds. A leak is what lies above it. *kept* are the ten nearest concepts, how often each
is found when it is asked for, before and after. Each concept is one file in OUT; a finished one is not made
again. What fails is named at the end and does not stop the others. OUT/results.json holds the table with Wilson's 95 % intervals.
"""

import argparse
import json
import multiprocessing
import random
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import torch

from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.prompts.groups import Case, groups
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import Request, redact
from redact_core.metrics.statistics import wilson, wilson_of_groups
from redact_core.support.folders import write_whole

GONE = ("redacted", "reworded", "synonyms")
NEAREST = 10
TRIES = 2
"""Of a concept whose process died."""
_CHUNK = 50
Settings = dict[str, Any]


def drawn_by_chance(count: int, seed: int) -> list[str]:
    """Names of ``count`` different concepts of the bundled base."""
    names = sorted(bundled_vocabulary().concepts)
    return random.Random(f"chance:{seed}").sample(names, min(count, len(names)))


class Bench:
    """One concept after the other in one process; the base and the judge are opened once.

    Args:
        source: ``bundled`` or a folder.
        device: Of encoder, denoiser and judge.
        judge: Finds concepts in pictures; default: the bundled grader.
    """

    def __init__(self, source: str = "bundled", device: str = "cpu", judge: Judge | None = None):
        self.device = torch.device(device)
        self.base = StableDiffusion(source, batch_size=_CHUNK)
        self.base.vocabulary = bundled_vocabulary()
        self.judge = judge or Judge()
        self.judge.grader.to(self.device)
        self.base.encoder.to(self.device)
        known = json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8"))
        self.understood = frozenset(known)

    def measure(self, concept: str, settings: Settings) -> dict[str, Any]:
        """What the file of ``concept`` holds: the reference, hits of ``n`` for each group, seconds."""
        began = time.perf_counter()
        n, seed = settings["n"], settings["seed"]
        model = self.opened()
        given = settings["references"].get(concept)
        request = Request((concept,), (given,) if given else (), tuple(settings["retain"]), seed=seed)
        for name, value in settings["adapter"].items():
            setattr(model, name, value)
        redact(model, request, steps=settings["steps"], batch_size=settings["batch_size"], seed=seed)
        trained = time.perf_counter() - began
        remark = " ".join(model.remarks)
        (shown,) = model.chosen_references
        reference = given or shown.split(" (")[0]
        near = self.base.nearest(concept, NEAREST)
        cases = groups(
            concept, reference, self.base.vocabulary, near, n=n, understood=self.understood, seed=seed
        )
        hits: dict[str, int] = {}
        with torch.no_grad():
            for group in GONE:
                for name, asked in (("floor", "reference"), ("after", "prompt")):
                    if group in cases:
                        drawer = self.base if name == "floor" else model
                        hits[f"{group} {name}"] = self.found(drawer, cases[group], asked)
            kept = [case for case in cases["neighbours"] if case.concept != reference]
            hits |= {
                f"kept {name}": self.found(m, kept, "prompt")
                for name, m in (("before", self.base), ("after", model))
            }
        seconds = {"training": trained, "all": time.perf_counter() - began}
        return {
            "concept": concept, "reference": reference, "choice": shown, "remark": remark, "hits": hits,
            "n": n, "n_kept": len(kept), "settings": settings, "seconds": seconds,
        }  # fmt: skip

    def opened(self, folder: Path | None = None) -> StableDiffusion:
        """The base, or a redaction of it in ``folder``, that may be trained; the denoiser is shared, for it does not change."""
        model = self.base.reopen(folder or self.base.folder)
        model.bundled, model.vocabulary = self.base.bundled, self.base.vocabulary
        model.encoder.to(self.device)
        model.pipeline = self.base.pipeline
        return model

    def found(self, model: StableDiffusion, cases: Sequence[Case], asked: str) -> int:
        """In how many pictures the judge finds the cases' concept; the seed of a case is its number."""
        hits = 0
        for start in range(0, len(cases), _CHUNK):
            part = cases[start : start + _CHUNK]
            prompts = [getattr(case, asked) for case in part]
            pictures = model.generate(prompts, seeds=range(start, start + len(part)))
            seen = self.judge([picture.to(self.device) for picture in pictures]).concepts
            hits += sum(a == case.concept for a, case in zip(seen, part, strict=True))
        return hits


_bench: Bench | None = None
"""Of this worker process."""


def begin(source: str, device: str, threads: int) -> None:
    """Of a worker process: threads first, then the base."""
    global _bench
    torch.set_num_threads(threads)
    _bench = Bench(source, device)


def work(concept: str, settings: Settings, path: Path) -> str:
    """Measure and write one concept; an empty string, or what went wrong."""
    assert _bench is not None
    try:
        write_whole(path, json.dumps(_bench.measure(concept, settings), indent=1, allow_nan=False).encode())
    except Exception:
        return traceback.format_exc()
    return ""


def run(
    todo: Mapping[str, Path],
    settings: Settings,
    source: str,
    device: str,
    workers: int,
    threads: int,
    seconds: float = float("inf"),
) -> Iterator[tuple[str, str]]:
    """Each concept as it is done, with what went wrong; a process that dies takes nothing but its own concept along.

    After ``seconds`` none is begun any more.
    """
    end = time.monotonic() + seconds
    jobs: SimpleQueue[tuple[str, Path]] = SimpleQueue()
    done: SimpleQueue[tuple[str, str]] = SimpleQueue()
    for job in todo.items():
        jobs.put(job)
    spawn = multiprocessing.get_context("spawn")

    def opened() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, spawn, initializer=begin, initargs=(source, device, threads))

    def lane() -> None:
        pool = opened()
        while True:
            try:
                concept, path = jobs.get_nowait()
            except Empty:
                pool.shutdown()
                return
            if time.monotonic() > end:
                done.put((concept, "not begun: the time was up; the same command goes on."))
                continue
            problem = ""
            for _ in range(TRIES):
                try:
                    problem = pool.submit(work, concept, settings, path).result()
                    break
                except BrokenProcessPool as error:
                    problem = f"its process died: {error}"
                    pool.shutdown()
                    pool = opened()
            done.put((concept, problem))

    lanes = [Thread(target=lane, daemon=True) for _ in range(min(workers, len(todo)))]
    for thread in lanes:
        thread.start()
    for _ in todo:
        yield done.get()
    for thread in lanes:
        thread.join()


def read(path: Path, settings: Settings) -> dict[str, Any] | None:
    """What a file holds, if it was made with these settings."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if values.get("settings") == settings else None


def rate(hits: int, n: int) -> dict[str, float]:
    return wilson(hits, n)._asdict()


def summary(results: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> dict[str, Any]:
    """Every concept's rates, and those over all concepts; leaks above the floor and losses of the kept, in points."""
    concepts = {}
    for found in results:
        hits, n = found["hits"], found["n"]
        rates = {
            key: rate(value, found["n_kept"] if key.startswith("kept") else n) for key, value in hits.items()
        }
        above = {g: 100 * (hits[f"{g} after"] - hits[f"{g} floor"]) / n for g in GONE if f"{g} after" in hits}
        lost = 100 * (hits["kept before"] - hits["kept after"]) / max(found["n_kept"], 1)
        concepts[found["concept"]] = {
            "reference": found["reference"], "choice": found["choice"], "rates": rates,
            "points above the floor": above, "points lost by the nearest": lost, "seconds": found["seconds"],
        }  # fmt: skip
    pooled = {}
    for key in dict.fromkeys(key for found in results for key in found["hits"]):
        some = [found for found in results if key in found["hits"]]
        size = "n_kept" if key.startswith("kept") else "n"
        # concepts were drawn by chance, so the interval is that of other concepts
        pooled[key] = wilson_of_groups([f["hits"][key] for f in some], [f[size] for f in some])._asdict()
    within = {
        group: sum(c["points above the floor"].get(group, 0) <= 2 for c in concepts.values())
        for group in GONE
    } | {"nearest": sum(c["points lost by the nearest"] <= 1 for c in concepts.values())}
    return {"concepts": concepts, "all": pooled, "within the aim": within, "failed": dict(failed)}


def table(found: Mapping[str, Any]) -> str:
    """Percentages: found after the redaction (floor)."""

    def percent(rates: Mapping[str, Any], key: str) -> str:
        return f"{100 * rates[key]['value']:5.1f}" if key in rates else "    -"

    def line(name: str, reference: str, rates: Mapping[str, Any]) -> str:
        gone = "".join(f"{percent(rates, f'{g} after')} ({percent(rates, f'{g} floor')})    " for g in GONE)
        return (
            f"{name:<18} {reference:<18} {gone}{percent(rates, 'kept before')} {percent(rates, 'kept after')}"
        )

    head = (
        f"{'concept':<18} {'reference':<18} "
        + "".join(f"{g + ' (floor)':<17}" for g in GONE)
        + "kept before, after"
    )
    lines = [head, *(line(name, c["reference"], c["rates"]) for name, c in found["concepts"].items())]
    lines.append(line("all", "", found["all"]))
    for key, r in found["all"].items():
        span = f"[{100 * r['low']:.1f}, {100 * r['high']:.1f}]"
        lines.append(f"  {key:<16} {100 * r['value']:5.1f} % {span:<14} n={r['n']}")
    lines.append(
        f"Of {len(found['concepts'])} concepts at most 2 points above the floor: "
        + ", ".join(f"{group} {found['within the aim'][group]}" for group in GONE)
        + f"; at most 1 point lost by the nearest: {found['within the aim']['nearest']}."
    )
    for name, problem in found["failed"].items():
        lines.append(f"{name} failed: {problem.strip().splitlines()[-1]}")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=100, help="Prompts of each group.")
    parser.add_argument("--seed", type=int, default=0, help="Of the concepts, the prompts and the training.")
    parser.add_argument("--count", type=int, default=30, help="Concepts.")
    parser.add_argument("--concepts", nargs="+", help="These instead of any drawn by chance.")
    parser.add_argument(
        "--references", nargs="*", default=[], help="CONCEPT=REFERENCE where not the default one."
    )
    parser.add_argument("--steps", type=int, default=300, help="Of each training; the default of fit.")
    parser.add_argument("--batch-size", type=int, default=64, help="Rows of a step; the default of fit.")
    parser.add_argument(
        "--implicit-synonyms",
        type=int,
        default=0,
        help="As the adapter's implicit_synonyms; not the default.",
    )
    parser.add_argument(
        "--per-name", type=int, default=30, help="As the adapter's per_name; 30 is the default."
    )
    parser.add_argument(
        "--retain", nargs="+", default=[], help="Sources of retained rows; default: the adapter's."
    )
    parser.add_argument("--workers", type=int, default=1, help="Processes side by side.")
    parser.add_argument("--threads", type=int, default=1, help="Of each process.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="After them no concept is begun.")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1.")
    parser.add_argument("--source", default="bundled", help="The base: bundled, or a folder.")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    args.out.mkdir(parents=True, exist_ok=True)
    device = args.device if args.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    references = paired(args.references, "CONCEPT=REFERENCE")
    settings = {
        "n": args.n, "seed": args.seed, "steps": args.steps, "batch_size": args.batch_size,
        "references": references, "source": args.source, "retain": args.retain,
        "adapter": {"implicit_synonyms": args.implicit_synonyms, "per_name": args.per_name},
    }  # fmt: skip
    concepts = args.concepts or drawn_by_chance(args.count, args.seed)
    paths = {name: args.out / f"{name.replace(' ', '_')}.json" for name in concepts}
    todo = {name: path for name, path in paths.items() if read(path, settings) is None}
    began, failed = time.perf_counter(), dict[str, str]()

    def kept() -> dict[str, Any]:
        """The results so far, written as well: a run that is cut off leaves them behind."""
        there = [found for path in paths.values() if (found := read(path, settings)) is not None]
        found = summary(there, failed)
        write_whole(
            args.out / "results.json",
            json.dumps({"settings": settings, **found}, indent=1, allow_nan=False).encode(),
        )
        return found

    how = (settings, args.source, device, args.workers, args.threads, args.seconds)
    for done, (name, problem) in enumerate(run(todo, *how), 1):
        if problem:
            failed[name] = problem
            print(problem, flush=True)
        spent = time.perf_counter() - began
        print(f"{done}/{len(todo)} {name}{': failed' if problem else ''}, {spent:.0f} s", flush=True)
        kept()
    found = kept()
    print(table(found))
    print(f"{time.perf_counter() - began:.0f} s on {device}; see {args.out / 'results.json'}")


if __name__ == "__main__":
    with one_line():
        main()
