"""What the machine or another library refuses ends in one line and status 2, with nothing left behind."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command import redact as command
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from lightning_modules.support import mishaps
from lightning_modules.support.parser_words import parser_says
from lightning_modules.support.specs import build, spec_of
from lightning_modules.training.checkpoints import WholeFiles, check_checkpoint, resuming
from redact_core import Attack, Objective, RedactError, Scorer
from redact_core.support.folders import check_target, check_writable, new_folder


def fit(out: Path, *more: object) -> int:
    return command(
        "fit", "--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--data.redact", "plum", "--data.reference",
        "pear", "--export.folder", out, "--trainer.max_steps", 2, "--trainer.accelerator", "cpu", *more,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "damaged.ckpt").write_bytes(b"junk" * 99)
    torch.save({"state_dict": {}}, folder / "another.ckpt")
    (folder / "open.yaml").write_text("a: [1,\n b: {")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    (folder / "empty.yaml").write_text("# nothing yet\n")
    (folder / "unknown.yaml").write_text("model:\n  adaptr: 3\n")
    (folder / "bytes.yaml").write_bytes(bytes(range(256)))
    (folder / "circle.yaml").write_text("a: &a [*a]\n")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--ckpt_path", "gone.ckpt"],
            "There is no checkpoint gone.ckpt; give last or the file of a checkpoint.",
        ),
        (["--ckpt_path", "damaged.ckpt"], "damaged.ckpt cannot be read as a checkpoint"),
        (["--ckpt_path", "another.ckpt"], "another.ckpt is no checkpoint of redact"),
        (["--ckpt_path", "best"], "--ckpt_path best names nothing"),
        (["--trainer.logger", "WandbLogger"], "wandb"),
        (["--trainer.accelerator", "tpu"], "The trainer cannot be made: "),
        (["--trainer.devices", "99"], "--trainer.devices is 99, but this machine has"),
        (["--trainer.strategy", "nonsense"], "The trainer cannot be made: You selected an invalid strategy"),
        (
            ["--trainer.limit_train_batches", "0.001"],
            "The trainer refuses its options: You requested to check",
        ),
        (["-c", "gone.yaml"], "File does not exist"),
        (["-c", "open.yaml"], "Problems parsing config"),
        (
            ["-c", "list.yaml"],
            "A config file holds no options by name, such as model: and data:;",
        ),
        (["-c", "empty.yaml"], "A config file holds no options by name"),
        (["-c", "unknown.yaml"], "does not accept option 'model.adaptr'"),
        (["-c", "bytes.yaml"], "A config file is no UTF-8 text"),
        (["-c", "circle.yaml"], "A config or an option holds itself"),
        (["-c", "pipe"], "pipe is a pipe, socket or device; a config is read more than once"),
        (
            ["--export.disclosure", "digest", "--export.key", "pipe"],
            "pipe is a pipe, socket or device; give a file",
        ),
        (
            ["--model.lr", "fast"],
            "redact: --model.lr: expected a number, given fast; see --help.",
        ),
        (["--trainer.max_stepz", "2"], "--trainer.max_stepz 2; did you mean --trainer.max_steps?"),
        (["--seed_everything", "-1"], "redact: --seed_everything: -1 is not in bounds"),
        (["--trainer.max_steps", "many"], "--trainer.max_steps: expected a whole number, given many; see"),
        (["--export.folder", "list.yaml"], "list.yaml exists; nothing is overwritten"),
        (["--export.folder", "list.yaml/out"], "list.yaml is not a folder"),
        (["--export.folder", "/proc/out"], "/proc cannot be written to"),
        (["--export.folder", "n" * 300], "cannot be made (File name too long); give another path."),
    ],
)
def test_one_line_and_nothing_left(tmp_path: Path, capsys, more: list[str], message: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert fit(tmp_path / "out", *more) == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "rror" in line or line.startswith("redact: ")
    ]
    assert len(lines) == 1
    assert lines[0].startswith("redact: ")
    assert message in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        (
            Attack,
            {"class_path": "SeedSearch", "init_args": {"count": 3}},
            "SeedSearch takes no count; it takes seeds;",
        ),
        (Attack, {"class_path": "SeedSearch", "init_args": {"seeds": "many"}}, "seeds"),
        (
            Scorer,
            {"class_path": "SeedSearch"},
            "SeedSearch is an attack; wanted is a scorer, and redact ls scorers lists them;",
        ),
        (
            Attack,
            {"class_path": "toy_attacks.Nobody"},
            "there is no class toy_attacks.Nobody (module 'toy_attacks' has no attribute 'Nobody');",
        ),
    ],
)
def test_an_object_that_cannot_be_made_says_why(kind: type, spec: dict, message: str) -> None:
    with pytest.raises(RedactError, match="cannot be made: ") as refused:
        build(kind, spec)
    assert message in str(refused.value)
    assert "Given value" not in str(refused.value)
    assert "Union" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_an_accelerator_that_is_not_there(tmp_path: Path, capsys) -> None:
    assert fit(tmp_path / "out", "--trainer.accelerator", "gpu") == 2
    assert "redact: The trainer cannot be made: No supported gpu backend found!" in capsys.readouterr().err


def test_a_run_folder_that_cannot_be_written_is_refused_before_training(tmp_path: Path, capsys) -> None:
    (tmp_path / "out.run").write_text("a file")
    assert fit(tmp_path / "out") == 2
    assert "out.run is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_mount_that_is_read_only_is_found_by_trying(tmp_path: Path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkdtemp", refused)
    with pytest.raises(RedactError, match=r"cannot be written to .Read-only file system"):
        check_target(tmp_path / "a" / "out")
    with pytest.raises(RedactError, match=r"cannot be written to .Read-only file system"):
        check_writable(tmp_path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full: "),
        (errno.EROFS, "out was not written"),
        (errno.EIO, "out was not written"),
    ],
)
def test_an_export_that_fails_leaves_nothing(tmp_path: Path, number: int, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        with new_folder(tmp_path / "out") as part:
            (part / "file").write_text("half")
            raise OSError(number, os.strerror(number), "file")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "last.ckpt"),
            "The disk is full: last.ckpt: No space left",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "logs"),
            "A file cannot be read or written: logs: Perm",
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos"),
            "A checkpoint cannot be written",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), "give a smaller --data.batch_size"),
        (MemoryError(), "give a smaller --data.batch_size"),
        (ImportError("No module named 'x'"), "A package is missing: No module named 'x'"),
    ],
)
def test_what_the_machine_refuses_while_training(error: Exception, message: str) -> None:
    with pytest.raises(RedactError) as refused, mishaps.training():
        raise error
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_faults_of_ours_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shape"), mishaps.training():
        raise RuntimeError("shape mismatch")
    with pytest.raises(KeyError), resuming():
        raise KeyError("ours")
    with pytest.raises(TypeError), mishaps.building():
        raise TypeError("ours")


def test_the_trainers_own_words_for_checkpoints_are_left_to_it() -> None:
    for word in (None, "last", "hpc", "registry:a"):
        check_checkpoint(word)


@pytest.mark.parametrize("more", [[], ["--trainer.default_root_dir", "elsewhere"]])
def test_two_fits_on_one_folder(tmp_path: Path, capsys, more: list[str]) -> None:
    code = "import sys, time; from pathlib import Path; from redact_core.support.locks import claimed\n"
    code += "with claimed(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", code, tmp_path / "out.run"], stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None
        first.stdout.readline()
        assert fit(tmp_path / "out", *more) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("redact: ")
        assert "out.run is in use by another process; wait for it, stop it, or give another" in line
        assert not (tmp_path / "out").exists()
    finally:
        first.kill()
        first.communicate()
    assert fit(tmp_path / "out", *more) == 0  # a killed one is in nobody's way
    assert not list(tmp_path.rglob(".lock"))


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, target)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        WholeFiles().save_checkpoint({"step": 2}, target)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["last.ckpt"]
    assert torch.load(target, weights_only=True) == {"step": 1}


def test_the_trainer_writes_whole_checkpoints(tmp_path: Path, monkeypatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        WholeFiles,
        "save_checkpoint",
        lambda self, state, path, storage_options=None: written.append(Path(path).name),
    )
    assert fit(tmp_path / "out", "--checkpoint.every_n_train_steps", 1) == 0
    assert "last.ckpt" in written


@pytest.mark.parametrize(
    "text",
    [
        "Chain: {then: {Relearning: {steps: 7}}, first: WeightInterpolation}",
        "Chain: {then: {class_path: Relearning, init_args: {steps: 7}}, first: {WeightInterpolation: {}}}",
        "{class_path: Chain, init_args: {first: {class_path: redact_core.attacks.WeightInterpolation}, then: {Relearning: {steps: 7}}}}",
    ],
)
def test_an_object_within_an_object_is_written_as_any_other(text: str) -> None:
    spec = spec_of(text)
    arguments = Namespace(**spec["init_args"])  # as the parser makes it of a list without quotes
    assert spec_of(Namespace(class_path=spec["class_path"], init_args=arguments)) == spec
    for one in (spec, json.loads(json.dumps(spec))):  # as a record keeps it
        assert build(Attack, one).name == "Chain-WeightInterpolation-0.5+Relearning-victim-samples-7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Chain: {then: Relearning, first: {WeightInterpolation: {alpha: 7}}}",
            r"alpha is 7\.0; give 0 \(redacted\)",
        ),
        ("Chain: {then: Relearning, first: SeedSearch}", "SeedSearch-10 does not change the model"),
        ("Chain: {then: {Relearning: {stps: 3}}}", "Relearning takes no stps, did you mean steps"),
        (
            "Chain: {then: Relerning}",
            "There is no attack Relerning, did you mean Relearning; --then takes an attack",
        ),
        (
            "Chain: {then: {Relerning: {}}}",
            "There is no attack Relerning, did you mean Relearning; --then takes an attack",
        ),
        ("Chain: {then: {Relerning: {steps: 3}}}", "There is no attack Relerning, did you mean Relearning"),
        ("Chain: {then: GraderScorer}", "GraderScorer is a scorer; --then takes an attack"),
        ("Chain: {then: 3}", "--then: 3 names no attack; write Name, or Name: {argument: value}"),
        (
            "Chain: {then: [Relearning, EncoderSwap]}",
            r"--then: \['Relearning', 'EncoderSwap'\] names no attack; write Name, or Name: {argument: value}",
        ),
        (
            "Chain: {then: {class_path: Relearning, init_argz: {}}}",
            "has init_argz, which is not read; write class_path",
        ),
        ("{class_path: EncoderSwap, init_args: 3}", "3 are no arguments of a class; write {argument: value}"),
    ],
)
def test_what_is_wrong_with_an_object_within_an_object_is_one_line(text: str, said: str) -> None:
    with pytest.raises(RedactError, match=said) as caught:
        build(Attack, spec_of(text))
    assert "\n" not in str(caught.value)


FOREIGN = """
from redact_core import Attack


