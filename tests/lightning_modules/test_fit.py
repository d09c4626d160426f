"""``redact fit`` as users call it: requests, artefacts, interruption, processes, bad input."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from fitting import CAT, fit, on, same_files
from safetensors.torch import load_file

from lightning_modules import ExportRedacted, RedactionData, RedactionModule
from redact_core import Lesson, RedactionCard, redact
from redact_core.adapters.contract import ToyAdapter

ROOT = Path(__file__).parents[2]


def test_fit_writes_a_folder_with_card_and_config(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert fit(monkeypatch, *on(tiny_sd, out), *CAT) == 0
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert set(card.changed) == {"config.yaml", "text_encoder/model.safetensors"}
    assert card.measures["redact distance after"] < card.measures["redact distance before"]
    # random weights read all short prompts nearly alike, which is said
    (asked,) = card.request["asked"]
    assert asked.startswith('cat -> dog (warned: it is nearly "cats" to the encoder; it lies at 0.')
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["data"]["redact"] == "cat" or config["data"]["redact"] == ["cat"]
    assert config["model"]["adapter"]["class_path"].endswith("StableDiffusion")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out.run"]
    capsys.readouterr()
    assert fit(monkeypatch, out, verb="card") == 0
    assert f"All {len(card.files)} files match the card." in capsys.readouterr().out
    (out / "text_encoder" / "model.safetensors").write_bytes(
        (tiny_sd / "text_encoder" / "model.safetensors").read_bytes()
    )
    assert fit(monkeypatch, out, verb="card") == 2
    assert "the stock file again: the redaction is undone" in capsys.readouterr().err


def test_the_runs_folder_and_checkpoints_go_where_one_says(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    rows = str(_csv(tmp_path, [Lesson.redact("cat", "dog"), Lesson.retain("red")]))
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump({"trainer": {"max_steps": 2}, "export": {"folder": str(tmp_path / "a")}})
    )
    more = ["-c", config, "--trainer.default_root_dir", tmp_path / "mine"]
    own = on(tiny_sd, tmp_path / "a", 2, "--checkpoint.every_n_train_steps", "1", "--data.lessons", rows)
    assert fit(monkeypatch, *own, *more) == 0
    assert list((tmp_path / "mine" / "checkpoints").glob("*.ckpt"))
    assert not (tmp_path / "a.run").exists()
    assert yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())["trainer"]["default_root_dir"] == str(
        tmp_path / "mine"
    )
    again = ["--checkpoint.dirpath", tmp_path / "kept", "--export.folder", tmp_path / "b"]
    assert fit(monkeypatch, *own, *again) == 0
    assert list((tmp_path / "kept").glob("*.ckpt"))
    written = yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())
    assert "default_root_dir" not in written["trainer"], (
        "it follows from the folder that the config is used for"
    )
    assert written["checkpoint"]["dirpath"] == str(tmp_path / "kept")


def test_the_written_config_repeats_the_run(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "a"), *CAT) == 0
    assert fit(monkeypatch, "-c", tmp_path / "a" / "config.yaml", "--export.folder", tmp_path / "b") == 0
    assert same_files(tmp_path / "a", tmp_path / "b")


def test_mixed_precision_trains_and_saves_in_the_bases_own_type(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    assert (
        fit(monkeypatch, *on(tiny_sd, tmp_path / "out", 20, "--trainer.precision", "bf16-mixed"), *CAT) == 0
    )
    measures = RedactionCard.read(tmp_path / "out").measures
    assert measures["redact distance after"] < 0.9 * measures["redact distance before"]
    weights = "text_encoder/model.safetensors"
    before, after = (load_file(folder / weights) for folder in (tiny_sd, tmp_path / "out"))
    assert all(after[key].dtype == value.dtype for key, value in before.items())


def test_redact_equals_the_lightning_module(tmp_path: Path) -> None:
    """The plain loop and the trainer take the same steps, bit by bit."""
    lessons = [Lesson.redact("plum", "pear"), *(Lesson.retain(w) for w in ("fig", "kiwi", "lime", "melon"))]
    plain = ToyAdapter()
    terms: list[dict[str, float]] = []
    redact(plain, lessons, steps=10, batch_size=2, seed=4, on_step=lambda step, t: terms.append(t))
    trained = ToyAdapter()
    data = RedactionData(trained, lessons=_csv(tmp_path, lessons), batch_size=2, seed=4)
    logged: list[dict[str, float]] = []

    class Record(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            logged.append({k: v.item() for k, v in trainer.callback_metrics.items()})

    trainer = L.Trainer(
        max_steps=10, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[Record()],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(RedactionModule(trained), data)
    assert logged == terms
    assert all(map(torch.equal, plain.encoder.state_dict().values(), trained.encoder.state_dict().values()))


def test_progress_and_checkpoints_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = ["--trainer.enable_progress_bar", "false", "--trainer.enable_checkpointing", "false"]
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "off"), *CAT, *off) == 0
    assert "step/s" not in capsys.readouterr().err
    assert not list((tmp_path / "off.run").rglob("*.ckpt"))
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "on"), *CAT) == 0
    assert "step/s" in capsys.readouterr().err
    assert list((tmp_path / "on.run").rglob("*.ckpt"))
    assert same_files(tmp_path / "off", tmp_path / "on")


def _csv(folder: Path, lessons: list[Lesson]) -> Path:
    path = folder / "lessons.csv"
    path.write_text("asked,answer\n" + "".join(f"{row.asked},{row.answer}\n" for row in lessons))
    return path


def test_export_can_hide_what_was_redacted(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    arguments = [*CAT, "--export.disclosure", "digest", "--export.key", key]
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *arguments) == 0
    card = RedactionCard.read(tmp_path / "out")
    assert len(card.request["digests"]) == card.request["redacted_lessons"]
    for name in ("redaction.json", "README.md", "config.yaml"):
        text = (tmp_path / "out" / name).read_text()
        assert "cat" not in text.replace("replica", "").replace("truncate", "").replace("digest", "").split()


def start(*arguments: str, cwd: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_modules", "fit", *arguments], cwd=cwd, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_killed_three_times_and_resumed_gives_the_same_artefact(tiny_sd: Path, tmp_path: Path) -> None:
    arguments = [
        *on(tiny_sd, tmp_path / "whole", 60),
        *CAT,
        "--checkpoint.every_n_train_steps",
        "5",
        "--data.batch_size",
        "8",
    ]
    whole = start(*arguments, cwd=tmp_path)
    assert whole.wait(300) == 0, whole.stdout.read()
    arguments[arguments.index("--export.folder") + 1] = str(tmp_path / "cut")
    checkpoint, rng, kills = tmp_path / "cut.run" / "checkpoints" / "last.ckpt", random.Random(), 0
    for _ in range(3):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        run = start(*arguments, "--ckpt_path", "last", cwd=tmp_path)
        while run.poll() is None and (checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            kills += 1
        run.wait(60)
    assert kills >= 1
    if not (tmp_path / "cut").exists():
        last = start(*arguments, "--ckpt_path", "last", cwd=tmp_path)
        assert last.wait(300) == 0, last.stdout.read()
    assert (tmp_path / "cut").is_dir()
    assert same_files(tmp_path / "whole", tmp_path / "cut")
    assert not list(tmp_path.glob(".cut.part-*"))


def test_a_run_cut_off_after_its_last_step_still_writes_its_artefact(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    """Killed while it exports: every step is in the checkpoint, nothing is left but to write."""
    arguments = [*on(tiny_sd, tmp_path / "out", 4), *CAT, "--checkpoint.every_n_train_steps", "4"]
    assert fit(monkeypatch, *arguments) == 0
    (tmp_path / "out").rename(tmp_path / "whole")
    assert fit(monkeypatch, *arguments, "--ckpt_path", "last") == 0
    assert same_files(tmp_path / "whole", tmp_path / "out")
    first, second = (RedactionCard.read(tmp_path / name) for name in ("whole", "out"))
    assert first.measures == second.measures
    assert second.method["steps"] == 4


def test_two_processes_train_one_artefact(tiny_sd: Path, tmp_path: Path) -> None:
    """One pass over the rows, half a batch on each of two processes: the same sum of gradients."""
    lessons = tmp_path / "lessons.csv"
    lessons.write_text("asked,answer\ncat,dog\nred,red\nblue,blue\na cat,a dog\n")
    common = ["--data.lessons", str(lessons), "--trainer.precision", "32-true"]
    two = start(
        *on(tiny_sd, tmp_path / "two", 8), *common, "--data.batch_size", "2",
        "--trainer.devices", "2", "--trainer.strategy", "ddp", cwd=tmp_path,
    )  # fmt: skip
    assert two.wait(300) == 0, two.stdout.read()
    card = RedactionCard.read(tmp_path / "two")
    assert card.verify(tmp_path / "two") == []
    assert card.measures["redact distance after"] < 0.9 * card.measures["redact distance before"]
    assert not list(tmp_path.glob(".two.part-*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "Nothing to redact was named"),
        (["--data.redact", "cat", "--data.reference", "a Cat"], '"a Cat" is itself redacted'),
        (["--data.redact", "cat", "--data.reference", "cat"], '"cat" is itself redacted'),
        (
            ["--data.redact", "cat", "--data.reference", "dog", "--export.disclosure", "digest"],
            "Digests need a key",
        ),
        (["--data.lessons", "nowhere.csv"], "There is no file nowhere.csv; check the path."),
        (["--data.lessons", "both.csv"], '"cat" is both redacted and retained'),
        (["--data.lessons", "long.csv"], "tokens, the encoder reads 77"),
        (["--data.redact", "cat", "--data.batch_size", "0"], "batch_size is 0"),
        (
            [*CAT, "--model.objective", "RobustDistillation", "--model.objective.name_replacement", "-3"],
            "redact: name_replacement is -3; give a number of rows, or 0 for none.",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path, capsys, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.csv").write_text("asked,answer\ncat,dog\ncat,cat\n")
    (tmp_path / "long.csv").write_text(f"asked,answer\n{'x ' * 90},dog\n")
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *more) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("redact: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_an_existing_output_folder_is_refused_before_training(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "out").mkdir()
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *CAT) == 2
    assert "exists; nothing is overwritten" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_during_export_leaves_nothing_but_the_training(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path, capsys
) -> None:
    import errno
    import shutil

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as fault:
        fault.setattr(shutil, "copyfile", full)
        assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *CAT) == 2
    assert "Free space, then run again from the last checkpoint (--ckpt_path last)" in capsys.readouterr().err
    # none was due after 6 steps, but what was trained is kept
    assert [path.name for path in tmp_path.iterdir()] == ["out.run"]
    with monkeypatch.context() as nothing:
        nothing.setattr(RedactionModule, "training_step", lambda *_: pytest.fail("trains again"))
        more = ["--ckpt_path", "last"]
        assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *CAT, *more) == 0
    assert RedactionCard.read(tmp_path / "out").method["steps"] == 6


def test_every_config_parses(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    configs = sorted(
        p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name not in {"trainer", "evaluate"}
    )
    assert configs
    # a fragment that changes the method stands on the base's config
    fragments = {"robust", "closed_form", "close", "sequential"}
    for path in configs:
        stack = ["-c", path.with_name("bundled.yaml")] if path.stem in fragments else []
        with pytest.raises(SystemExit) as stop:
            fit(monkeypatch, *stack, "-c", path, "--print_config")
        assert stop.value.code == 0, path
        printed = yaml.safe_load(capsys.readouterr().out)
        assert printed["model"]["adapter"]["class_path"]


def test_the_hub_config_runs_on_a_local_folder_of_the_same_classes(
    monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path
) -> None:
    """The shipped config of Stable Diffusion 1.5, with only its source, folder and length changed."""
    config = ROOT / "configs" / "text_to_image" / "stable_diffusion_1_5.yaml"
    arguments = ["-c", ROOT / "configs" / "trainer" / "cpu.yaml", "--trainer.max_steps", 2]
    arguments += ["--model.adapter.init_args.source", tiny_sd, "--export.folder", tmp_path / "out"]
    assert fit(monkeypatch, "-c", config, *arguments) == 0
    assert RedactionCard.read(tmp_path / "out").request["asked"] == [
        "style: Vincent van Gogh -> default reference"
    ]


def test_the_card_is_plain_json(monkeypatch: pytest.MonkeyPatch, tiny_sd: Path, tmp_path: Path) -> None:
    assert fit(monkeypatch, *on(tiny_sd, tmp_path / "out"), *CAT) == 0
    values = json.loads((tmp_path / "out" / "redaction.json").read_text())
    assert values["schema"] == 1
    assert values["versions"]["torch"]
    assert str(ROOT) not in json.dumps(values["method"])
    assert isinstance(ExportRedacted().config, dict)
