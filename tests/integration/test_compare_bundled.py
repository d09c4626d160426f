"""``redact compare`` on the bundled bases, with few samples: methods of every kind, in both modalities."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import redact

from redact_core import RedactionCard

pytestmark = pytest.mark.slow


def figures(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert found["refused"] == {}
    return {(row["method"], row["group"]): row for row in found["rows"] if row["metric"] == "found"}


def test_pictures(tmp_path: Path) -> None:
    methods = [
        "HiRM: {direction: reference, learning_rate: 0.001}",
        "NegativePrompt: {concepts: [cigarette]}",
    ]
    assert (
        redact(
            "compare", "bundled", "--redact", "cigarette", "--methods", *methods, "--attacks", "EncoderSwap",
            "Misspelling: {kind: typo}", "--n", "8", "--n_attacked", "4", "--out", tmp_path / "out",
        )
        == 0
    )  # fmt: skip
    found = figures(tmp_path / "out")
    assert found["untouched", "redacted"]["hits"] == 8
    assert found["HiRM", "redacted"]["hits"] <= 2
    assert found["HiRM", "EncoderSwap-last-1"]["value"] == 1.0
    assert found["HiRM", "retained"]["changes"] == "encoder"
    assert found["NegativePrompt", "retained"]["changes"] == "guard"
    (folder,) = (tmp_path / "out" / "models").iterdir()
    assert RedactionCard.read(folder).method["objective"].endswith(".HiRM")
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "others: grader-feature Fréchet distance to base" in table
    assert "others, all of it" in table


def test_voices(tmp_path: Path) -> None:
    methods = ["Gating", "ClipFilter: {blocked: [voice21]}"]
    assert (
        redact(
            "compare", "SpeechT5", "bundled", "--redact", "voice21", "--reference", "voice05", "--methods", *methods,
            "--attacks", "ClipGradient: {snr: 30, steps: 4}", "--n", "4", "--n_attacked", "2", "--out", tmp_path / "out",
        )
        == 0
    )  # fmt: skip
    found = figures(tmp_path / "out")
    assert found["Gating", "redacted"]["hits"] == 0
    assert found["ClipFilter", "redacted"]["hits"] == 0
    attack = next(group for _, group in found if group.startswith("ClipGradient"))
    assert found["Gating", attack]["adaptive"] is True
    assert found["ClipFilter", attack]["adaptive"] is False
