"""A speaker encoder's folder never runs code: every attack would leave a file behind, and none does."""

import importlib
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from command import redact
from hyperpyyaml import load_hyperpyyaml
from tiny_speech import like_the_hubs, tiny_bank, tiny_encoder, tiny_speecht5
from torch import nn

from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.encoders.encoder_classes import CALLED, NAMED
from modalities.text_to_speech.encoders.encoder_settings import EncoderSettings
from modalities.text_to_speech.encoders.voice_encoder import load_encoder
from modalities.text_to_speech.judges.verifier import load_verifier
from redact_core import RedactError

APPLY = "!apply:os.system ['touch MARK']"
PYTHON = "!!python/object/apply:os.system ['touch MARK']"
RUNS = {
    "apply": (f"x: {APPLY}", "!apply:os.system"),
    "apply of the library": (
        "x: !apply:speechbrain.utils.superpowers.run_shell ['touch MARK']", "run_shell",
    ),
    "applyref": ("x: !applyref:os.system ['touch MARK']", "!applyref:os.system"),
    "an escaped letter": ("x: !%61pply:os.system ['touch MARK']", "!apply:os.system"),
    "escaped in the name": ("x: !apply:os%2Esystem ['touch MARK']", "!apply:os.system"),
    "a verbatim tag": ("x: !<!apply:os.system> ['touch MARK']", "!apply:os.system"),
    "in block style": ("x: !apply:os.system\n  - touch MARK", "!apply:os.system"),
    "in flow style": ("x: {y: [1, {z: " + APPLY + "}]}", "!apply:os.system"),
    "as an argument": (
        f"x: !new:speechbrain.processing.features.InputNormalization\n  norm_type: {APPLY}", "!apply:os.system",
    ),
    "as a list's argument": (f"x: !new:torch.nn.Dropout [{APPLY}]", "!apply:os.system"),
    "under an anchor": (f"x: &a {APPLY}\ny: *a", "anchor"),
    "in a merge": (f"x: &a {{b: {APPLY}}}\ny: {{<<: *a}}", "anchor"),
    "in a merge without anchor": (f"y: {{<<: {{b: {APPLY}}}}}", "<<"),
    "of python": (f"x: {PYTHON}", "python/object/apply:os.system"),
    "of python, verbatim": (
        "x: !<tag:yaml.org,2002:python/object/apply:os.system> ['touch MARK']", "python/object/apply:os.system",
    ),
    "of python, new": ("x: !!python/object/new:os.system ['touch MARK']", "python/object/new:os.system"),
    "in a text in brackets": (f"x: ({PYTHON})", "tuple"),
    "in brackets, tagged": (f"x: !tuple ({PYTHON})", "tuple"),
    "a name that is called": (
        "x: !new:speechbrain.lobes.models.ResNet.ResNet\n  activation: !name:os.system ['touch MARK']",
        "!name:os.system",
    ),
    "a hook": (
        "x: !new:speechbrain.utils.parameter_transfer.Pretrainer\n  custom_hooks: {a: " + APPLY + "}",
        "custom_hooks of Pretrainer",
    ),
    "an included file": ("x: !include:other.yaml", "!include:other.yaml"),
    "an included file, escaped": ("x: !%69nclude:other.yaml", "!include:other.yaml"),
    "a class of another package": ("x: !new:subprocess.Popen [['touch', 'MARK']]", "!new:subprocess.Popen"),
    "letters of another script beside it": (f"ж: ü\u00a0\nx: {APPLY}", "!apply:os.system"),
    "a module": ("x: !module:evil_on_import", "!module:evil_on_import"),
    "a name of a module": ("x: !name:evil_on_import.nothing", "!name:evil_on_import.nothing"),
}  # fmt: skip
"""What HyperPyYAML would run -> what the refusal must name."""
OTHERS = {
    "a tag in a key": (f"? {APPLY}\n: 1", "plain words"),
    "a quoted text in brackets": (f'x: "({PYTHON})"', "tuple"),
    "an attribute": ("x: !ref <mean_var_norm.__class__>", "<mean_var_norm.__class__>"),
    "letters of code": ("p: '('\nx: !ref <p>a)", "inside a text"),
    "quoted letters of code": ("x: !ref '\"\\x28\" + \"a\"'", "only paths and sums"),
    "a huge number": ("x: !ref 9**9**9", "only paths and sums"),
    "itself": ("x: !ref <x>", "refers to itself"),
    "each other": ("x: !ref a<y>\ny: !ref b<x>", "refers to itself"),
    "a key twice": ("x: 1\nx: 2", "a second time"),
    "a second document": ("---\nx: 1", "second document"),
    "a placeholder": ("x: !PLACEHOLDER", "!PLACEHOLDER"),
    "a function of an allowed class": ("x: !new:torch.nn.Linear.register_forward_hook [1]", "register_forward_hook"),
    "a neighbour of an allowed class": ("x: !name:torch.nn.modules.os.system", "!name:torch.nn.modules.os.system"),
    "an address": (
        "x: !new:speechbrain.utils.parameter_transfer.Pretrainer\n  paths: {a: https://example.org/a.ckpt}",
        "https://example.org/a.ckpt",
    ),
    "a path that leads out": (
        "p: ../..\nx: !new:speechbrain.utils.parameter_transfer.Pretrainer\n  paths: {a: !ref <p>/a.ckpt}",
        "leads out of the folder",
    ),
    "a folder to write to": (
        "x: !new:speechbrain.utils.parameter_transfer.Pretrainer\n  collect_in: ../elsewhere", "leads out",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("speech") / "encoder")


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "folder"))


