"""What a config and a card may say where the redacted conditions are not to be disclosed.

Names of folders, files and references tell what was redacted as well as the condition itself. So what
is not known to be harmless is left out, in place of looking for what tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redact_core.artefacts.card import Disclosure
from redact_core.errors import RedactError
from redact_core.support.paths import as_file

HIDDEN = "not disclosed"
_REQUEST = ("redact", "reference", "retain", "lessons")
_HARMLESS = {
    "class_path", "accelerator", "strategy", "precision", "gradient_clip_algorithm", "disclosure", "mode",
    "interval", "student", "surrogate", "variant", "revision",
}  # fmt: skip
"""Options whose texts come from a list or from a library."""


def disclosed_config(config: Mapping[str, Any], disclosure: Disclosure) -> dict[str, Any]:
    """The resolved config without what only tells where it was kept; hidden but for ``text``, see above."""
    config = {name: value for name, value in config.items() if name != "config"}
    if disclosure == "text":
        return config
    hidden = _without_texts(config)
    if isinstance(config.get("data"), Mapping):
        hidden["data"] |= {k: HIDDEN for k in _REQUEST if config["data"].get(k) is not None}
    return hidden


def disclosed_source(source: str, disclosure: Disclosure) -> str:
    """A hub id or the name of a bundled model as it is; a folder of the owner's only as such."""
    if disclosure == "text":
        return source
    known = Path(source).expanduser()
    return "a local folder" if known.exists() or known.is_absolute() else source


def read_key(file: Path | None) -> bytes:
    """The secret key of digests, at least 16 bytes.

    Raises:
        RedactError: No file is given, or it cannot be read, or it is too short.
    """
    if file is None:
        raise RedactError("Digests need a key; give --export.key FILE with at least 16 random bytes.")
    try:
        key = as_file(file).read_bytes()
    except OSError as error:
        raise RedactError(
            f"{file}: the key cannot be read ({error.strerror}); give a readable file."
        ) from error
    if len(key) < 16:
        raise RedactError(f"{file}: the key has {len(key)} bytes; give at least 16 random ones.")
    return key


def _without_texts(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _without(name, value) for name, value in values.items()}


def _without(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_texts(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_without(name, entry) for entry in value]
    if name == "source":
        return disclosed_source(str(value), "count")
    return value if name in _HARMLESS else HIDDEN
