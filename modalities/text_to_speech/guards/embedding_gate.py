"""Gates once more, in front of the generator: for callers who bring an embedding and no clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import SpeechT5ForTextToSpeech

from modalities.hub import locate
from modalities.text_to_speech.encoders.gate_files import bare_and_gates
from modalities.text_to_speech.encoders.voice_encoder import load_encoder
from redact_core import Adapter, Condition, Conditioning, Guard, RedactError
from redact_core.adapters.capabilities import HasOneVector
from redact_core.adapters.generator_parts import GivesSpeech
from redact_core.gates import GatedEncoder
from redact_core.gates.gated import one_vector
from redact_core.support.devices import move


class EmbeddingGate(Guard):
    """Puts embeddings that reach the generator through the gates of a redacted encoder; trains nothing.

    An embedding that the stock encoder made of the redacted voice's clip goes around a redacted encoder. Here it meets the same
    gates: it is replaced or moved, and embeddings of those who stay keep their bits. :func:`gate_projection` does the same
    within a transformers model. Anyone with the weights skips it.

    Args:
        inner: A model of speech whose conditioning is one vector, or a guard around one.
        encoder: Folder or hub id of a SpeechBrain encoder with gates, made for the encoder that ``inner`` was trained with.

    Raises:
        RedactError: The folder holds no gates, or those of an encoder of other dimensions.
    """

    needs = (HasOneVector, GivesSpeech)

    def __init__(self, inner: Adapter, encoder: str):
        super().__init__(inner)
        self.folder = locate(encoder)
        self.gates = gates_of(self.folder)

    def files(self) -> Mapping[str, Path]:
        own = {f"embedding gate/{p.name}": p for p in sorted(self.folder.iterdir()) if p.is_file()}
        return {**self.inner.files(), **own}

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model, and the gates to the same device; they compute in float32."""
        super().to(device, dtype)
        move(self.gates, device)
        return self

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        if not isinstance(conditions, Conditioning) and isinstance(self.inner.encoder, GatedEncoder):
            return self.inner.generate(conditions, seeds=seeds)  # clips meet the encoder's own gates
        found = one_vector(self.inner.conditioning_of(conditions, seeds))
        hidden = through(self.gates, found.hidden.float()).to(found.hidden.dtype)
        return self.inner.generate(replace(found, hidden=hidden), seeds=seeds)


def gates_of(folder: Path) -> nn.ModuleList:
    """The gates of a SpeechBrain folder.

    Raises:
        RedactError: It holds none.
    """
    _, gates = bare_and_gates(load_encoder(folder))
    if not gates:
        raise RedactError(
            f"{folder} holds no gates; give the folder that a redaction with the objective Gating wrote."
        )
    return nn.ModuleList(gates)


def through(gates: nn.ModuleList, hidden: Tensor) -> Tensor:
    """What the gates make of ``hidden (batch, 1, dim)``.

    Raises:
        RedactError: They are for other dimensions.
    """
    for gate in gates:
        dim = len(gate.get_buffer("answer"))
        if hidden.shape[-1] != dim:
            raise RedactError(
                f"The gates are for embeddings of {dim} dimensions, these have {hidden.shape[-1]}; give the gates of "
                "the encoder that the model was trained with."
            )
        hidden = gate(hidden)
    return hidden


def gate_projection(model: SpeechT5ForTextToSpeech, encoder: str) -> RemovableHandle:
    """Put the gates of a redacted encoder in front of a transformers SpeechT5's speaker projection, for as long as it is in memory.

    Whatever is given to ``generate_speech`` as ``speaker_embeddings`` meets them. A checkpoint has no place for them, so a saved
    model is without.

    Args:
        model: The generator.
        encoder: As :class:`EmbeddingGate` takes it.

    Returns:
        A handle whose ``remove()`` takes the gates away.

    Raises:
        RedactError: The folder holds no gates; on speaking, embeddings have other dimensions.
    """
    prenet = model.speecht5.decoder.get_submodule("prenet")
    gates = gates_of(locate(encoder)).to(model.device)

    def gated(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        del module
        named = "speaker_embeddings" in kwargs
        given = kwargs["speaker_embeddings"] if named else args[1] if len(args) > 1 else None
        if given is None:
            return args, kwargs
        found = through(gates, given.float().unsqueeze(1))[:, 0].to(given.dtype)
        return (
            (args, kwargs | {"speaker_embeddings": found})
            if named
            else ((*args[:1], found, *args[2:]), kwargs)
        )

    return prenet.register_forward_pre_hook(gated, with_kwargs=True)
