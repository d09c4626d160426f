"""scripts/experiments/compare_methods.py and its page, on a bench that counts instead of drawing."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lightning_modules.comparison import tables
from lightning_modules.comparison.bench import Bench, Made
from lightning_modules.comparison.figures import Figures
from lightning_modules.comparison.running import Comparison, key, take_up, taken
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from redact_core import RedactError, Request
from redact_core.metrics.statistics import wilson, wilson_of_groups

SCRIPTS = Path(__file__).parents[2] / "scripts"
GROUPS = {"redacted": True, "reworded": True, "synonyms": True, "neighbours": False, "retained": False}


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
    base = SimpleNamespace(leak=10)
    leaks = {"UCE": 1, "HiRM": 4}  # noqa: RUF012 never changed
    attacks = {"greedy words": None}  # noqa: RUF012

    def __init__(self, dies_at: int = 10_000):
        self.calls, self.dies_at = 0, dies_at

    def plan(self, task: str, seed: int, n: int | None = None) -> dict[str, list[Any]]:
        del task, seed
        return {group: [SimpleNamespace(redacted=gone)] * (n or 10) for group, gone in GROUPS.items()}

    def head(self) -> dict[str, Any]:
        return {"base": "counting", "judge": "nobody"}

    def asked(self, task: str) -> dict[str, list[str]]:
        return {"redact": [task], "references": []}

    def attacked_rows(self, task: str, seed: int) -> list[Any]:
        return self.plan(task, seed)["redacted"][:2]

    def made(self, name: str, method: Any, settings: Any, task: str, seed: int, *, keep: bool = True) -> Made:
        del method, seed, keep
        if name == "robust":
            raise RedactError("Robust needs more; give more.")
        leak = self.leaks[name] + (5 if settings and task == "umbrella" else 0)
        model: Any = SimpleNamespace(leak=leak)
        return Made(
            model, "generator" if name == "UCE" else "encoder", {"seconds": 2.0, "changed bytes": 2**20}
        )

    def plain(self, model: Any, task: str, seed: int, group: str, n: int | None = None) -> dict[str, Any]:
        return {"found": self._figure(model, len(self.plan(task, seed, n)[group]))}

    def attacked(self, model: Any, changes: str, name: str, task: str, seed: int) -> dict[str, Any]:
        del name
        found = self._figure(model, len(self.attacked_rows(task, seed)))
        return {**found, "access": "encoder gradient", "adaptive": changes == "encoder", "budget": "6 steps"}

    def time_ratio(self, model: Any, task: str, seed: int) -> float:
        del model, task, seed
        return 1.0

    def _figure(self, model: Any, n: int) -> dict[str, Any]:
        self.calls += 1
        if self.calls > self.dies_at:
            raise KeyboardInterrupt
        rate = wilson(min(model.leak, n), n)
        return {
            "value": rate.value,
            "low": rate.low,
            "high": rate.high,
            "n": n,
            "hits": min(model.leak, n),
            "asked": n,
        }


def compared(script: ModuleType, bench: Any, out: Path) -> Any:
    methods = {name: script.compare_pictures.METHODS[name] for name in ("UCE", "HiRM", "robust")}
    found = Comparison(bench, out, methods, development="umbrella", trials=2, n_tuned=20)
    found.run(["guitar"], [0])
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
    assert len({key(json.loads(line)) for line in lines}) == len(lines)  # one of each
    third = CountingBench()
    compared(script, third, tmp_path / "whole")
    assert third.calls == 0  # nothing is missing
    assert results[1]["refused"] == {"robust": "Robust needs more; give more."}
    rows = {(r["method"], r["group"], r["metric"]): r for r in results[1]["rows"]}
    greedy = rows["HiRM", "greedy words", "found"]
    assert (greedy["hits"], greedy["n"], greedy["ceiling"], greedy["adaptive"]) == (2, 2, 1.0, True)
    assert rows["UCE", "cost", "changed bytes"]["value"] == 2**20
    marks = page.begin("compare_methods"), page.END
    text = page.filled(
        f"# Page\n{marks[0]}\nstale table\n{marks[1]}\nrest\n", Figures(results[1]), "compare_methods"
    )
    assert "stale table" not in text
    assert text.endswith("rest\n")
    assert "| UCE * | generator | 10 % [2, 40] |" in text
    # it looks at the encoder, UCE changes the denoiser
    assert "| UCE | 50 % [9, 91] (static) |" in text.split("## Under attack")[1]
    assert "- robust: Robust needs more; give more." in text
    assert "10 samples a group and 2 under attack, and 1 seed (0)" in text
    other = [{**row, "seed": 1} for row in results[1]["rows"]]
    both = page.merged([results[1], {**results[1], "rows": other}])
    assert len(both["rows"]) == 2 * len(results[1]["rows"])
    assert page.merged([results[1], results[1]]) == results[1]
    pooled = page.filled(f"{marks[0]}\n{marks[1]}", Figures(both), "compare_methods")
    assert "and 2 seeds (0, 1)" in pooled
    assert re.search(r"\| HiRM \* \|.*\| 2 \|$", pooled, flags=re.MULTILINE)
    assert "seed by seed" not in text


def test_pages_show_what_a_pooled_rate_hides(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, page = scripts

    def row(method: str, task: str, seed: int, hits: int) -> dict[str, Any]:
        about = {"method": method, "task": task, "seed": seed, "group": "greedy words", "kind": "attack"}
        return {**about, "metric": "found", "redacted": True, "hits": hits, "n": 10, "changes": "encoder"}

    rows = [
        *(row("UCE", task, seed, hits) for task, seed, hits in (("cat", 0, 0), ("cat", 1, 0), ("fire", 0, 1), ("fire", 1, 9))),
        row("HiRM", "cat", 0, 0), row("HiRM", "fire", 0, 0),
    ]  # fmt: skip
    found = Figures({"rows": rows, "tuning": {}, "refused": {}, "rule": "", "development": None})
    assert ["UCE", "25 % [14, 40] (static)"] in tables.attacked(found)
    worst = dict(tables.worst_task(found)[1:])
    assert worst == {"UCE": "50 % [30, 70] fire", "HiRM": "0 % [0, 28]"}
    assert tables.attacked_by_seed(found)[1:] == [["UCE", "0", "5 % [1, 24]"], ["UCE", "1", "45 % [26, 66]"]]
    # other concepts may do as any of these did, so the interval over concepts holds them
    hits = [0, 0, 0, 0, 5, 10]
    spread = [row("UCE", f"task {i}", 0, h) for i, h in enumerate(hits)]
    every = Figures({"rows": spread, "tuning": {}, "refused": {}, "rule": "", "development": None})
    assert every.rate("UCE", "greedy words") == wilson_of_groups(hits, [10] * 6)
    assert tables.attacked(every)[1] == ["UCE", "25 % [4, 71] (static)"]
    text = page.body(found, "compare_methods")
    assert "| UCE | 50 % [30, 70] fire |" in text
    assert "| UCE | 1 | 45 % [26, 66] |" in text


def test_a_comparison_goes_on_from_its_results_alone(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    script, _ = scripts
    first = compared(script, CountingBench(), tmp_path / "first")
    results = tmp_path / "first" / "results.json"
    take_up(tmp_path / "second", results)
    second = CountingBench()
    found = compared(script, second, tmp_path / "second")
    assert second.calls == 0
    assert found.rows == first.rows
    assert found.tuned == first.tuned
    before = (tmp_path / "second" / "rows.jsonl").read_bytes()
    take_up(tmp_path / "second", tmp_path / "none.json")  # it has rows
    assert (tmp_path / "second" / "rows.jsonl").read_bytes() == before
    (tmp_path / "other.json").write_text('{"rows": 3}')
    with pytest.raises(RedactError, match=r"holds no results of a comparison; give a results\.json"):
        take_up(tmp_path / "third", tmp_path / "other.json")
    assert not (tmp_path / "third").exists()


def test_a_comparison_goes_on_from_the_files_of_its_tasks_and_seeds(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    script, page = scripts
    compared(script, CountingBench(), tmp_path / "first")
    results = json.loads((tmp_path / "first" / "results.json").read_text())
    parts = [(task, seed) for task in ("guitar", "style: ink") for seed in (0, 1)]
    rows = [{**row, "task": task, "seed": seed} for task, seed in parts for row in results["rows"]]
    files = dict(page.stored({**results, "rows": rows}, tmp_path / "kept"))
    # of a seed each, so that a further one makes no file longer
    assert sorted(path.name for path in files) == [
        "guitar_0.json", "guitar_1.json", "style_ink_0.json", "style_ink_1.json",
    ]  # fmt: skip
    (tmp_path / "kept").mkdir()
    for path, text in files.items():
        path.write_text(text)
        assert text.count("\n") == len(results["rows"]) + 2  # a row a line
    together = page.merged([json.loads(text) for text in files.values()])
    whole, again = Figures({**results, "rows": rows}), Figures(together)
    assert page.body(again, "kept") == page.body(whole, "kept")
    take_up(tmp_path / "second", tmp_path / "kept")
    second = CountingBench()
    compared(script, second, tmp_path / "second")
    assert second.calls == 0
    with pytest.raises(RedactError, match="holds no results of a comparison"):
        take_up(tmp_path / "third", tmp_path / "first" / "models")


def test_numbers_in_the_plot_keep_away_from_dots(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, page = scripts
    taken = [(100.0, 100.0)] * 8
    for _ in range(8):
        x, y = page.free_place(100.0, 100.0, taken, (100.0, 90.0))
        assert all((100 + x - a) ** 2 + (100 + y - b) ** 2 > 15**2 for a, b in taken)
        # beyond the corner the axes have numbers of their own
        assert x > 0
        assert y > -10
        taken.append((100 + x, 100 + y))


def test_what_is_asked_for_with_more_rows_is_measured_again(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    script, _ = scripts
    compared(script, CountingBench(), tmp_path)

    class Larger(CountingBench):
        def plan(self, task: str, seed: int, n: int | None = None) -> dict[str, list[Any]]:
            return super().plan(task, seed, n or 12)

    larger = Larger()
    found = compared(script, larger, tmp_path)
    assert larger.calls == 3 * len(GROUPS)  # of three models, and no attack again
    assert found.rows["UCE", "guitar", "redacted", "found", 0]["n"] == 12


def test_settings_are_taken_by_the_written_rule() -> None:
    def trial(name: str, leak: float, kept: float) -> dict[str, Any]:
        return {"settings": {"name": name}, "leak": leak, "kept": kept}

    tight, loose, wild = trial("tight", 0.0, 0.7), trial("loose", 0.05, 0.9), trial("wild", 0.06, 1.0)
    assert taken([tight, loose, wild]) == {"name": "loose"}
    assert taken([wild, trial("worse", 0.5, 1.0)]) == {"name": "wild"}
    assert taken([trial("only", 1.0, 0.0)]) == {"name": "only"}
    first, second = trial("first", 0.0, 0.9), trial("second", 0.0, 0.9)
    assert taken([first, second]) == {"name": "first"}


def test_the_front_weighs_leak_damage_and_seconds() -> None:
    def rows(name: str, leak: int, kept: int, seconds: float | None) -> list[dict[str, Any]]:
        common = {
            "method": name,
            "task": "guitar",
            "seed": 0,
            "changes": "encoder",
            "metric": "found",
            "kind": "plain",
            "n": 10,
        }
        found = [
            {**common, "group": "redacted", "redacted": True, "hits": leak, "value": leak / 10},
            {**common, "group": "neighbours", "redacted": False, "hits": kept, "value": kept / 10},
        ]
        cost = {**common, "group": "cost", "kind": "cost", "metric": "seconds", "value": seconds}
        return [*found, cost] if seconds is not None else found

    found = [
        *rows("untouched", 10, 10, 0.0), *rows("slow and tight", 0, 10, 90.0), *rows("fast and loose", 3, 10, 1.0),
        *rows("slower", 0, 10, 100.0), *rows("damaging", 0, 5, 95.0), *rows("unknown time", 0, 10, None),
    ]  # fmt: skip
    figures = Figures({"rows": found, "tuning": {}, "refused": {}, "rule": "", "development": None})
    assert figures.front() == ["slow and tight", "fast and loose"]
    assert figures.lost("damaging") == 50.0
    # the base, then the least leak, then the least damage
    order = ["untouched", "slow and tight", "slower", "unknown time", "damaging", "fast and loose"]
    assert figures.methods == order


def test_every_method_has_as_many_trials_and_development_is_no_task(
    scripts: tuple[ModuleType, ModuleType],
) -> None:
    script, _ = scripts
    for known in script.MODALITIES.values():
        assert {len(method.trials) for method in known.METHODS.values()} == {4}
        assert known.DEVELOPMENT not in known.TASKS


def test_a_distance_stands_beside_its_floor() -> None:
    common = {
        "task": "guitar",
        "seed": 0,
        "changes": "encoder",
        "kind": "plain",
        "group": "retained",
        "redacted": False,
    }
    rows = [
        {**common, "method": name, "metric": "found", "hits": 9, "n": 10, "value": 0.9}
        for name in ("untouched", "UCE")
    ]
    rows.append(
        {**common, "method": "UCE", "metric": "Fréchet distance", "value": 322.0, "floor": 300.0, "n": 5}
    )
    figures = Figures({"rows": rows, "tuning": {}, "refused": {}, "rule": "", "development": None})
    assert tables.damage(figures) == [
        ["method", "others", "others: Fréchet distance"],
        ["untouched", "90 % [60, 98]", "–"],
        ["UCE", "90 % [60, 98]", "322 of 300"],
    ]


def test_what_a_base_noted_of_a_request_makes_it_no_other_base() -> None:
    """One bench serves several comparisons, each with requests of its own."""
    bench = Bench(
        lambda: StableDiffusion("bundled"), GraderScorer(), lambda task, seed: Request((task,), seed=seed), {}, n=1,
        n_attacked=1,
    )  # fmt: skip
    before = bench.head()
    bench.base.with_references(bench.request("guitar", 0))
    assert bench.base.chosen_references
    assert bench.head() == before
