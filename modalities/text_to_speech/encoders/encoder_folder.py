"""Where a SpeechBrain folder takes its parameters from: out of itself, wherever it is put."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from modalities.text_to_speech.encoders.encoder_settings import HPARAMS
from redact_core import RedactError


def at_home(folder: Path) -> tuple[str | None, dict[str, Path]]:
    """The folder's ``hyperparams.yaml`` with no path to parameters that lie beside it.

    The hub's encoders name their own repository in ``pretrainer.paths``: SpeechBrain fetches the
    *stock* weights from there, whatever lies in the folder. Without a path it takes
    ``<loadable>.ckpt`` of the folder.

    Returns:
        The new text, or ``None`` if the file names no such path; and, by the name that SpeechBrain
        then looks for, the files that have another one.

    Raises:
        RedactError: The file cannot be read as YAML.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10**6
    try:
        settings: Any = yaml.load((folder / HPARAMS).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise RedactError(f"{folder / HPARAMS}: cannot be read as YAML; fetch the folder again.") from error
    pretrainer: Any = settings.get("pretrainer") if isinstance(settings, dict) else None
    paths: Any = pretrainer.get("paths") if isinstance(pretrainer, dict) else None
    here: dict[str, Path] = {}
    for name, path in list(paths.items()) if isinstance(paths, dict) else ():
        text = str(getattr(path, "value", path))  # !ref <...>/file is a tagged scalar
        file = parameters(folder, name, text)
        if file is not None:
            here[f"{name}.ckpt"] = file
            del paths[name]
    if not here:
        return None, {}
    if not paths:
        del pretrainer["paths"]
    stream = io.StringIO()
    yaml.dump(settings, stream)
    return stream.getvalue(), {name: file for name, file in here.items() if file.name != name}


def parameters(folder: Path, name: str, path: str) -> Path | None:
    """The file in ``folder`` that holds the parameters of the loadable ``name``, whose ``path`` may lead elsewhere."""
    candidates = (folder / f"{name}.ckpt", folder / (path.rpartition("/")[2] or f"{name}.ckpt"))
    return next((file for file in candidates if file.is_file()), None)
