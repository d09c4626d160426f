"""The part of a voice cloner that reads the reference clip: a SpeechBrain speaker encoder."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.received import check_folder
from modalities.text_to_speech.encoders.encoder_folder import at_home, parameters
from modalities.text_to_speech.encoders.encoder_settings import HPARAMS, EncoderSettings
from modalities.text_to_speech.encoders.gate_yaml import gate_names, read_gate, with_gates, write_gate
from modalities.weight_files import check_plain, differs, entries, in_dtype, unpickled
from redact_core import Conditioning, RedactError
from redact_core.artefacts.card import OWN_FILES
from redact_core.errors import first_line
from redact_core.gates import Gate, GatedEncoder

WEIGHTS = "embedding_model.ckpt"
_PARTS = ("compute_features", "mean_var_norm", "embedding_model")


class VoiceEncoder(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)``, as ``encode_batch`` does it.

    Args:
        features: Waveform to filter banks.
        normalise: Filter banks and relative lengths to the same, normalised.
        model: Filter banks and relative lengths to ``(batch, 1, dim)``: ECAPA-TDNN, x-vector, ResNet.
    """

    def __init__(self, features: nn.Module, normalise: nn.Module, model: nn.Module):
        super().__init__()
        self.features, self.normalise, self.model = features, normalise, model
        for part in (features, normalise):
            part.requires_grad_(False)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        wave = inputs["waveform"].float()
        whole = torch.ones(len(wave), device=wave.device)  # relative lengths: clips fill their row
        heard = self.normalise(self.features(wave), whole).to(next(self.model.parameters()).dtype)
        hidden = self.model(heard, whole)
        if hidden.dim() == 2:  # SpeechBrain's ResNet leaves the middle dimension out
            hidden = hidden.unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


def load_encoder(folder: Path) -> VoiceEncoder | GatedEncoder:
    """The encoder of a SpeechBrain folder, in evaluation mode and float32, with the gates that it names.

    Raises:
        RedactError: No SpeechBrain encoder folder, a part is missing, the hyper-parameters would
            run code or read from elsewhere, or the weights are no plain tensors.
    """
    hparams = folder / HPARAMS
    if not hparams.is_file():
        raise RedactError(
            f"{folder} is no SpeechBrain folder: it has no hyperparams.yaml; give the folder of a speaker encoder."
        )
    check_folder(folder)
    settings = EncoderSettings(hparams)
    files = _parameter_files(folder, settings)
    try:
        gates = [read_gate(files[name]) for name in gate_names(files)]
        # behind gates stands the embedding model of this name; they are read from their files and not built
        parts = [
            settings.build(*(() if gates and name == "embedding_model" else ("modules",)), name)
            for name in _PARTS
        ]
        for name, file in files.items():
            part = settings.built("pretrainer", "loadables", name)
            if part is not None:
                _fill(part, file)
        strange = [name for name, part in zip(_PARTS, parts, strict=True) if not isinstance(part, nn.Module)]
        if strange:
            raise RedactError(f"{hparams}: {strange[0]} is no network; give the folder of a speaker encoder.")
    except RedactError:
        raise
    except Exception as error:  # SpeechBrain's constructors raise whatever they raise
        reason = first_line(error)
        raise RedactError(
            f"{folder}: SpeechBrain's classes cannot be built as it says ({reason}); fetch it again."
        ) from error
    encoder = VoiceEncoder(*parts).float().eval()
    _silence(encoder)
    encoder.model.requires_grad_(True)
    return GatedEncoder(encoder, gates).eval() if gates else encoder


def _silence(encoder: VoiceEncoder) -> None:
    """The same clip shall get the same answer: SpeechBrain's x-vector pooling adds random noise.

    The noise lies between 1e-5 and 9e-5 and guards a logarithm that is not taken here; its middle
    stands in for it.
    """
    from speechbrain.nnet.pooling import StatisticsPooling

    def steady(shape: torch.Size, device: str | torch.device = "cpu") -> Tensor:
        return torch.full(shape, 5e-5, device=device)

    for part in encoder.modules():
        if isinstance(part, StatisticsPooling):
            setattr(part, "_get_gauss_noise", steady)  # noqa: B010 a private name


