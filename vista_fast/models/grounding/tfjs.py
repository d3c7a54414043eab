"""Networks in the format of TensorFlow.js (a graph as JSON, and its weights) as ONNX files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.onnx_files import onnx_package

REVISION = 1
"""Raised with every change of what is written, so that files of before are not taken for it."""
_OPSET = 17
_PLAIN = {"Add": "Add", "AddV2": "Add", "Sigmoid": "Sigmoid"}

Array = npt.NDArray[Any]


def to_onnx(graph: Path, weights: Path, target: Path, outputs: Mapping[str, str]) -> None:
    """Writes the network with one input, ``input``, whose first dimension varies.

    Args:
        graph: the JSON file.
        weights: the file of weights that goes with it.
        target: of the ONNX file.
        outputs: the name that each output gets, by the one that it has.

    Raises:
        InvalidArgumentError: the graph has an operation that is not among those which are known here.
        MissingExtraError: the package onnx is not installed.
    """
    onnx = onnx_package()
    described = json.loads(graph.read_text(encoding="utf-8"))
    made = _Conversion(described["modelTopology"]["node"], _weights(described["weightsManifest"], weights))
    onnx.save(made.model(outputs), str(target))


def _weights(manifest: list[dict[str, Any]], path: Path) -> dict[str, Array]:
    raw = path.read_bytes()
    found: dict[str, Array] = {}
    at = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        values = np.frombuffer(raw, stored, count, at).reshape(entry["shape"])
        found[entry["name"]] = values.astype(entry["dtype"])
        at += count * stored.itemsize
    return found


class _Conversion:
    """One graph on its way to ONNX. Its tensors keep their names."""

    def __init__(self, nodes: list[dict[str, Any]], weights: dict[str, Array]) -> None:
        self._nodes = [node for node in nodes if node["op"] != "Const"]
        self._constants = weights
        self._made: list[Any] = []
        self._given: list[Any] = []
        self._stored: dict[str, Any] = {}
        self._same: dict[str, str] = {}

    def model(self, outputs: Mapping[str, str]) -> Any:
        from onnx import TensorProto, helper

        for node in self._in_order():
            self._convert(node)
        for name, wanted in outputs.items():
            self._rename(self._same[name], wanted)
        shape = ["n", None, None]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs.values()]
        graph = helper.make_graph(self._made, "network", self._given, results, list(self._stored.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)

    def _in_order(self) -> list[dict[str, Any]]:
        """Every node after what it reads."""
        ready = set(self._constants)
        waiting, ordered = self._nodes, []
        while waiting:
            able = [node for node in waiting if all(_base(name) in ready for name in node.get("input", ()))]
            if not able:
                raise InvalidArgumentError(f"the graph reads {waiting[0]['input']}, which nothing in it makes")
            ordered += able
            ready |= {node["name"] for node in able}
            waiting = [node for node in waiting if node["name"] not in ready]
        return ordered

    def _convert(self, node: dict[str, Any]) -> None:
        op, name, inputs = node["op"], node["name"], list(node.get("input", ()))
        if op in _PLAIN and not all(each in self._constants for each in inputs):
            self._add(_PLAIN[op], inputs, name)
            return
        if not hasattr(self, f"_{op}"):
            raise InvalidArgumentError(f"operation {op} of {name} is not known here; take the network's ONNX file")
        getattr(self, f"_{op}")(name, inputs, node.get("attr", {}))

    def _add(self, op: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        from onnx import helper

        for each in inputs:
            self._keep(each)
        names = [self._same.get(each, each) for each in (_base(each, index=True) for each in inputs)]
        self._made.append(helper.make_node(op, names, list(outputs), **attributes))

    def _rename(self, name: str, wanted: str) -> None:
        """Of a tensor that nothing else reads."""
        for node in self._made:
            if name in node.output:
                node.output[list(node.output).index(name)] = wanted

    def _keep(self, name: str) -> None:
        from onnx import numpy_helper

        if name in self._constants and name not in self._stored:
            self._stored[name] = numpy_helper.from_array(self._constants[name], name)

    def _constant(self, name: str, values: Any, dtype: Any = np.int64) -> str:
        self._constants[name] = np.asarray(values, dtype)
        return name

    def _Placeholder(self, name: str, _: list[str], attributes: Any) -> None:
        from onnx import TensorProto, helper

        sides = [int(side["size"]) for side in attributes["shape"]["shape"]["dim"]]
        self._given.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *sides[1:]]))
        self._same[name] = "input"

    def _Identity(self, name: str, inputs: list[str], _: Any) -> None:
        # A node that copies costs time, and libraries that take it out may lose the name of what it makes.
        self._same[name] = inputs[0]

    def _AddV2(self, name: str, inputs: list[str], _: Any) -> None:
        self._constants[name] = self._constants[inputs[0]] + self._constants[inputs[1]]

    def _SparseToDense(self, name: str, inputs: list[str], _: Any) -> None:
        where, shape, values, other = (self._constants[each] for each in inputs)
        dense = np.full(shape, other)
        dense[tuple(where.T)] = values
        self._constants[name] = dense

    def _Transpose(self, name: str, inputs: list[str], _: Any) -> None:
        self._add("Transpose", inputs[:1], name, perm=self._constants[inputs[1]].tolist())

    def _Reshape(self, name: str, inputs: list[str], _: Any) -> None:
        # The first dimension is the batch: 0 takes it as it comes.
        shape = self._constant(f"{name}/shape", [0, *self._constants[inputs[1]].tolist()[1:]])
        self._add("Reshape", [inputs[0], shape], name)

    def _Pad(self, name: str, inputs: list[str], _: Any) -> None:
        sides = self._constant(f"{name}/sides", self._constants[inputs[1]].T.ravel())
        value = [] if len(inputs) == 2 else [inputs[2]]
        self._add("Pad", [inputs[0], sides, *value], name)

    _PadV2 = _Pad

    def _ConcatV2(self, name: str, inputs: list[str], _: Any) -> None:
        self._add("Concat", inputs[:-1], name, axis=int(self._constants[inputs[-1]]))

    def _SplitV(self, name: str, inputs: list[str], _: Any) -> None:
        sizes = self._constant(f"{name}/sizes", self._constants[inputs[1]])
        names = [name, *(f"{name}:{index}" for index in range(1, len(self._constants[inputs[1]])))]
        self._add("Split", [inputs[0], sizes], *names, axis=int(self._constants[inputs[2]]))

    def _LeakyRelu(self, name: str, inputs: list[str], attributes: Any) -> None:
        self._add("LeakyRelu", inputs, name, alpha=float(attributes["alpha"]["f"]))

    def _Conv2D(self, name: str, inputs: list[str], attributes: Any) -> None:
        kernel = self._constant(f"{name}/kernel", self._constants[inputs[1]].transpose(3, 2, 0, 1), np.float32)
        self._channels_first("Conv", name, [inputs[0], kernel], attributes)

    def _MaxPool(self, name: str, inputs: list[str], attributes: Any) -> None:
        size = [int(each) for each in attributes["ksize"]["list"]["i"][1:3]]
        self._channels_first("MaxPool", name, inputs, attributes, kernel_shape=size)

    def _channels_first(self, op: str, name: str, inputs: list[str], attributes: Any, **more: Any) -> None:
        if base64.b64decode(attributes["padding"]["s"]) != b"VALID":
            raise InvalidArgumentError(f"{name} pads by itself, which is not known here; take the network's ONNX file")
        strides = [int(each) for each in attributes["strides"]["list"]["i"][1:3]]
        self._add("Transpose", inputs[:1], f"{name}/first", perm=[0, 3, 1, 2])
        self._add(op, [f"{name}/first", *inputs[1:]], f"{name}/last", strides=strides, **more)
        self._add("Transpose", [f"{name}/last"], name, perm=[0, 2, 3, 1])

    def _ResizeBilinear(self, name: str, inputs: list[str], _: Any) -> None:
        height, width = self._constants[inputs[1]].tolist()
        self._add("Transpose", inputs[:1], f"{name}/first", perm=[0, 3, 1, 2])
        self._add("Shape", [f"{name}/first"], f"{name}/kept", start=0, end=2)
        sides = self._constant(f"{name}/sides", [height, width])
        self._add("Concat", [f"{name}/kept", sides], f"{name}/size", axis=0)
        self._add(
            "Resize",
            [f"{name}/first", "", "", f"{name}/size"],
            f"{name}/last",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        self._add("Transpose", [f"{name}/last"], name, perm=[0, 2, 3, 1])


def _base(name: str, *, index: bool = False) -> str:
    """The node that makes a tensor; with its output's number where that is wanted and not 0."""
    node, _, number = name.partition(":")
    return name if index and number not in ("", "0") else node
