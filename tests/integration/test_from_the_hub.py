"""Models by their hub id, fetched from a stand-in for the hub: looked up, redacted, and redacted again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub.constants
import pytest
from command import redact as command
from diffusers import DiffusionPipeline
from huggingface_hub.hf_api import api
from stand_in_hub import COMMIT, stand_in_hub
from tiny import tiny_stable_diffusion_xl
from tiny_cloner import speech_folders
from tiny_kokoro import tiny_kokoro
from tiny_pipelines import tiny_pipeline
from tiny_vits import tiny_vits

from modalities.text_to_image import PromptPipeline, StableDiffusion, StableDiffusionXL
from modalities.text_to_speech import SpeakerEncoder, SpeakerTable, SpeechT5, VoiceTable
from redact_core import Adapter, Lesson, RedactError, RedactionCard, redact


@dataclass
class Hub:
    """The stand-in that this process asks in place of the hub, with an empty cache."""

    repositories: dict[str, Path]
    fetched: list[str]
    patch: pytest.MonkeyPatch

    def leave(self) -> None:
        """As without a network: nothing but the cache is left."""
        self.patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    repositories: dict[str, Path] = {}
    constants = huggingface_hub.constants
    with stand_in_hub(repositories) as (url, fetched):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "ENDPOINT", url)
        path = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + path)
        monkeypatch.setattr(api, "endpoint", url)
        yield Hub(repositories, fetched, monkeypatch)


def taught(model: StableDiffusion, asked: str, folder: Path) -> RedactionCard:
    """The card of ``model`` in ``folder``, redacted in one step."""
    redact(model, [Lesson.redact(asked, "a red dog"), Lesson.retain("a red dog")], steps=1)
    model.save_pretrained(folder)
    return RedactionCard.read(folder)


def test_a_redacted_model_of_the_hub_keeps_its_history(hub: Hub, tiny_sd: Path, tmp_path: Path) -> None:
    hub.repositories["owner/base"] = tiny_sd
    first = taught(StableDiffusion("owner/base"), "a cat", tmp_path / "one")
    assert first.base["source"] == "owner/base"
    assert "owner/base/redaction.json" not in hub.fetched

    hub.repositories["owner/one"] = tmp_path / "one"  # published
    second = taught(StableDiffusion("owner/one"), "a dog", tmp_path / "two")
    assert "owner/one/redaction.json" in hub.fetched
    assert second.base["source"] == "owner/base"
    told = [json.dumps(one["request"]["lessons"]) for one in second.redactions]
    assert ['"a cat"' in one for one in told] == [True, False]
    assert ['"a dog"' in one for one in told] == [False, True]

    hub.leave()
    third = taught(StableDiffusion("owner/one"), "a dog", tmp_path / "three")
    assert [one["request"] for one in third.redactions] == [one["request"] for one in second.redactions]


def test_without_the_hub_what_cannot_be_known_of_earlier_redactions_is_said(hub: Hub, tiny_sd: Path) -> None:
    hub.repositories["owner/base"] = tiny_sd
    DiffusionPipeline.download("owner/base", use_safetensors=True)  # as whoever only draws with it
    hub.leave()
    with pytest.warns(
        UserWarning,
        match=r"Whether owner/base was redacted before could not be looked up, for its redaction\.json",
    ):
        StableDiffusion("owner/base")


def test_that_a_model_has_no_card_is_remembered(
    hub: Hub, tiny_sd: Path, recwarn: pytest.WarningsRecorder
) -> None:
    hub.repositories["owner/base"] = tiny_sd
    StableDiffusion("owner/base")
    hub.leave()
    StableDiffusion("owner/base")
    assert not [one for one in recwarn if "looked up" in str(one.message)]


def test_models_of_every_kind_open_by_their_hub_id(hub: Hub, tmp_path: Path) -> None:
    """What lies in the hub's cache are links; a saved model holds the files."""
    speech_folders(tmp_path)
    hub.repositories |= {
        "owner/sdxl": tiny_stable_diffusion_xl(tmp_path / "sdxl"),
        "owner/sd3": tiny_pipeline(tmp_path / "sd3", "StableDiffusion3Pipeline"),
        "owner/voices": tiny_kokoro(tmp_path / "voices"),
        "owner/vits": tiny_vits(tmp_path / "vits"),
        "owner/tts": tmp_path / "tts",
        "owner/encoder": tmp_path / "encoder",
    }
    bank = tmp_path / "bank"
    models: dict[str, Adapter] = {
        "sdxl": StableDiffusionXL("owner/sdxl"),
        "sd3": PromptPipeline("owner/sd3"),
        "voices": VoiceTable("owner/voices"),
        "vits": SpeakerTable("owner/vits", revision=COMMIT),
        # of a model that speaks, the encoder is what is redacted and saved
        "encoder": SpeechT5("owner/tts", "owner/encoder", vocoder="griffin-lim", bank=bank),
    }
    assert SpeakerEncoder("owner/encoder", bank).origin.source == "owner/encoder"
    for name, model in models.items():
        saved = tmp_path / "saved" / name
        saved.mkdir(parents=True)
        model.save(saved)
        own = {path.name for path in hub.repositories[f"owner/{name}"].iterdir()}
        assert own <= {path.name for path in saved.iterdir()}
        assert not any(path.is_symlink() for path in saved.rglob("*"))


def test_a_card_is_verified_in_the_hubs_cache(tiny_sd: Path, tmp_path: Path) -> None:
    """A snapshot of a repository holds links into its store; a link that leads elsewhere is a difference."""
    card = taught(StableDiffusion(str(tiny_sd)), "a cat", tmp_path / "one")
    home = tmp_path / "models--owner--name"
    snapshot, blobs = home / "snapshots" / COMMIT, home / "blobs"
    blobs.mkdir(parents=True)
    for i, path in enumerate(sorted(p for p in (tmp_path / "one").rglob("*") if p.is_file())):
        place = snapshot / path.relative_to(tmp_path / "one")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(i))
        place.symlink_to(blobs / str(i))
    assert card.verify(snapshot) == []
    (tmp_path / "elsewhere").write_bytes((snapshot / "model_index.json").read_bytes())
    (snapshot / "model_index.json").unlink()
    (snapshot / "model_index.json").symlink_to(tmp_path / "elsewhere")
    assert card.verify(snapshot) == ["model_index.json is a link that leads out of the folder"]


def test_fit_finds_the_class_of_a_model_of_the_hub(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["owner/vits"] = tiny_vits(tmp_path / "vits")
    out = tmp_path / "one"
    status = command(
        "fit",
        "owner/vits",
        "--redact",
        "0",
        "--steps",
        2,
        "--device",
        "cpu",
        "--out",
        out,
        "--model.adapter.revision",
        COMMIT,
    )
    assert status == 0
    assert capsys.readouterr().out.count("owner/vits holds a VitsModel; it is redacted as SpeakerTable.") == 1
    assert RedactionCard.read(out).base == {"source": "owner/vits", "kind": "VitsModel", "revision": COMMIT}


def test_what_the_hub_does_not_have_is_one_line(hub: Hub) -> None:
    hub.repositories.clear()
    with pytest.raises(
        RedactError, match=r"^owner/gone is neither a folder here nor could it be fetched from the hub \("
    ) as caught:
        StableDiffusion("owner/gone")
    assert "\n" not in str(caught.value)
