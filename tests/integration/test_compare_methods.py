"""scripts/experiments/compare_methods.py and its page, on a bench that counts instead of drawing."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from redact_core import RedactError

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def scripts() -> Iterator[tuple[ModuleType, ModuleType]]:
    folders = [str(SCRIPTS / name) for name in ("experiments", "tools")]
    sys.path[:0] = folders
    try:
        yield importlib.import_module("compare_methods"), importlib.import_module("compare_page")
    finally:
        del sys.path[: len(folders)]


class CountingBench:
    """Nothing is drawn: a method leaks by what it is called, and every call is counted."""

    n_attacked = 2
    base = None
    leaks = {"untouched": 10, "UCE": 1, "HiRM": 4}  # noqa: RUF012 never changed

    def __init__(self, dies_at: int = 10_000):
        self.calls, self.dies_at = 0, dies_at

    def plan(self, task: str, seed: int, n: int | None = None) -> dict[str, list[int]]:
        del task, seed
        groups = ("asked", "reworded", "other names", "ten nearest", "others")
        return {group: list(range(n or 10)) for group in groups}

    def made(self, method: Any, settings: Any, task: str, seed: int) -> Any:
        del seed
        name = next(
            (k for k, v in sys.modules["compare_methods"].METHODS.items() if v is method), "untouched"
        )
        if name == "robust":
            raise RedactError("Robust needs more; give more.")
        leak = self.leaks[name] + (5 if settings and task == "umbrella" else 0)
        made = sys.modules["compare_methods"].Made
        return made(SimpleNamespace(leak=leak), 2.0, float("nan"), 2**20)

    def hits(self, model: Any, rows: list[int]) -> int:
        self.calls += 1
        if self.calls > self.dies_at:
            raise KeyboardInterrupt
        return min(model.leak, len(rows))

    def attacked(self, model: Any, name: str, rows: list[int], seed: int) -> int:
        del name, seed
        return self.hits(model, rows)

    def drawing_seconds(self, model: Any, rows: list[int]) -> float:
        del model, rows
        return 1.0


def compared(script: ModuleType, bench: CountingBench, out: Path) -> Any:
    found = script.Comparison(bench, out, trials=2, n_tuned=20)
    found.run(["UCE", "HiRM", "robust"], ["guitar"], [0], ["greedy words"])
    return found


def test_a_run_that_was_stopped_goes_on_where_it_was(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    script, page = scripts
    with pytest.raises(KeyboardInterrupt):
        compared(script, CountingBench(dies_at=14), tmp_path / "cut")
    left = (tmp_path / "cut" / "rows.jsonl").read_bytes()
    second = CountingBench()
    compared(script, second, tmp_path / "cut")
    whole = CountingBench()
    compared(script, whole, tmp_path / "whole")
    assert (tmp_path / "cut" / "rows.jsonl").read_bytes().startswith(left)
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("cut", "whole")]
    assert results[0] == results[1]
    assert second.calls < whole.calls
    lines = (tmp_path / "cut" / "rows.jsonl").read_text().splitlines()
    assert len({script.key(json.loads(line)) for line in lines}) == len(lines)  # one of each
    third = CountingBench()
    compared(script, third, tmp_path / "whole")
    assert third.calls == 0  # nothing is missing
    assert results[1]["refused"] == {"robust": "Robust needs more; give more."}
    rows = {(r["method"], r["group"], r["metric"]): r for r in results[1]["rows"]}
    greedy = rows["HiRM", "greedy words", "found"]
    assert (greedy["hits"], greedy["n"], greedy["ceiling"], greedy["adaptive"]) == (2, 2, 1.0, True)
    assert (
        rows["UCE", "greedy words", "found"]["adaptive"] is False
    )  # it looks at the encoder, UCE changes the denoiser
    assert rows["UCE", "cost", "changed bytes"]["value"] == 2**20
    text = page.filled(f"# Page\n{page.BEGIN}\nstale table\n{page.END}\nrest\n", page.Figures(results[1]))
    assert "stale table" not in text
    assert text.endswith("rest\n")
    assert "| **UCE** | denoiser | 10 % [2, 40] |" in text
    assert "| UCE | 50 % [9, 91] (static) |" in text.split("## Under attack")[1]
    assert "- robust: Robust needs more; give more." in text
    assert "10 prompts a group and 2 under attack, and 1 seed (0)" in text


def test_settings_are_taken_by_the_written_rule(scripts: tuple[ModuleType, ModuleType]) -> None:
    script, _ = scripts

    def trial(name: str, leak: float, kept: float) -> dict[str, Any]:
        return {"settings": {"name": name}, "leak": leak, "kept": kept}

    tight, loose, wild = trial("tight", 0.0, 0.7), trial("loose", 0.05, 0.9), trial("wild", 0.06, 1.0)
    assert script.taken([tight, loose, wild]) == {"name": "loose"}
    assert script.taken([wild, trial("worse", 0.5, 1.0)]) == {"name": "wild"}
    assert script.taken([trial("only", 1.0, 0.0)]) == {"name": "only"}
    first, second = trial("first", 0.0, 0.9), trial("second", 0.0, 0.9)
    assert script.taken([first, second]) == {"name": "first"}


def test_every_method_has_as_many_trials_and_development_is_no_task(
    scripts: tuple[ModuleType, ModuleType],
) -> None:
    script, _ = scripts
    assert {len(method.trials) for method in script.METHODS.values()} == {4}
    assert script.DEVELOPMENT not in script.TASKS
