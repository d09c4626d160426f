"""Folder names of the settings that robust_picture.py and robust_voice.py train."""


def folder_name(setting: str, training: str) -> str:
    """``setting`` with an underscore for whatever a file name should not hold, and how it was trained."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in setting) + f"_{training}"