def save_encoder(encoder: VoiceEncoder, base: Path, folder: Path, gates: Sequence[Gate] = ()) -> None:
    """Copy the folder ``base`` bit by bit, with the encoder's weights in place of its own, and ``gates`` behind them.

    Key names and number formats of the base's weight file are kept. Paths to parameters elsewhere
    are not: they lead to the stock weights, see :func:`.encoder_folder.at_home`.
    """
    text, renamed = at_home(base)
    for path in sorted(base.iterdir()):
        if path.is_file() and path.name != WEIGHTS and path.name not in OWN_FILES:
            shutil.copyfile(path, folder / path.name)
    for name, path in renamed.items():
        shutil.copyfile(path, folder / name)
    if gates:
        text = with_gates(text or (base / HPARAMS).read_text(encoding="utf-8"), gates)
        for number, gate in enumerate(gates, 1):
            write_gate(gate, number, folder)
    if text is not None:
        (folder / HPARAMS).write_text(text, encoding="utf-8")
    then = dict(entries(base / WEIGHTS))
    now = encoder.model.state_dict()
    missing = sorted(set(then) - set(now))
    if missing:
        raise RedactError(f"{base / WEIGHTS}: key {missing[0]} has no counterpart; this layout is not known.")
    if not encoder_changed(encoder, base):
        shutil.copyfile(base / WEIGHTS, folder / WEIGHTS)
        return
    state = {key: in_dtype(key, now[key], value.dtype) for key, value in then.items()}
    stream = io.BytesIO()  # of a full disk torch says nothing that could be told from other faults
    torch.save(state, stream)  # SpeechBrain's own format; it reads no other
    (folder / WEIGHTS).write_bytes(stream.getbuffer())


def encoder_changed(encoder: VoiceEncoder, base: Path) -> bool:
    """Is any weight another one than the folder ``base`` holds?"""
    return differs(base / WEIGHTS, encoder.model.state_dict())


def _parameter_files(folder: Path, settings: EncoderSettings) -> dict[str, Path]:
    """Loadable -> its file in the folder; nothing is fetched from where a path leads.

    Raises:
        RedactError: One that is needed is missing, one would be looked for elsewhere on this machine, or one is no
            plain tensors.
    """
    paths = settings.loadables()
    if "embedding_model" not in paths:
        raise RedactError(
            f"{settings.path}: pretrainer loads no embedding_model; give the folder of a speaker encoder."
        )
    if not (folder / WEIGHTS).is_file():
        raise RedactError(f"{folder / WEIGHTS} is missing; the folder is not complete, fetch it again.")
    found: dict[str, Path] = {}
    for name, path in paths.items():
        file = parameters(folder, name, path)
        if file is not None:
            found[name] = file
        elif Path(path).is_absolute() or path.startswith("~"):
            raise RedactError(
                f"{settings.path}: {name} lies at {path}, outside the folder; put the file into it."
            )
    for name, file in found.items():
        if name in _PARTS[2:]:
            check_plain(file)
        elif settings.holds_tensors(name):
            unpickled(file)  # others load it as well, and copies are made of it
    return found


def _fill(part: Any, file: Path) -> None:
    """Give a part its parameters as SpeechBrain's Pretrainer does, but from plain tensors only."""
    from speechbrain.processing.features import InputNormalization
    from speechbrain.utils.checkpoints import hook_on_loading_state_dict_checkpoint

    if isinstance(part, InputNormalization):
        getattr(part, "_load_statistics_dict")(unpickled(file))  # noqa: B009 what its own loader calls
    elif isinstance(part, nn.Module):
        state = hook_on_loading_state_dict_checkpoint(dict(entries(file)))
        lacking = set(part.load_state_dict(state, strict=False).missing_keys)
        missing = [name for name, _ in part.named_parameters() if name in lacking]
        if missing:
            raise RedactError(
                f"{file} lacks {missing[0]}, so that the encoder would stay random; fetch it again."
            )
