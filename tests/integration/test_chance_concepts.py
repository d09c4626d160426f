"""scripts/experiments/chance_concepts.py in short, on tiny weights."""

import importlib.util
import json
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "experiments" / "chance_concepts.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chance_concepts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SETTINGS = {
    "n": 2, "seed": 3, "steps": 2, "batch_size": 8, "references": {}, "source": "tiny", "retain": [],
    "adapter": {"implicit_synonyms": 0, "per_name": 1},
}  # fmt: skip


def test_concepts_are_drawn_by_the_seed(script: ModuleType) -> None:
    thirty = script.drawn_by_chance(30, 0)
    assert thirty == script.drawn_by_chance(30, 0)
    assert len(set(thirty)) == 30
    assert thirty != script.drawn_by_chance(30, 1)
    assert len(script.drawn_by_chance(1000, 0)) == 165


def test_one_concept_from_training_to_the_table(
    script: ModuleType, tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script.Bench(str(tiny_sd))
    bench.base.steps = 2
    monkeypatch.setattr(script, "_bench", bench)
    path = tmp_path / "tiger.json"
    assert script.work("tiger", SETTINGS, path) == ""
    found = script.read(path, SETTINGS)
    assert found["reference"] in bench.base.vocabulary.concepts
    assert found["remark"].startswith(
        f'No reference was named for "tiger"; "{found["reference"]}" was chosen.'
    )
    groups = {f"{group} {name}" for group in script.GONE for name in ("floor", "after")}
    assert set(found["hits"]) == groups | {"kept before", "kept after"}
    assert all(0 <= hits <= 2 for hits in found["hits"].values())
    # other settings are another measurement, and a damaged file none
    assert script.read(path, SETTINGS | {"n": 3}) is None
    (tmp_path / "damaged.json").write_text("{")
    assert script.read(tmp_path / "damaged.json", SETTINGS) is None
    lines = script.table(script.summary([found], {"fish": "Traceback\nValueError: no"})).splitlines()
    assert lines[1].startswith("tiger ")
    assert lines[-1] == "fish failed: ValueError: no"


def test_what_fails_is_said_and_nothing_is_written(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def measure(self, concept: str, settings: dict) -> dict:
            raise ValueError(concept)

    monkeypatch.setattr(script, "_bench", Failing())
    assert script.work("tiger", SETTINGS, tmp_path / "tiger.json").endswith("ValueError: tiger\n")
    assert not list(tmp_path.iterdir())


def test_a_process_that_dies_takes_only_its_own_concept_along(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Pool:
        def __init__(self, *_: object, **__: object):
            opened.append(self)

        def submit(self, work, concept: str, *_: object) -> Future:
            future: Future = Future()
            if concept == "fish":
                future.set_exception(BrokenProcessPool("killed"))
            else:
                future.set_result("")
            return future

        def shutdown(self) -> None:
            pass

    monkeypatch.setattr(script, "ProcessPoolExecutor", Pool)
    todo = {name: tmp_path / name for name in ("car", "fish", "bus", "radio")}
    found = dict(script.run(todo, SETTINGS, "bundled", "cpu", workers=2, threads=1))
    assert found == {"car": "", "bus": "", "radio": "", "fish": "its process died: killed"}
    assert len(opened) == 2 + script.TRIES
    late = dict(script.run(todo, SETTINGS, "bundled", "cpu", workers=2, threads=1, seconds=-1))
    assert set(late) == set(todo)
    assert all(problem.startswith("not begun: the time was up") for problem in late.values())


def test_the_summary_pools_concepts_and_counts_points(script: ModuleType) -> None:
    def concept(name: str, after: int, floor: int, kept: int) -> dict:
        hits = {
            f"{group} {what}": value
            for group in script.GONE[:2]
            for what, value in (("after", after), ("floor", floor))
        }
        return {
            "concept": name, "reference": "x", "choice": "x", "n": 100, "n_kept": 100, "seconds": {},
            "hits": hits | {"kept before": 95, "kept after": kept},
        }  # fmt: skip

    found = script.summary([concept("car", 5, 2, 95), concept("bus", 2, 0, 90)], {})
    assert found["concepts"]["car"]["points above the floor"] == {"redacted": 3.0, "reworded": 3.0}
    assert found["all"]["redacted after"]["value"] == pytest.approx(0.035)
    assert found["all"]["redacted after"]["n"] == 200
    assert found["within the aim"] == {"redacted": 1, "reworded": 1, "synonyms": 2, "nearest": 1}
    assert json.loads(json.dumps(found)) == found
