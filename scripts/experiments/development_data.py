"""Where the development data lie. Nothing of it belongs to the project."""

import os
import sys
from pathlib import Path


def data_folder(*parts: str) -> Path:
    """The folder that ``REDACT_DATA`` names; ends the command, saying what to do, where ``parts`` are not in it."""
    named = os.environ.get("REDACT_DATA")
    if not named or not all((Path(named) / part).is_dir() for part in parts):
        sys.exit(f"Set REDACT_DATA to the folder that holds {' and '.join(f'{part}/' for part in parts)}.")
    return Path(named)
