"""The two-minute promise: one of each kind in a package of somebody else, a dozen lines each, named by ``class_path``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import redact

PACKAGE = {
    "modality": """
import json, torch
from PIL import Image
from safetensors.torch import load_file, save_file
from redact_core import Adapter, Conditioning, Lesson, Origin, PlanRow
from redact_core.adapters.capabilities import PlansEvaluations, Reopens

class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(128, 6)
        torch.nn.init.normal_(self.table.weight, generator=torch.Generator().manual_seed(0))
    def forward(self, inputs):
        return Conditioning(self.table(inputs["letters"]), inputs["letters"] > 0)

class Letters(Adapter, PlansEvaluations, Reopens):
    learning_rate, WORDS = 1e-1, ("plum", "pear", "fig")
    def __init__(self, folder: str = ""):
        self.encoder, self.folder = Reader(), folder
        if folder:
            self.encoder.load_state_dict(load_file(f"{folder}/encoder.safetensors"))
    origin = property(lambda self: Origin(source="letters", kind="Reader"))
    def collate(self, conditions):
        return {"letters": torch.tensor([[ord(c) for c in str(x).ljust(4)] for x in conditions])}
    def expand(self, request):
        gone = [Lesson.redact(x, request.reference_of(i) or "fig") for i, x in enumerate(request.redact)]
        return [*gone, *(Lesson.retain(x) for x in self.WORDS if x not in request.redact)]
    def generate(self, conditions, *, seeds):
        return list(self.conditioning_of(conditions, seeds).hidden.detach().sigmoid().unsqueeze(1).expand(-1, 3, -1, -1).cpu())
    def plan(self, request, n):
        return [PlanRow(request.redact[0], "redacted", "word", i, True) for i in range(n)]
    def write_sample(self, sample, path):
        path = path.with_suffix(".png")
        Image.fromarray((sample.permute(1, 2, 0) * 255).byte().numpy()).save(path)
        return path
    def save(self, folder):
        save_file(self.encoder.state_dict(), folder / "encoder.safetensors")
    def reopen(self, folder):
        return Letters(str(folder))
""",
    "objective": '''
from redact_core import Objective, conditioning_distance
from redact_core.objectives.distances import group_mean

class Pull(Objective):
    """Distillation of redacted rows alone."""
    def forward(self, student, batch):
        distance = conditioning_distance(student(batch.asked), batch.target)
        return {"pull": group_mean(distance, batch.redacted, batch.weight)}
''',
    "attack": '''
from redact_core import Attack, Attempt

class Shout(Attack):
    """Capitals."""
    access, adaptive, budget = "prompt", False, "1 prompt"
    def __call__(self, model, base, rows, *, seed):
        return [Attempt(condition=row.condition.upper(), queries=1) for row in rows]
''',
    "guard": '''
from redact_core import Guard

class Dim(Guard):
    """Half as bright."""
    def generate(self, conditions, *, seeds):
        return [sample / 2 for sample in self.inner.generate(conditions, seeds=seeds)]
''',
    "metric": '''
import torch
import numpy as np
from PIL import Image
from redact_core import Metric, Scorer

class Bright(Scorer):
    """Whether pictures are bright, as a rate that shall be low."""
    metrics = {"bright": Metric("rate", "low", None), "brightness": Metric("mean", None, None)}
    def read(self, path):
        return torch.from_numpy(np.array(Image.open(path)) / 255)
    def score(self, samples, rows):
        return [{"bright": float(x.mean() > 0.5), "brightness": x.mean().item()} for x in samples]
''',
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "elsewhere" / "my_redactions_for_a_test"
    folder.mkdir(parents=True)
    for name, text in {"__init__": "", **PACKAGE}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    return folder.name


def test_a_modality_method_attack_guard_and_metric_of_somebody_else_work_by_class_path(
    package: str, tmp_path: Path
) -> None:
    model, out, evidence = f"{package}.modality.Letters", tmp_path / "no_plum", tmp_path / "evidence"
    fit = [
        "--model.adapter", model, "--model.objective", f"{package}.objective.Pull",
        "--data.redact", "plum", "--data.reference", "pear", "--export.folder", out,
        "--trainer.max_steps", "40", "--trainer.accelerator", "cpu",
    ]  # fmt: skip
    assert redact("fit", *fit) == 0
    card = json.loads((out / "redaction.json").read_text(encoding="utf-8"))
    assert card["method"]["objective"] == f"{package}.objective.Pull"
    assert card["measures"]["redact distance after"] < 0.5 * card["measures"]["redact distance before"]

    guard = json.dumps({"dim": {"class_path": f"{package}.guard.Dim"}})
    attack = [
        "--base", model, "--redacted", out, "--redact", "plum", "--reference", "pear", "--n", 2, "--guards", guard,
        "--attacks", f"[{package}.attack.Shout]", "--scorers", f"[{package}.metric.Bright]", "--out", evidence,
    ]  # fmt: skip
    assert redact("attack", *attack) == 0
    rows = {
        (row["model"], row["group"]): row["redacted"]
        for row in json.loads((evidence / "summary.json").read_text(encoding="utf-8"))["rows"]
        if row["metric"] == "bright"
    }
    assert rows == {
        ("no_plum", "plain"): 1, ("no_plum", "attack:Shout"): 1, ("dim", "plain"): 0, ("dim", "attack:Shout"): 0,
    }  # fmt: skip
