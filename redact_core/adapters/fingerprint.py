"""What identifies a model: its class, its settings, and hashes of everything its samples depend on."""

from __future__ import annotations

import ctypes
import hashlib
from typing import Any

from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.guard import Guard
from redact_core.support.folders import sha256


def fingerprint(adapter: Adapter) -> dict[str, Any]:
    """Class, plain settings, SHA-256 of the files, and SHA-256 of the encoder as it is in memory.

    A guard's class names what it guards; its settings stand beside those of the guarded adapter.
    """
    return {
        "class": class_name(adapter),
        "source": adapter.origin.source,
        "settings": settings_of(adapter),
        "files": {name: sha256(path) for name, path in sorted(adapter.files().items())},
        "encoder": weights_digest(adapter.encoder),
    }


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of the state."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(ctypes.string_at(value.data_ptr(), value.numel() * value.element_size()))
    return digest.hexdigest()


def class_name(adapter: Adapter) -> str:
    """With its module; a guard's names what it guards."""
    name = f"{type(adapter).__module__}.{type(adapter).__qualname__}"
    return f"{name} around {class_name(adapter.inner)}" if isinstance(adapter, Guard) else name


def settings_of(adapter: Adapter) -> dict[str, Any]:
    """Numbers and lists of texts that an adapter was given, by name, as JSON gives them back; not what it noted of a request."""
    if not isinstance(adapter, Guard):
        held = {key: value for key, value in sorted(vars(adapter).items()) if key not in adapter.noted}
        return {key: _plain(value) for key, value in held.items() if _is_setting(value)}
    # the texts of a guard are what it guards against, not sources; two guards of one class may be stacked
    below = settings_of(adapter.inner)
    name = type(adapter).__name__
    while any(key.startswith(f"{name}.") for key in below):
        name += "'"
    own = {
        f"{name}.{k}": _plain(v)
        for k, v in sorted(vars(adapter).items())
        if isinstance(v, str) or _is_setting(v)
    }
    return below | own


def _plain(value: Any) -> Any:
    # what was written to a file is compared with what is in memory; JSON knows no tuples
    return list(value) if isinstance(value, tuple) else value


def _is_setting(value: object) -> bool:
    """Numbers and lists of texts. Texts alone are names of sources: the files' hashes say what they hold."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(entry, str) for entry in value)
    return value is None or isinstance(value, bool | int | float)
