"""The part of a voice cloner that reads the reference clip: a SpeechBrain speaker encoder."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.text_to_speech.encoder_folder import HPARAMS, at_home, opened
from modalities.weight_files import check_plain, differs, entries
from redact_core import Conditioning, RedactError
from redact_core.card import OWN_FILES

WEIGHTS = "embedding_model.ckpt"
_TAG = re.compile(r"!(?:new|name|apply|module):\s*([\w.]+)")


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


def load_encoder(folder: Path) -> VoiceEncoder:
    """The encoder of a SpeechBrain folder, in evaluation mode and float32.

    Raises:
        RedactError: No SpeechBrain encoder folder, a part is missing, the hyper-parameters would
            run code from elsewhere, or the weights are no plain tensors.
    """
    hparams = folder / HPARAMS
    if not hparams.is_file():
        raise RedactError(
            f"{folder} is no SpeechBrain folder: it has no hyperparams.yaml; give the folder of a speaker encoder."
        )
    _check_tags(hparams)
    _check_weights(folder / WEIGHTS)
    from speechbrain.inference.classifiers import EncoderClassifier
    from speechbrain.utils.fetching import LocalStrategy

    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    try:
        with opened(folder) as source:
            loaded: Any = EncoderClassifier.from_hparams(
                source, savedir=source, local_strategy=LocalStrategy.NO_LINK, run_opts={"device": "cpu"}
            )
        parts = [loaded.mods[name] for name in ("compute_features", "mean_var_norm", "embedding_model")]
    except RedactError:
        raise
    except Exception as error:  # HyperPyYAML and SpeechBrain raise whatever their constructors raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RedactError(
            f"{folder}: SpeechBrain cannot load it as an EncoderClassifier ({reason}); fetch it again."
        ) from error
    encoder = VoiceEncoder(*parts).float().eval()
    _silence(encoder)
    encoder.model.requires_grad_(True)
    return encoder


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


def save_encoder(encoder: VoiceEncoder, base: Path, folder: Path) -> None:
    """Copy the folder ``base`` bit by bit, with the encoder's weights in place of its own.

    Key names and number formats of the base's weight file are kept. Paths to parameters elsewhere
    are not: they lead to the stock weights, see :func:`.encoder_folder.at_home`.
    """
    text, renamed = at_home(base)
    for path in sorted(base.iterdir()):
        if path.is_file() and path.name != WEIGHTS and path.name not in OWN_FILES:
            shutil.copyfile(path, folder / path.name)
    for name, path in renamed.items():
        shutil.copyfile(path, folder / name)
    if text is not None:
        (folder / HPARAMS).write_text(text, encoding="utf-8")
    then = dict(entries(base / WEIGHTS))
    now = encoder.model.state_dict()
    missing = sorted(set(then) - set(now))
    if missing:
        raise RedactError(f"{base / WEIGHTS}: key {missing[0]} has no counterpart; this layout is not known.")
    state = {key: now[key].detach().cpu().to(value.dtype) for key, value in then.items()}
    torch.save(state, folder / WEIGHTS)  # SpeechBrain's own format; it reads no other


def encoder_changed(encoder: VoiceEncoder, base: Path) -> bool:
    """Is any weight another one than the folder ``base`` holds?"""
    return differs(base / WEIGHTS, encoder.model.state_dict())


def _check_tags(hparams: Path) -> None:
    """HyperPyYAML calls whatever a tag names; only these libraries' classes may be named."""
    try:
        text = hparams.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RedactError(f"{hparams}: cannot be read; fetch the folder again.") from error
    for name in _TAG.findall(text):
        if not name.startswith(("speechbrain.", "torch.nn.")):
            raise RedactError(
                f"{hparams} would call {name} when it is loaded; only classes of speechbrain and torch.nn are taken."
            )


def _check_weights(path: Path) -> None:
    if not path.is_file():
        raise RedactError(f"{path} is missing; the folder is not complete, fetch it again.")
    check_plain(path)
