"""A network of one input cut in two, for the layers next to the input to run in another precision than the rest."""

from __future__ import annotations

from typing import Any


def split(model: Any, share: float) -> tuple[Any, Any] | None:
    """Two ``openvino.Model``s, of which the second takes the only output of the first. The model given is used up.

    The cut is the last narrow place with at most ``share`` of the convolutions before it; None where there is no such
    place, and for a network with several inputs or with a state.
    """
    if len(model.inputs) != 1 or model.get_sinks():
        return None
    nodes = model.get_ordered_ops()
    allowed = share * sum(map(is_convolution, nodes))
    places = [at for at in narrow_places(nodes) if sum(map(is_convolution, nodes[: at + 1])) <= allowed]
    if not places:
        return None
    import openvino

    cut = nodes[places[-1]].output(0)
    inputs = model.get_parameters()
    second = behind(model, cut)
    return openvino.Model([cut], inputs, f"{model.get_friendly_name()}, first layers"), second


def behind(model: Any, cut: Any) -> Any:
    """What a model makes of an output of one of its nodes: a model of one input. The model given is used up."""
    import openvino
    import openvino.opset13 as ops

    users = list(cut.get_target_inputs())
    passed = ops.parameter(cut.get_partial_shape(), cut.get_element_type())
    for user in users:
        user.replace_source_output(passed.output(0))
    return openvino.Model(model.get_results(), [passed], model.get_friendly_name())


def narrow_places(nodes: list[Any]) -> list[int]:
    """The nodes behind a convolution whose only output is all that passes from those up to it to those behind it, of a
    graph's nodes in their order."""
    constant: set[str] = set()
    last_use: dict[str, int] = {}
    for at, node in enumerate(nodes):
        sources = [port.get_source_output().get_node().get_name() for port in node.inputs()]
        if node.get_type_name() == "Constant" or (sources and constant.issuperset(sources)):
            constant.add(node.get_name())
            continue
        # An output of the network stays in use: it can't lie before the cut.
        until = len(nodes) if node.get_type_name() == "Result" else at
        for name in set(sources) - constant:
            last_use[name] = max(until, last_use.get(name, 0))
    places = []
    passed = False
    live: set[str] = set()
    for at, node in enumerate(nodes):
        name = node.get_name()
        passed = passed or is_convolution(node)
        live = {each for each in live if last_use[each] > at}
        if name in last_use:
            live.add(name)
        if live == {name} and passed and len(node.outputs()) == 1:
            places.append(at)
    return places


def is_convolution(node: Any) -> bool:
    return node.get_type_name() in ("Convolution", "GroupConvolution")
