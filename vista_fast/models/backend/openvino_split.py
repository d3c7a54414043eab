"""A network of one input cut in two, for the layers next to the input to run in another precision than the rest."""

from __future__ import annotations

from typing import Any


def split(model: Any, share: float) -> tuple[Any, Any] | None:
    """Two ``openvino.Model``s, of which the second takes the only output of the first. The model given is used up.

    The cut is the last place that one tensor alone passes, with at most ``share`` of the convolutions before it; None
    where there is no such place behind a convolution, and for a network with several inputs or with a state.
    """
    if len(model.inputs) != 1 or model.get_sinks():
        return None
    import openvino
    import openvino.opset13 as ops

    cut = _narrow_place(model.get_ordered_ops(), share)
    if cut is None:
        return None
    users = list(cut.get_target_inputs())
    passed = ops.parameter(cut.get_partial_shape(), cut.get_element_type())
    for user in users:
        user.replace_source_output(passed.output(0))
    first = openvino.Model([cut], model.get_parameters(), f"{model.get_friendly_name()}, first layers")
    second = openvino.Model(model.get_results(), [passed], model.get_friendly_name())
    return first, second


def _narrow_place(nodes: list[Any], share: float) -> Any | None:
    """The output to cut behind, of a graph's nodes in their order."""
    constant: set[str] = set()
    last_use: dict[str, int] = {}
    for at, node in enumerate(nodes):
        sources = [port.get_source_output().get_node().get_friendly_name() for port in node.inputs()]
        if node.get_type_name() == "Constant" or (sources and constant.issuperset(sources)):
            constant.add(node.get_friendly_name())
            continue
        # An output of the network stays in use: it can't lie before the cut.
        until = len(nodes) if node.get_type_name() == "Result" else at
        for name in set(sources) - constant:
            last_use[name] = max(until, last_use.get(name, 0))
    allowed = share * sum(map(_is_convolution, nodes))
    place, passed = None, 0
    live: set[str] = set()
    for at, node in enumerate(nodes):
        name = node.get_friendly_name()
        passed += _is_convolution(node)
        if passed > allowed:
            break
        live = {each for each in live if last_use[each] > at}
        if name in last_use:
            live.add(name)
        if live == {name} and passed and len(node.outputs()) == 1:
            place = node.output(0)
    return place


def _is_convolution(node: Any) -> bool:
    return node.get_type_name() in ("Convolution", "GroupConvolution")
