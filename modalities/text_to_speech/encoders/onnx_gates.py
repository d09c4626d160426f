"""Gates as nodes of an ONNX graph: behind the encoder's output, under the output's own name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from modalities.text_to_speech.encoders.onnx_files import copied, onnx_package
from redact_core import RedactError
from redact_core.gates import Gate
from redact_core.gates.gate import SHARPNESS

_MARK, _STOCK, _OPSET = "redact.ungated", "/redact/ungated", 13
"""From this opset on, sums and means take their axes as this module writes them."""


class _Row:
    """Nodes and constants one behind the other.

    Args:
        prefix: Of all names.
        opset: Of the graph: from 18 on, reductions take their axes as an input.
    """

    def __init__(self, prefix: str, opset: int):
        self.prefix, self.opset, self.onnx = prefix, opset, onnx_package()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: type[Any] = np.float32) -> str:
        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def __call__(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{self.prefix}/{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def reduced(self, kind: str, value: str) -> str:
        """A reduction of the last dimension, which stays."""
        if self.opset >= 18 or kind == "ReduceSum":
            return self(kind, value, self.constant([-1], np.int64), keepdims=1)
        return self(kind, value, axes=[-1], keepdims=1)

    def network(self, net: nn.Module, value: str) -> str:
        """The layers of a gate's network.

        Raises:
            RedactError: One is of another class than gates have.
        """
        for layer in net.children():
            if isinstance(layer, nn.RMSNorm):
                mean = self.reduced("ReduceMean", self("Mul", value, value))
                value = self("Div", value, self("Sqrt", self("Add", mean, self.constant(layer.eps))))
            elif isinstance(layer, nn.Linear):
                value = self("MatMul", value, self.constant(_numpy(layer.weight).T))
                bias = dict(layer.named_parameters()).get("bias")
                if bias is not None:
                    value = self("Add", value, self.constant(_numpy(bias)))
            elif isinstance(layer, nn.MaxPool1d):
                shape = self.constant([0, -1, layer.kernel_size], np.int64)
                peaks = self.reduced("ReduceMax", self("Reshape", value, shape))
                value = self("Squeeze", peaks, self.constant([2], np.int64))
            elif isinstance(layer, nn.ReLU):
                value = self("Relu", value)
            else:
                raise RedactError(
                    f"A gate with a layer {type(layer).__name__} cannot be written as ONNX; fit it anew."
                )
        return value

    def gate(self, gate: Gate, value: str, out: str | None) -> str:
        """``(batch, dim)`` -> the same, as :meth:`redact_core.gates.Gate.forward` does it."""
        found = self.network(gate.net, value)
        excess = self("Gather", found, self.constant([0], np.int64), axis=1)
        steep = self(
            "Sub", self("Mul", excess, self.constant(SHARPNESS)), self.constant(SHARPNESS * _numpy(gate.sure))
        )
        g = self("Clip", steep, self.constant(0.0), self.constant(1.0))
        length = self("Sqrt", self.reduced("ReduceSum", self("Mul", value, value)))
        steps = self("Mul", length, self("Relu", found))
        ways = [
            self(
                "Mul", self("Gather", steps, self.constant([i], np.int64), axis=1), self.constant(_numpy(way))
            )
            for i, way in enumerate((gate.away, gate.aside))
        ]
        kept = self("Mul", self("Sub", value, self("Add", *ways)), self("Sub", self.constant(1.0), g))
        return self("Add", kept, self("Mul", g, self.constant(_numpy(gate.answer))), out=out)


def with_gates(model: Any, gates: Sequence[Gate]) -> Any:
    """A copy of ``model`` with ``gates`` behind its first output, whose name stays.

    Args:
        model: Without gates; its first output is ``(batch, dim)``.
        gates: At least one.

    Raises:
        RedactError: The graph's operators are too old, or a gate is of another layout.
    """
    onnx = onnx_package()
    copy = copied(model)
    opset = max((one.version for one in copy.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if opset < _OPSET:
        raise RedactError(
            f"The graph uses the operators of opset {opset}, gates need {_OPSET} or later; convert it (onnx.version_converter)."
        )
    name = copy.graph.output[0].name
    _rename(copy.graph.node, name, _STOCK)
    value = _STOCK
    for number, gate in enumerate(gates):
        row = _Row(f"/redact/gate_{number}", opset)
        value = row.gate(gate, value, name if number == len(gates) - 1 else None)
        copy.graph.node.extend(row.nodes)
        copy.graph.initializer.extend(row.constants)
    copy.metadata_props.append(onnx.StringStringEntryProto(key=_MARK, value=name))
    return copy


def without_gates(model: Any) -> Any:
    """``model`` as it was before :func:`with_gates`; itself where it has none."""
    if all(one.key != _MARK for one in model.metadata_props):
        return model
    copy = copied(model)
    name = copy.graph.output[0].name
    ours = "/redact/gate_"
    nodes = [
        node
        for node in copy.graph.node
        if not any(one.startswith(ours) for one in (*node.input, *node.output))
    ]
    _rename(nodes, _STOCK, name)
    for field, kept in (
        (copy.graph.node, nodes),
        (copy.graph.initializer, [one for one in copy.graph.initializer if not one.name.startswith(ours)]),
        (copy.metadata_props, [one for one in copy.metadata_props if one.key != _MARK]),
    ):
        found = [type(one).FromString(one.SerializeToString()) for one in kept]
        del field[:]
        field.extend(found)
    return copy


def _rename(nodes: Iterable[Any], name: str, new: str) -> None:
    """Call a value otherwise, wherever ``nodes`` read or make it."""
    for node in nodes:
        for places in (node.input, node.output):
            for i, one in enumerate(places):
                if one == name:
                    places[i] = new


def _numpy(value: Tensor) -> Any:
    return value.detach().cpu().float().numpy()
