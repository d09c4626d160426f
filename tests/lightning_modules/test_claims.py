"""A run claims what it did and no more: trainings that did nothing, diverged, ended early, or go on for another."""

import ast
import json
import math
import os
import shutil
import signal
from pathlib import Path

import lightning as L
import pytest
import torch
from command import redact as command
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from torch import nn

from lightning_modules import ExportRedacted, RedactionData, RedactionModule
from lightning_modules.training.checkpoints import LastCheckpoint
from lightning_modules.training.progress import StepProgress
from modalities.text_to_image import StableDiffusion
from redact_core import Adapter, Distillation, Lesson, Objective, RedactError, RedactionCard, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.support.folders import check_space, hashes
from redact_core.support.strict_json import strict_json
from redact_core.training import run, soundness

ROOT = Path(__file__).parents[2]
LESSONS = [Lesson.redact("plum", "pear"), *(Lesson.retain(w) for w in ("fig", "kiwi", "lime", "melon"))]


def fit(out: Path, *more: object, steps: object = 4) -> int:
    return command(
        "fit", "--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--data.redact", "plum",
        "--data.reference", "pear", "--export.folder", out, "--trainer.max_steps", steps,
        "--trainer.accelerator", "cpu", *more,
    )  # fmt: skip


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that explains a mistake."""
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("redact: ") and "%|" not in x]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trainer.max_steps", "0"], "--trainer.max_steps is 0, so nothing would be trained"),
        (["--trainer.max_steps", "-1", "--trainer.max_epochs", "0"], "--trainer.max_epochs is 0"),
        (["--trainer.limit_train_batches", "0"], "--trainer.limit_train_batches is 0"),
        (["--trainer.max_time", "00:00:00:00"], "ended before its first step"),
        (["--model.lr", "0"], "The learning rate is 0.0; give a finite number above 0."),
        (["--model.lr", ".nan"], "The learning rate is nan"),
        (["--model.lr", "1e30"], "The training diverged: in step 2 the loss term redact is"),
        (["--model.lr", "1e30", "--trainer.detect_anomaly", "true"], "The training diverged: "),
        (["--optimizer", "SGD", "--optimizer.lr", "0"], "Every weight is still the base's"),
    ],
)
def test_a_training_that_does_nothing_or_diverges_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert fit(tmp_path / "in" / "out", *more) == 2
    assert message in said(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_last_step_that_goes_too_far_is_refused(tmp_path: Path, capsys) -> None:
    """No loss is computed after it; the measures tell."""
    assert fit(tmp_path / "out", "--model.lr", "1e30", steps=1) == 2
    assert 'The measure "redact distance after" is' in said(capsys)
    assert not (tmp_path / "out").exists()


def test_fast_dev_run_takes_nothing(tmp_path: Path, capsys) -> None:
    assert fit(tmp_path / "out", "--trainer.fast_dev_run", "true") == 0
    assert capsys.readouterr().out.count("nothing was exported") == 1
    assert list(tmp_path.iterdir()) == []
    assert fit(tmp_path / "out") == 0


def test_a_distance_that_did_not_fall_is_on_screen_and_card(tmp_path: Path, capsys) -> None:
    assert fit(tmp_path / "out", "--model.lr", "1000") == 0
    note, damage = RedactionCard.read(tmp_path / "out").notes
    assert note.startswith("The redact distance did not fall: ")
    assert note in capsys.readouterr().out
    assert note in (tmp_path / "out" / "README.md").read_text()
    assert damage.startswith("What is retained moved by ")
    assert fit(tmp_path / "hardly", "--model.lr", "1e-5") == 0
    assert "fell by 0." in RedactionCard.read(tmp_path / "hardly").notes[0]
    assert fit(tmp_path / "well", "--model.lr", "0.1", steps=30) == 0
    assert RedactionCard.read(tmp_path / "well").notes == []


class Stop(L.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        trainer.should_stop = trainer.global_step == 2


def trained(folder: Path, *callbacks: L.Callback, ckpt: Path | None = None, **options) -> RedactionCard:
    """In Python, without the command line."""
    adapter = options.pop("adapter", None) or ToyAdapter()
    lessons = options.pop("lessons", LESSONS)
    module = RedactionModule(adapter, options.pop("objective", None), lr=options.pop("lr", 0.05))
    path = folder.with_suffix(".csv")
    path.write_text("asked,answer\n" + "".join(f"{row.asked},{row.answer}\n" for row in lessons))
    data = RedactionData(adapter, lessons=path, batch_size=2, seed=options.pop("seed", 0))
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[ExportRedacted(folder), *callbacks], default_root_dir=folder.parent,
        **{"max_steps": 6, "enable_checkpointing": bool(callbacks)} | options,
    )  # fmt: skip
    trainer.fit(module, data, ckpt_path=ckpt, weights_only=True)
    return RedactionCard.read(folder)


def test_the_card_says_which_steps_were_taken(tmp_path: Path) -> None:
    card = trained(tmp_path / "early", Stop(), enable_checkpointing=False)
    assert card.method["steps"] == 2
    assert any(note.startswith("The training was ended after 2 of 6 steps") for note in card.notes)
    card = trained(tmp_path / "few", limit_train_batches=1, gradient_clip_val=0.5)
    assert "The training saw 2 of the 5 rows." in card.notes
    assert card.method["gradient_clip_val"] == 0.5
    card = trained(tmp_path / "apart", accumulate_grad_batches=2, max_steps=-1, max_epochs=2)
    assert (card.method["steps"], card.method["accumulate_grad_batches"]) == (4, 2)
    assert not any("ended after" in note or "rows" in note for note in card.notes)


@pytest.mark.parametrize(("sent", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_a_signal_ends_in_status_2_and_no_artefact(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, sent: signal.Signals, name: str
) -> None:
    monkeypatch.setattr(StepProgress, "on_train_batch_end", lambda *_: os.kill(os.getpid(), sent))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a shell ignores it in what runs in the background
        assert fit(tmp_path / "out", "--checkpoint.every_n_train_steps", "1", steps=50) == 2
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert f"Stopped by a signal ({name})" in said(capsys)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    keep = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    trained(folder / "out", keep)
    return folder / "step=3.ckpt"


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"seed": 1}, "seed (0 there, 1 here)"),
        ({"lr": 0.1}, "learning rate (0.05 there, 0.1 here)"),
        ({"objective": Distillation(2.0)}, "objective.redact_weight (1.0 there, 2.0 here)"),
        ({"lessons": [Lesson.redact("plum", "fig"), *LESSONS[1:]]}, "with other: references."),
        ({"lessons": [Lesson.redact("cherry", "pear"), *LESSONS[1:]]}, "with other: what is redacted."),
        ({"lessons": LESSONS[:-1]}, "with other: what is retained."),
        ({"adapter": ToyAdapter(1)}, "with other: base, adapter.seed (0 there, 1 here)."),
    ],
)
def test_a_checkpoint_of_another_request_is_refused_by_name(
    checkpoint: Path, tmp_path: Path, options: dict, differs: str
) -> None:
    with pytest.raises(RedactError, match="The checkpoint belongs to another training") as refused:
        trained(tmp_path / "out", ckpt=checkpoint, **options)
    assert differs in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_goes_on_and_a_longer_plan_is_told(checkpoint: Path, tmp_path: Path) -> None:
    again = trained(tmp_path / "same", ckpt=checkpoint)
    assert again.measures == RedactionCard.read(checkpoint.parent / "out").measures
    assert not any("taken up again" in note for note in again.notes)
    longer = trained(tmp_path / "longer", ckpt=checkpoint, max_steps=9)
    assert any("after 3 steps that were planned as a part of 6, not of 9" in note for note in longer.notes)


def test_a_run_that_goes_on_leaves_no_checkpoint_of_the_stopped_one(tmp_path: Path) -> None:
    """A killed run may have written a checkpoint after the one that it is taken up from."""

    def keep() -> LastCheckpoint:
        return LastCheckpoint(
            tmp_path / "run", filename="{step}", every_n_train_steps=2, save_top_k=1, save_last=True
        )

    trained(tmp_path / "stopped", keep(), Stop())
    run = tmp_path / "run"
    shutil.copyfile(run / "step=2.ckpt", run / "step=4.ckpt")
    trained(tmp_path / "out", keep(), ckpt=run / "last.ckpt")
    assert sorted(path.name for path in run.iterdir()) == ["last.ckpt", "step=6.ckpt"]


def test_the_digest_of_all_weights_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[nn.Module] = []
    for module in (run, soundness):
        monkeypatch.setattr(module, "weights_digest", lambda part: taken.append(part) or str(len(taken)))
    trained(tmp_path / "out")
    teacher, student = taken
    assert not any(p.requires_grad for p in teacher.parameters())
    assert any(p.requires_grad for p in student.parameters())


def test_a_checkpoint_of_another_optimiser_is_refused(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    def plain(self: RedactionModule) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.student.parameters(), lr=0.1)

    monkeypatch.setattr(RedactionModule, "configure_optimizers", plain)
    with pytest.raises(Exception, match=r"AdamW in place of SGD|lr_schedulers"):
        trained(tmp_path / "out", ckpt=checkpoint)


def test_weights_that_are_not_finite_are_in_no_checkpoint(tmp_path: Path) -> None:
    class Break(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            next(pl_module.student.parameters()).data.fill_(math.inf)

    keep = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=1)
    with pytest.raises(RedactError, match="weight mix is not finite"):
        trained(tmp_path / "out", Break(), keep)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_weight_beyond_the_bases_number_format_is_not_written(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion(str(tiny_sd))
    with torch.no_grad():
        next(model.encoder.parameters())[0, 0] = 1e6  # the base is in half precision
    with pytest.raises(RedactError, match=r"is not finite as torch\.float16"):
        model.save(tmp_path)


def test_what_did_not_change_is_copied_bit_by_bit(tiny_sd: Path, tmp_path: Path) -> None:
    """Also where the redacted part was loaded: rewriting would change the file without changing a weight."""
    base = Path(shutil.copytree(tiny_sd, tmp_path / "base"))
    weights = base / "text_encoder" / "model.safetensors"
    state = {name: value.clone() for name, value in load_file(weights).items()}
    data = weights.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    # the same tensors behind a header that our library would order in another way
    text = json.dumps(dict(sorted(header.items(), reverse=True))).encode()
    text += b" " * (-len(text) % 8)
    weights.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert all(torch.equal(value, state[name]) for name, value in load_file(weights).items())
    (tmp_path / "out").mkdir()
    StableDiffusion(str(base)).save(tmp_path / "out")
    old, new = hashes(base), hashes(tmp_path / "out")
    assert old.keys() == new.keys()
    assert not [name for name in old if old[name] != new[name] and not name.endswith("config.json")]


def test_a_model_that_did_not_change_in_the_bases_number_format_is_refused(
    tiny_sd: Path, tmp_path: Path, capsys
) -> None:
    """The base is in half precision: the steps are lost when it is written."""
    rows = tmp_path / "rows.csv"
    rows.write_text("asked,answer\ncat,dog\nred,red\n")
    status = command(
        "fit", "--model.adapter", "StableDiffusion", "--model.adapter.source", tiny_sd, "--data.lessons", rows,
        "--model.objective", "Distillation", "--model.lr", "1e-12", "--export.folder", tmp_path / "out",
        "--trainer.max_steps", 2, "--trainer.accelerator", "cpu",
    )  # fmt: skip
    assert status == 2
    assert "Every weight is still the base's, in the base's number format" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_json_is_strict_and_says_where_a_number_is_not_finite() -> None:
    with pytest.raises(RedactError, match=r"redaction.json was not written: measures\.b\[1\] is nan"):
        strict_json({"measures": {"a": 1.0, "b": [0.0, math.nan]}}, "redaction.json")
    calls = [
        (path.relative_to(ROOT), node.lineno)
        for package in ("redact_core", "modalities", "lightning_modules", "scripts")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "json.dump" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"dump", "dumps"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "json"
        and "allow_nan" not in {keyword.arg for keyword in node.keywords}
    ]
    assert calls == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0; give at least 1"),
        ({"steps": -3}, "steps is -3; give at least 1"),
        ({"lr": 0}, "The learning rate is 0; give a finite number above 0."),
        ({"lr": -1e-3}, "The learning rate is -0.001"),
        ({"lr": math.inf}, "The learning rate is inf"),
        ({"lr": 1e30, "steps": 5}, "The training diverged: in step 2"),
        ({"lr": 1e30, "steps": 1}, 'The measure "redact distance after" is nan, so the training diverged.'),
    ],
)
def test_redact_in_python_refuses_the_same(options: dict, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        redact(ToyAdapter(), LESSONS, **options)


def test_a_base_that_is_damaged_is_refused_before_training(tmp_path: Path) -> None:
    adapter = ToyAdapter()
    next(adapter.encoder.parameters()).data[0] = math.nan
    with pytest.raises(
        RedactError, match=r"untouched model.s weight mix is not finite .*fetch the model again"
    ):
        trained(tmp_path / "out", adapter=adapter)


class Weights(Distillation):
    """Trains the generator, as methods about it do."""

    def prepare(self, adapter: Adapter) -> nn.Module:
        return nn.Linear(2, 2)


def test_a_damaged_encoder_or_one_in_half_precision_is_refused_by_every_way_to_train(tmp_path: Path) -> None:
    damaged, half = ToyAdapter(), ToyAdapter().to(dtype=torch.float16)
    next(damaged.encoder.parameters()).data[0] = math.nan
    for train in (
        lambda adapter, method: redact(adapter, LESSONS, objective=method, steps=1),
        lambda adapter, method: trained(tmp_path / "out", adapter=adapter, objective=method),
    ):
        with pytest.raises(RedactError, match=r"untouched model.s weight mix is not finite"):
            train(damaged, Weights())
        with pytest.raises(RedactError, match=r"weights are float16; training needs float32"):
            train(half, None)
    assert list(tmp_path.glob("out")) == []


def test_a_disk_without_room_is_refused_before_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    (tmp_path / "weights").write_bytes(b"x" * 1000)
    with pytest.raises(RedactError, match="The disk is full"):
        check_space(tmp_path / "out", [tmp_path / "weights"])


def test_every_method_is_told_apart_by_its_settings() -> None:
    from redact_core.training.identity import differences, run_identity

    def identity(objective: Objective) -> dict:
        return run_identity(ToyAdapter(), objective, "x", ["a"], LESSONS, seed=0)

    from redact_core import ClosedForm, RobustDistillation
    from redact_core.objectives.sequential import SequentialDistillation

    assert differences(identity(Distillation()), identity(Distillation())) == []
    # a checkpoint of a version that took what a model had noted of a request for settings
    old = identity(Distillation())
    old["adapter"]["chosen_references"] = "sha256:0"
    assert differences(old, identity(Distillation())) == []
    noting = ToyAdapter()
    noting.chosen_references = ("fig (chosen, at 0.7)",)
    assert run_identity(noting, Distillation(), "x", ["a"], LESSONS, seed=0) == identity(Distillation())
    assert differences(
        identity(Distillation(start=ClosedForm())), identity(Distillation(start=ClosedForm(ridge=1)))
    ) == ["objective.start.ridge (0.0001 there, 1 here)"]
    assert differences(
        identity(SequentialDistillation((2, 3))), identity(SequentialDistillation((2, 4)))
    ) == ["objective.steps"]
    assert differences(identity(RobustDistillation()), identity(Distillation()))