def poisoned(folder: Path, text: str) -> tuple[Path, int]:
    """The marker that ``text`` leaves behind when it runs, and the line where it stands."""
    path, mark = folder / "hyperparams.yaml", folder.parent / "marker"
    (folder / "other.yaml").write_text(f"y: {APPLY}\n".replace("MARK", str(mark)))
    (folder.parent / "evil_on_import.py").write_text(f"open({str(mark)!r}, 'w')\n")
    before = path.read_text()
    path.write_text(f"{before}{text}\n".replace("MARK", str(mark)), encoding="utf-8")
    return mark, before.count("\n") + 1


@pytest.mark.parametrize("kind", RUNS)
def test_what_hyperpyyaml_would_run_is_refused_by_name_and_line(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, named = RUNS[kind]
    mark, line = poisoned(folder, text)
    monkeypatch.syspath_prepend(str(folder.parent))
    with pytest.raises(RedactError) as refusal:
        load_encoder(folder)
    assert named in str(refusal.value)
    lines = range(line, line + text.count("\n") + 1)
    assert any(f"hyperparams.yaml line {n} " in str(refusal.value) for n in lines), refusal.value
    assert not mark.exists()


@pytest.mark.parametrize("kind", RUNS)
def test_the_attacks_are_attacks(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check, each of them runs: the test above cannot pass for want of an attack."""
    mark, _ = poisoned(folder, RUNS[kind][0])
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.delitem(sys.modules, "evil_on_import", raising=False)
    with suppress(Exception), (folder / "hyperparams.yaml").open(encoding="utf-8") as file:
        for value in load_hyperpyyaml(file).values():
            if isinstance(value, subprocess.Popen):
                value.wait()
    assert mark.exists()


@pytest.mark.parametrize("kind", OTHERS)
def test_what_no_encoder_needs_is_refused(folder: Path, kind: str) -> None:
    text, named = OTHERS[kind]
    _, line = poisoned(folder, text)
    with pytest.raises(RedactError) as refusal:
        load_encoder(folder)
    assert named in str(refusal.value)
    assert any(f"line {line + n} " in str(refusal.value) for n in range(text.count("\n") + 1)), refusal.value


def test_encodings_and_directives_hide_nothing(folder: Path) -> None:
    mark, _ = poisoned(folder, f"x: {APPLY}")
    path = folder / "hyperparams.yaml"
    text = path.read_text()
    path.write_text(text, encoding="utf-8-sig")  # with a byte order mark
    with pytest.raises(RedactError, match=r"!apply:os\.system"):
        load_encoder(folder)
    for encoding in ("utf-16", "utf-32"):
        path.write_text(text, encoding=encoding)
        with pytest.raises(RedactError, match="cannot be read as YAML"):
            load_encoder(folder)
    for head in ("%TAG !e! !apply:\n---\n", "%YAML 1.1\n---\n"):
        path.write_text(head + text.replace("!apply:", "!e!"))
        with pytest.raises(RedactError, match=r"line \d holds a directive"):
            load_encoder(folder)
    path.write_text(text.replace(APPLY.replace("MARK", str(mark)), "[" * 5000 + "]" * 5000))
    with pytest.raises(RedactError, match="holds more than 50 levels"):
        load_encoder(folder)
    assert not mark.exists()


def test_the_lists_hold_what_can_be_built_and_nothing_that_runs_or_reads() -> None:
    for name in CALLED | NAMED:
        assert name.startswith(("torch.nn.", "speechbrain.")) or name.removeprefix("torch.") in {
            "add", "cat", "div", "mul", "sub",
        }  # fmt: skip
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute))
    assert not any("superpowers" in name or "fetching" in name for name in CALLED | NAMED)


def test_every_way_into_a_folder_is_guarded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tts, bank = tiny_speecht5(tmp_path / "tts"), tiny_bank(tmp_path / "bank")
    sound = tiny_encoder(tmp_path / "sound")
    mark, line = poisoned(folder, f"x: {APPLY}")
    wanted = f"hyperparams.yaml line {line} holds the tag !apply:os.system: it would call os.system"
    fit = [
        "fit", "--model.adapter", "SpeechT5", "--model.adapter.source", tts, "--model.adapter.encoder", folder,
        "--model.adapter.bank", bank, "--data.redact", "alice", "--export.folder", tmp_path / "out",
    ]  # fmt: skip
    assert redact(*fit) == 2
    assert wanted in capsys.readouterr().err
    model = SpeechT5(str(tts), str(sound), bank=bank, seconds=1.0)
    for enter in (model.reopen, load_verifier):
        with pytest.raises(RedactError, match=r"it would call os\.system"):
            enter(folder)
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


class Marks:
    """Pickled, it leaves a file behind when it is loaded without care."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> object:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["embedding_model.ckpt", "classifier.ckpt"])
def test_pickles_with_code_are_refused(folder: Path, name: str, tmp_path: Path) -> None:
    like_the_hubs(folder)
    torch.save({"weight": Marks(tmp_path / "marker")}, folder / name)
    with pytest.raises(RedactError, match=rf"{name}: is no file of plain tensors"):
        load_encoder(folder)
    assert not (tmp_path / "marker").exists()


def test_pickled_generators_and_vocoders_with_code_are_refused(folder: Path, tmp_path: Path) -> None:
    tts = tiny_speecht5(tmp_path / "tts")
    (tts / "model.safetensors").unlink()
    torch.save({"weight": Marks(tmp_path / "marker")}, tts / "pytorch_model.bin")
    with pytest.raises(RedactError, match="is no file of plain tensors"):
        SpeechT5(str(tts), str(folder))
    sound = tiny_speecht5(tmp_path / "sound")
    with pytest.raises(RedactError, match="is no file of plain tensors"):
        SpeechT5(str(sound), str(folder), vocoder=str(tts))
    assert not (tmp_path / "marker").exists()


def test_code_beside_the_settings_is_never_imported(folder: Path) -> None:
    mark, _ = poisoned(
        folder, "pymodule_file: custom.py\nsavedir: ../elsewhere\npretrained_path: http://example.org"
    )
    (folder / "custom.py").write_text(f"open({str(mark)!r}, 'w')\n")
    load_encoder(folder)
    assert not mark.exists()
    assert not (folder.parent / "elsewhere").exists()


def test_parameters_come_out_of_the_folder_only(folder: Path) -> None:
    like_the_hubs(folder)
    path = folder / "hyperparams.yaml"
    text = path.read_text()
    path.write_text(text.replace("speechbrain/spkrec-ecapa-voxceleb", "/srv/models"))
    load_encoder(folder)  # all of them lie in the folder, whatever the paths say
    (folder / "classifier.ckpt").unlink()
    with pytest.raises(
        RedactError, match=r"classifier lies at /srv/models/classifier\.ckpt, outside the folder"
    ):
        load_encoder(folder)
    path.write_text(text.replace("loadables:\n    embedding_model: ", "loadables:\n    another: "))
    with pytest.raises(RedactError, match="pretrainer loads no embedding_model"):
        load_encoder(folder)
    torch.save({"nothing": torch.ones(1)}, folder / "embedding_model.ckpt")
    path.write_text(text.replace("speechbrain/spkrec-ecapa-voxceleb", "owner/name"))
    with pytest.raises(RedactError, match=r"embedding_model\.ckpt lacks .* the encoder would stay random"):
        load_encoder(folder)


def test_links_may_not_lead_out(folder: Path, tmp_path: Path) -> None:
    """What they lead to would be copied into the redacted folder, and published with it."""
    (tmp_path / "secret").write_text("secret")
    (folder / "label_encoder.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RedactError, match=r"label_encoder\.txt is a link that leads out of the folder, to"):
        load_encoder(folder)
    (folder / "label_encoder.txt").unlink()
    (folder / "same.yaml").symlink_to("hyperparams.yaml")
    load_encoder(folder)


def test_snapshots_of_the_hubs_cache_are_links_and_are_read(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "models--owner--name"
    snapshot, blobs = home / "snapshots" / "abc", home / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(i))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(i))
    load_encoder(snapshot)
    (snapshot / "more.txt").symlink_to("../../../folder")
    with pytest.raises(RedactError, match=r"more\.txt is a link that leads out"):
        load_encoder(snapshot)


def test_values_are_those_of_hyperpyyaml(folder: Path) -> None:
    """Numbers, sums, paths, tuples and copies: what settings of encoders use."""
    path = folder / "hyperparams.yaml"
    text = (
        "n: 80\nm: !ref <n> * 2\nk: !ref (<n> + 1) // 2\nt: (3, 4)\nu: !copy <t>\np: a/b\nq: !ref <p>/c.ckpt\n"
        "f: 1e-3\ng: !ref <f> / 2\nh: !ref <g>\nb: True\nz: null\nd: {e: 3, l: [1, .inf, -0x1f]}\ni: !ref <d[e]>\n"
        "l: !ref <d>\ns: 'yes'\n"
    )
    path.write_text(text + path.read_text())
    settings = EncoderSettings(path)
    with path.open(encoding="utf-8") as file:
        wanted = load_hyperpyyaml(file)
    for key in "nmktupqfghbzdils":
        assert settings.build(key) == wanted[key], key
    assert settings.build("modules", "embedding_model") is settings.build("embedding_model")


def test_gates_and_layers_around_an_encoder_can_be_said(folder: Path) -> None:
    """Containers with shortcuts, norms and cut-offs of both libraries, positional arguments, names of functions."""
    poisoned(
        folder,
        "gate: !new:speechbrain.nnet.containers.Sequential\n  norm: !new:torch.nn.LayerNorm [12]\n"
        "  map: !new:torch.nn.Linear [12, 12]\n  cut: !new:torch.nn.Hardtanh {min_val: 0.0, max_val: 1.0}\n"
        "both: !new:speechbrain.nnet.containers.ConnectBlocks\n  input_shape: [1, null, 12]\n"
        "  shortcut_type: residual\n  shortcut_combine_fn: !name:torch.mul\n",
    )
    settings = EncoderSettings(folder / "hyperparams.yaml")
    gate = settings.build("gate")
    assert isinstance(gate, nn.Module)
    assert gate(torch.randn(2, 3, 12)).shape == (2, 3, 12)
    assert settings.build("both").shortcut_combine_fn is torch.mul
