"""ONNX files: as values, whose tensors are read and replaced, and as models that ONNX Runtime runs on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from redact_core import RedactError
from redact_core.errors import first_line


def onnx_package() -> Any:
    """The package.

    Raises:
        RedactError: It is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise RedactError("The package onnx is not installed; pip install 'redact-core[onnx]'.") from error
    return onnx


def onnx_session(model: Path | bytes, name: object, failure: str) -> Any:
    """ONNX Runtime on the CPU, with as many threads as torch has.

    Args:
        model: The file, or its content.
        name: Of the file, for messages.
        failure: What it cannot be, for messages: ``loaded``.

    Raises:
        RedactError: onnxruntime is not installed, or refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RedactError("ONNX Runtime is not installed; pip install 'redact-core[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own errors derive from nothing else
        raise RedactError(f"{name} cannot be {failure} ({first_line(error)}); fetch it again.") from error


def copied(model: Any) -> Any:
    """A ``ModelProto`` of its own."""
    copy = onnx_package().ModelProto()
    copy.CopyFrom(model)
    return copy


def read_graph(path: Path) -> Any:
    """The ``ModelProto`` of a file that holds its own tensors.

    Raises:
        RedactError: It is missing or damaged, its tensors lie in other files, or onnx is not installed.
    """
    onnx = onnx_package()
    if not path.is_file():
        raise RedactError(f"{path} is missing; the folder is not complete, fetch it again.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # of protobuf, which has classes of its own
        reason = first_line(error)
        raise RedactError(f"{path} is no readable ONNX file ({reason}); fetch it again.") from error
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
        raise RedactError(
            f"{path} keeps its tensors in another file; save it as one (onnx.save with save_as_external_data=False)."
        )
    return model


def initialisers(model: Any) -> Mapping[str, Callable[[], NDArray[Any]]]:
    """Name of each constant tensor of the graph -> what reads it."""
    onnx = onnx_package()
    return {
        one.name: lambda one=one: onnx.numpy_helper.to_array(one).copy() for one in model.graph.initializer
    }


def replaced(model: Any, name: str, values: NDArray[Any]) -> Any:
    """A copy of ``model`` whose constant ``name`` has other ``values``; all else is the same."""
    onnx = onnx_package()
    copy = copied(model)
    for one in copy.graph.initializer:
        if one.name == name:
            one.CopyFrom(onnx.numpy_helper.from_array(values, name))
    return copy


def write_graph(model: Any, path: Path) -> None:
    """Write the file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx_package().save(model, path)
