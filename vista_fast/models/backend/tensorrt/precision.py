"""A network in f16 or bf16: its products in that precision, what needs range or accuracy in f32.

The library takes the types of a network as they stand in its ONNX file, so they are set there. Inputs and outputs stay
as they are.
"""

from __future__ import annotations

from typing import Any

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Precision

RULES = 1
"""The number of these rules: raise it with every change of what ``lowered`` makes, so that engines are built anew."""

# Products, and what lies between them at little loss. Sums over many elements, divisions, powers, roots and
# exponentials stay in f32, and so does arithmetic on shapes.
_LOWERED = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul"),
        *("Add", "Sub", "Mul", "BatchNormalization"),
        *("Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Sigmoid"),
        *("AveragePool", "GlobalAveragePool", "MaxPool", "Resize"),
        *("Concat", "Expand", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose"),
        "Unsqueeze",
    )
)
_NOT_IN_BF16 = frozenset(("ConvTranspose", "HardSwish"))
"""What the library builds in f32 and f16 only."""
_INPUTS_THAT_STAY = {"Resize": (1, 2), "Upsample": (1,)}
"""Scales and regions, which the operator wants in f32."""


def lowered(proto: Any, precision: Precision) -> bytes:
    """The network as ONNX bytes, its products in ``precision``.

    Raises:
        InvalidArgumentError: it is too large for one ONNX file (2 GB), or the types of its tensors can't be told.
    """
    if precision == "f32":
        return _bytes(proto)
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    if precision == "f16":
        lowering = _Lowering(copy.graph, _float_tensors(copy), onnx.TensorProto.FLOAT16, _LOWERED)
    else:
        lowering = _Lowering(copy.graph, _float_tensors(copy), onnx.TensorProto.BFLOAT16, _LOWERED - _NOT_IN_BF16)
    lowering.run()
    return _bytes(copy)


class _Lowering:
    """Rewrites a graph in place: casts a tensor where an operator wants its other form, once per form."""

    def __init__(self, graph: Any, floats: set[str], low: int, operators: frozenset[str]) -> None:
        self._graph = graph
        self._operators = operators
        self._floats = floats
        self._low = low
        self._is_low: set[str] = set()
        self._cast: dict[str, str] = {}
        self._nodes: list[Any] = []

    def run(self) -> None:
        for node in self._graph.node:
            if self._gains(node):
                self._lower(node)
            else:
                self._keep(node)
        for output in self._graph.output:
            self._restore(output.name)
        # The types that the file gives for tensors inside are no longer theirs.
        del self._graph.value_info[:]
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _gains(self, node: Any) -> bool:
        if node.op_type == "Softmax":
            # Inside attention the library fuses it with the products around it, and sums in f32 whatever its type; it
            # fails at some networks where they differ in type. Probabilities that are an output stay exact.
            return not {output.name for output in self._graph.output} & set(node.output)
        return node.op_type in self._operators and any(name in self._floats for name in node.output)

    def _lower(self, node: Any) -> None:
        stay = _INPUTS_THAT_STAY.get(node.op_type, ())
        for at, name in enumerate(node.input):
            if name in self._floats:
                node.input[at] = self._in_f32(name) if at in stay else self._in_low(name)
        self._nodes.append(node)
        self._is_low.update(name for name in node.output if name in self._floats)

    def _keep(self, node: Any) -> None:
        for at, name in enumerate(node.input):
            node.input[at] = self._in_f32(name)
        for name in _outer_names(node) & self._is_low:
            # A subgraph sees the tensors around it by name.
            raise InvalidArgumentError(
                f"operator {node.op_type} looks at {name} from within a branch or loop; run this network in f32"
            )
        self._nodes.append(node)

    def _in_low(self, name: str) -> str:
        return name if name in self._is_low else self._as(name, self._low)

    def _in_f32(self, name: str) -> str:
        return self._as(name, 1) if name in self._is_low else name

    def _as(self, name: str, wanted: int) -> str:
        if name not in self._cast:
            import onnx

            self._cast[name] = f"{name}/cast"
            self._nodes.append(onnx.helper.make_node("Cast", [name], [self._cast[name]], to=wanted))
        return self._cast[name]

    def _restore(self, name: str) -> None:
        """Gives an output of the network its f32 form under its own name."""
        if name not in self._is_low:
            return
        import onnx

        hidden = f"{name}/lowered"
        for node in self._nodes:
            node.input[:] = [hidden if each == name else each for each in node.input]
            node.output[:] = [hidden if each == name else each for each in node.output]
        self._nodes.append(onnx.helper.make_node("Cast", [hidden], [name], to=1))


def _outer_names(node: Any) -> set[str]:
    """What the subgraphs of a node read."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {name for graph in inner for each in graph.node for name in (*each.input, *_outer_names(each))}


def _float_tensors(proto: Any) -> set[str]:
    """The names of the f32 tensors of the outermost graph."""
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(proto).graph
    except Exception as error:  # the library's own classes
        raise InvalidArgumentError(
            f"the types of the network's tensors can't be told: {error}; run it in f32"
        ) from error
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    named = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return named | {tensor.name for tensor in proto.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}


def _bytes(proto: Any) -> bytes:
    try:
        return bytes(proto.SerializeToString())
    except Exception as error:  # protobuf's own class
        raise InvalidArgumentError(f"the network does not fit one ONNX file of 2 GB: {error}") from error
