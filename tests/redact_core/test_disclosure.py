"""Where the redacted conditions are not disclosed, no byte of the artefact tells them."""

from pathlib import Path

import pytest
import torch
import yaml
from command import redact as command

from redact_core import RedactionCard
from redact_core.artefacts.disclosure import HIDDEN, disclosed_config, disclosed_source

SECRETS = ("zebra", "finch", "ostric", "emu")


def telling(folder: Path) -> list[str]:
    """Files of ``folder`` that hold a secret, whatever its case."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(secret.encode() in path.read_bytes().lower() for secret in SECRETS)
    ]


@pytest.mark.parametrize("disclosure", ["count", "digest"])
def test_no_byte_of_the_artefact_tells(tmp_path: Path, disclosure: str) -> None:
    (tmp_path / "zebra").mkdir()
    rows, key, out = tmp_path / "zebra" / "finch.csv", tmp_path / "zebra" / "emu.key", tmp_path / "no_zebra"
    rows.write_text("asked,answer\nostric,emu\nfig,fig\n")
    key.write_bytes(bytes(range(32)))
    common = [
        "fit", "--model.adapter", "redact_core.adapters.contract.ToyAdapter", "--data.redact", "zebra", "--data.reference",
        "finch", "--data.lessons", rows, "--trainer.max_steps", 4, "--trainer.accelerator", "cpu",
    ]  # fmt: skip
    hidden = ["--export.disclosure", disclosure, "--export.key", key, "--export.folder", out]
    assert command(*common, *hidden) == 0
    assert telling(out) == []
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["data"]["redact"] == config["data"]["reference"] == config["data"]["lessons"] == HIDDEN
    assert config["trainer"]["max_steps"] == 4
    assert config["model"]["adapter"]["class_path"] == "redact_core.adapters.contract.ToyAdapter"
    card = RedactionCard.read(out)
    assert card.verify(out) == []
    assert card.request["redacted_lessons"] == 2
    # nor do checkpoints, but for the name of their own folder
    kept = torch.load(next((tmp_path / "no_zebra.run").rglob("*.ckpt")), weights_only=True)
    told = str({name: value for name, value in kept.items() if name != "callbacks"})
    assert not any(secret in told for secret in SECRETS)
    assert command(*common, "--export.folder", tmp_path / "open") == 0
    assert telling(tmp_path / "open")  # the search finds what is there


def test_texts_that_could_tell_are_left_out_wherever_they_stand(tmp_path: Path) -> None:
    config = {
        "config": ["/home/me/zebra.yaml"],
        "seed_everything": 0,
        "data": {"redact": ["zebra"], "reference": "finch", "retain": 7, "lessons": None, "batch_size": 64},
        "model": {
            "adapter": {
                "class_path": "modalities.text_to_speech.SpeechT5",
                "init_args": {
                    "source": str(tmp_path),
                    "encoder": "voices/zebra",
                    "sentences": ["The emu ran."],
                },
            },
            "objective": {
                "class_path": "redact_core.Distillation",
                "init_args": {
                    "start": {"class_path": "redact_core.FromFolder", "init_args": {"folder": "out/no_zebra"}}
                },
            },
        },
        "trainer": {"precision": "bf16-mixed", "default_root_dir": "out/no_zebra.run", "max_steps": 3},
        "checkpoint": {"dirpath": "out/no_zebra.run/checkpoints", "filename": "zebra", "monitor": "finch"},
        "export": {"folder": "out/no_zebra", "disclosure": "count", "key": "zebra.key"},
        "ckpt_path": "out/no_zebra.run/last.ckpt",
    }
    told = disclosed_config(config, "count")
    assert not any(secret in str(told) for secret in SECRETS)
    assert str(tmp_path) not in str(told)
    assert told["data"] == {
        "redact": HIDDEN, "reference": HIDDEN, "retain": HIDDEN, "lessons": None, "batch_size": 64,
    }  # fmt: skip
    assert told["trainer"] == {"precision": "bf16-mixed", "default_root_dir": HIDDEN, "max_steps": 3}
    assert told["model"]["objective"]["init_args"]["start"]["class_path"] == "redact_core.FromFolder"
    open_ = disclosed_config(config, "text")
    assert open_["data"]["redact"] == ["zebra"]
    assert "config" not in open_


def test_the_base_is_named_by_its_id_and_not_by_its_folder(tmp_path: Path) -> None:
    assert disclosed_source("owner/name", "count") == "owner/name"
    assert disclosed_source("bundled", "digest") == "bundled"
    assert disclosed_source(str(tmp_path), "count") == "a local folder"
    assert disclosed_source("/gone/no_zebra", "count") == "a local folder"
    assert disclosed_source(str(tmp_path), "text") == str(tmp_path)
