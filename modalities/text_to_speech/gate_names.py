"""What files of gates are called that stand beside the weights of a speaker encoder."""

PREFIX = "voice_gates."
TENSORS, SCRIPT = f"{PREFIX}safetensors", f"{PREFIX}pt"


def of_path(file: str, path: str) -> str:
    """``file``, or that of one of several parallel ``path``; an empty one: there is one alone."""
    return file.replace(PREFIX, f"{PREFIX}{path}.") if path else file