class NoBudget(Attack):
    access, adaptive = "prompt", False


class NoAccess(Attack):
    adaptive, budget = False, "1"


class Telepathy(Attack):
    access, adaptive, budget = "telepathy", False, "1"


class Unsaid(Attack):
    access, budget = "prompt", "1"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NoBudget", "NoBudget lacks budget; write what its base class leaves open"),
        (
            "NoAccess",
            "NoAccess.access is None; give one of prompt, encoder gradient, denoiser gradient, sample, weights",
        ),
        ("Telepathy", "Telepathy.access is 'telepathy'; give one of prompt, encoder gradient"),
        (
            "Unsaid",
            "Unsaid.adaptive is None; give True where the search looks at the attacked model, else False",
        ),
    ],
)
def test_an_attack_that_leaves_something_open_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "foreign_attacks.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RedactError, match=said):
        build(Attack, spec_of(f"foreign_attacks.{text}"))


def test_a_method_that_leaves_its_loss_open_is_no_unknown_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foreign_method.py").write_text(
        "from redact_core import Objective\n\n\nclass Open(Objective):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objective", type=Objective | None)
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args(["--objective", "foreign_method.Open"])
    assert (
        parser_says(caught.value) == "--objective: Open lacks forward; write what its base class leaves open"
    )
