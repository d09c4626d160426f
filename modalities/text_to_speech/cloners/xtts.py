"""XTTS: latents for its language model, and a vector for its vocoder. Both carry the voice, and neither alone is enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from modalities.json_files import read_json
from modalities.text_to_speech.cloners.cloner import Cloner, Place
from modalities.text_to_speech.cloners.conditioning_latents import ConditioningLatents
from modalities.text_to_speech.cloners.resnet_speaker import ResNetSpeaker
from modalities.weight_files import unpickled
from redact_core import RedactError

CHECKPOINT = "model.pth"
LATENTS, SPEAKER = "gpt_cond_latent", "speaker_embedding"
"""The paths, as the arguments of ``Xtts.inference`` are called."""
_GPT, _DECODER = "gpt.", "hifigan_decoder.speaker_encoder."


class XttsFolder(Cloner):
    """``config.json`` and ``model.pth`` of XTTS version 2, which Coqui's own code reads.

    Version 1 has latents as many as the clip has frames, which are no vector; it is refused.
    """

    kind = "XTTS"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        values = read_json(folder / "config.json")
        return isinstance(values, dict) and values.get("model") == "xtts"

    def places(self) -> dict[str, Place]:
        names = self.values(CHECKPOINT)["model"]
        # a checkpoint of Coqui's trainer has this before every name
        trainer = "xtts." if any(name.startswith("xtts.") for name in names) else ""
        if f"{trainer}gpt.conditioning_perceiver.latents" not in names:
            raise RedactError(
                f"{self.folder / CHECKPOINT} has no gpt.conditioning_perceiver: it is an XTTS of version 1, whose latents "
                "are as many as the clip has frames. Give version 2."
            )
        inside = ("model",)
        return {
            LATENTS: Place(CHECKPOINT, trainer + _GPT, inside),
            SPEAKER: Place(CHECKPOINT, trainer + _DECODER, inside),
        }

    def build(self, path: str, state: Mapping[str, Tensor]) -> nn.Module:
        values: dict[str, Any] = read_json(self.folder / "config.json") or {}
        if path == SPEAKER:
            return ResNetSpeaker(state, int(values.get("max_ref_len", 10)))
        stats = self.values(CHECKPOINT)["model"]
        mel = next(value for name, value in stats.items() if name.removeprefix("xtts.") == "mel_stats")
        heads = int((values.get("model_args") or {}).get("gpt_n_heads", 16))
        seconds, chunk = int(values.get("gpt_cond_len", 12)), int(values.get("gpt_cond_chunk_len", 4))
        return ConditioningLatents({**state, "mel_stats": mel.float()}, heads, seconds, chunk)

    def opened(self, file: str) -> Any:
        path = self.folder / file
        try:
            values = unpickled(path)
        except RedactError as error:
            raise RedactError(
                f"{path} holds more than tensors, as Coqui's own does with its configuration, and reading that could run "
                "code. Keep its tensors alone; the how-to page on voice cloners has the two lines."
            ) from error
        if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
            raise RedactError(f"{path} holds no model of XTTS; fetch it again.")
        return values
