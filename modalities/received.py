"""Looking over a model folder before anything in it is read: folders come from strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from redact_core import RedactError
from redact_core.support.inside import check_files, links_out

_CODE = {"auto_map", "custom_pipelines", "trust_remote_code"}
"""Keys of JSON files by which libraries find code of the folder or of the hub."""
_KERNELS = {"attn_implementation", "experts_implementation"}
"""Keys that may name a repository of compiled code: ``owner/name``."""
_LARGEST = 64_000_000


def check_folder(folder: Path) -> None:
    """Refuse a folder with a link that leads out of it, a pipe or device, or a JSON file that would have a library run code.

    A link into the store of the hub's cache, where the folder is a snapshot of it, is as good as a file.

    Raises:
        RedactError: Names the link, or the file and the key.
    """
    for link in links_out(folder):
        raise RedactError(
            f"{link} is a link that leads out of the folder, to {link.readlink()}; put the file itself there."
        )
    check_files(folder)
    for path in sorted(folder.rglob("*.json")):
        for key, value in _keys(_read(path)):
            if key in _CODE and (value is True or (value and isinstance(value, str | list | dict))):
                raise RedactError(
                    f"{path}: {key} would have code loaded from elsewhere; code of models is not run."
                )
            if key.removeprefix("_").removesuffix("_internal") in _KERNELS and "/" in str(value):
                raise RedactError(f"{path}: {key} names {value}, code of the hub; code of models is not run.")


def _read(path: Path) -> Any:
    """What a file holds; ``None`` for what is too large to be a configuration or is none, which others report."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size < _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None


def _keys(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, however deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            for key, entry in value.items():
                yield str(key), entry
                waiting.append(entry)
        elif isinstance(value, list):
            waiting.extend(value)
