"""scripts/experiments/many_at_once.py in short, on tiny weights."""

import json
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "experiments"))

import many_at_once


def test_counts_are_nested_measured_once_and_followed_by_one_more(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TinyBench(many_at_once.Bench):
        def __init__(self, device: str):
            super().__init__(str(tiny_sd), device)
            self.base.steps = 2

    monkeypatch.setattr(many_at_once, "Bench", TinyBench)
    args = Namespace(
        out=tmp_path, counts=[1, 2], objective="ClosedForm: {disturbed: 0}", n=4, seed=3, most_rows=60, later=True,
        device="cpu",
    )  # fmt: skip
    many_at_once.quality(args)
    text = (tmp_path / "results.json").read_text()
    rows = json.loads(text)["rows"]
    assert [row["count"] for row in rows if row["group"] == "nearest"] == ["1", "2", "later"]
    assert {row["group"] for row in rows if row["count"] == "later"} == {
        *many_at_once.GROUPS,
        "the later one",
    }
    assert all(0 <= row["after"] <= row["n"] <= 4 for row in rows)
    assert all(0 < row["rows"] <= 60 for row in rows)
    # nothing is measured or trained again
    monkeypatch.setattr(TinyBench, "found", partial(pytest.fail, "measured again"))
    many_at_once.quality(args)
    assert (tmp_path / "results.json").read_text() == text
