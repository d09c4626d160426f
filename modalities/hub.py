"""Folders of models: here, or fetched from the hub."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from modalities.received import check_folder
from redact_core import RedactError
from redact_core.artefacts.card import FILE as CARD
from redact_core.errors import first_line
from redact_core.support.paths import at_home


def locate_here(source: str, bundled: Mapping[str, Path], wanted: str) -> Path:
    """The local folder of a name or of a path, for models that no hub has.

    Args:
        source: What the user gave.
        bundled: Name -> folder that comes with the package.
        wanted: What is accepted, for messages.

    Raises:
        RedactError: There is no such folder, or it would lead out of itself; see :func:`.received.check_folder`.
    """
    folder = bundled[source] if source in bundled else at_home(source)
    if not folder.is_dir():
        raise RedactError(f"There is no folder {source}; give {wanted}.")
    check_folder(folder)
    return folder


def locate(
    source: str,
    revision: str | None = None,
    *,
    holds: str = "it",
    wanted: str = "a model folder, a hub id (owner/name) or bundled",
    fetch: Callable[[], str] | None = None,
) -> Path:
    """The local folder of a path, or of a hub id (downloaded to the hub's cache).

    Args:
        source: What the user gave.
        revision: Of the hub repository.
        holds: The file by which the folder is known, for messages.
        wanted: What is accepted, for messages.
        fetch: Downloads the repository and gives its folder; default: all of its files.

    Raises:
        RedactError: There is no such folder, the hub cannot be reached or does not have it, or the folder would
            lead out of itself; see :func:`.received.check_folder`.
    """
    folder = at_home(source)
    if folder.is_dir():
        check_folder(folder)
        return folder
    if folder.exists():
        raise RedactError(f"{source} is a file; give the folder that holds {holds}.")
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise RedactError(f"There is no folder {source}; give {wanted}.")
    from huggingface_hub import snapshot_download

    try:
        fetched = Path(fetch() if fetch else snapshot_download(source, revision=revision))
    except Exception as error:  # the hub's own errors come from several libraries
        reason = first_line(error).partition(" (")[0]
        raise RedactError(
            f"{source} is neither a folder here nor could it be fetched from the hub ({reason}); "
            "check the name and the connection, or give a local folder."
        ) from error
    if fetch is not None:
        _fetch_card(source, fetched)
    check_folder(fetched)
    return fetched


def _fetch_card(source: str, snapshot: Path) -> None:
    """Fetch the card that redact wrote beside a model, so that the next one tells of both; a library fetches only what it loads."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    commit = snapshot.name  # after which snapshots are named
    # a path, or a mark that the repository has none
    if try_to_load_from_cache(source, CARD, revision=commit) is not None:
        return
    try:
        hf_hub_download(source, CARD, revision=commit)
    except Exception as error:  # the hub's own errors come from several libraries
        # the latter, a kind of the former, says that the hub could not be asked
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return
        warnings.warn(
            f"Whether {source} was redacted before could not be looked up, for its {CARD} was not fetched with it and the "
            f"hub cannot be asked now. If it was, the new card will not tell of it.",
            stacklevel=2,
        )
