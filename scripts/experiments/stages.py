"""A resumable training stage: progress, log, checkpoints every few minutes, recorded time."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from redact_core.training.loop import cosine_decay


def set_rate(
    optimizer: torch.optim.Optimizer, lr: float, step: int, steps: int, warmup: int, floor: float = 0.01
) -> None:
    """The learning rate of ``step``: linear warm-up, then half a cosine from ``lr`` to ``floor`` of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * cosine_decay(steps, warmup, floor)(step)


def finished(out: Path, name: str) -> dict[str, torch.Tensor]:
    """The weights that stage ``name`` left of its ``model``, by :class:`Run`."""
    return torch.load(_checkpoint(out, name), weights_only=True)["model"]


def _checkpoint(out: Path, name: str) -> Path:
    return out / "checkpoints" / f"{name}.pt"


class Run:
    """Iterate over the remaining steps of a stage, checkpointing ``parts`` on the way.

    Randomness must come from the step number, so that a resumed run repeats an uninterrupted one.
    """

    def __init__(self, out: Path, name: str, steps: int, parts: dict, every_s: float = 180):
        self.out, self.name, self.steps, self.parts, self.every_s = out, name, steps, parts, every_s
        self.path = _checkpoint(out, name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.start, self.seconds = 0, 0.0
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            for key, part in parts.items():
                part.load_state_dict(state[key])
            self.start, self.seconds = state["step"], state["seconds"]
        self.began = self.saved = time.perf_counter()
        self.values: dict[str, float] = {}

    def __iter__(self) -> Iterator[int]:
        bar = tqdm(
            range(self.start, self.steps), initial=self.start, total=self.steps, desc=self.name, mininterval=5
        )
        for step in bar:
            yield step
            self.step = step + 1
            bar.set_postfix(self.values, refresh=False)
            if time.perf_counter() - self.saved > self.every_s:
                self.save()
        self.save()

    def log(self, **values: float) -> None:
        """Exponential averages for the progress bar; the log file gets a line a hundred steps."""
        for key, value in values.items():
            self.values[key] = 0.98 * self.values.get(key, value) + 0.02 * value
        step = getattr(self, "step", self.start)
        if step % 100 == 0:
            with (self.out / f"{self.name}.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, **self.values}, allow_nan=False) + "\n")

    def save(self) -> None:
        self.saved = time.perf_counter()
        state = {key: part.state_dict() for key, part in self.parts.items()}
        state |= {"step": getattr(self, "step", self.start), "seconds": self.spent()}
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)

    def spent(self) -> float:
        return self.seconds + time.perf_counter() - self.began

    def finish(self) -> None:
        """Record steps and seconds of the finished stage."""
        record = self.out / "times.json"
        times = json.loads(record.read_text()) if record.exists() else {}
        times[self.name] = {
            "steps": self.steps,
            "seconds": round(self.spent()),
            "threads": torch.get_num_threads(),
        }
        record.write_text(json.dumps(times, indent=1, allow_nan=False))
