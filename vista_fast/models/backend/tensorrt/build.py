"""From an ONNX network to a serialised engine. The interpreter's lock is free while the library builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Precision
from vista_fast.models.backend.profile import Profile
from vista_fast.models.backend.tensorrt.library import Library, sizes
from vista_fast.models.backend.tensorrt.network import Network
from vista_fast.models.backend.tensorrt.precision import lowered

if TYPE_CHECKING:
    import tensorrt as trt


def build_engine(
    library: Library, network: Network, profiles: Sequence[Profile], precision: Precision, target: str
) -> bytes:
    """Build an engine for the shapes of ``profiles`` on the GPU ``target``.

    Raises:
        InvalidArgumentError: the library can't take the network, or a profile does not fit its inputs.
    """
    library.log.take()
    builder: trt.Builder = library.api.Builder(library.logger)
    # The types are those of the file: a library that chooses them by itself changes what comes out.
    typed = 1 << int(library.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    definition: trt.INetworkDefinition = builder.create_network(typed)
    parser: trt.OnnxParser = library.api.OnnxParser(definition, library.logger)
    if not parser.parse(lowered(network.proto, precision)):
        raise InvalidArgumentError(
            f"{library.name} can't run {network.path}: {_parser_errors(parser)}; use onnxruntime for it"
        )
    config = _configured(library, builder, target)
    for profile in _fitting(network, definition, profiles):
        config.add_optimization_profile(_optimisation_profile(builder, network, definition, profile))
    engine: Any = builder.build_serialized_network(definition, config)  # a buffer, which its signature does not say
    if engine is None:
        raise InvalidArgumentError(
            f"{library.name} can't build {network.path} in {precision} for {target}: {library.log.take()}; choose "
            "another precision, or use onnxruntime for it"
        )
    return bytes(memoryview(engine))


def _configured(library: Library, builder: trt.Builder, target: str) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    # TF32 keeps 10 bits of the fraction, and is on by default.
    config.clear_flag(library.api.BuilderFlag.TF32)
    capabilities = getattr(library.api, "ComputeCapability", None)
    if capabilities is not None:
        ahead: Any = config
        ahead.num_compute_capabilities = 1
        ahead.set_compute_capability(getattr(capabilities, target.upper()), 0)
    return config


def _fitting(network: Network, definition: trt.INetworkDefinition, profiles: Sequence[Profile]) -> Sequence[Profile]:
    """The profiles, checked against the network's inputs."""
    inputs = [definition.get_input(at) for at in range(definition.num_inputs)]
    names = {each.name for each in inputs}
    free = {each.name for each in inputs if any(size < 0 for size in sizes(each.shape))}
    shown = ", ".join(f"{each.name} {_shown(each)}" for each in inputs)
    if free and not profiles:
        raise InvalidArgumentError(
            f"the shapes of {', '.join(sorted(free))} of {network.path} vary: give profiles=, the shapes that calls "
            f"have. It takes {shown}"
        )
    for profile in profiles:
        given = {name for name, _ in profile.ranges}
        if not free <= given <= names:
            raise InvalidArgumentError(
                f"a profile names {', '.join(sorted(given)) or 'nothing'}, and {network.path} takes {shown}; name "
                "every input whose shape varies"
            )
    for each in inputs:
        if each.is_shape_tensor:
            raise InvalidArgumentError(
                f"the values of input {each.name} of {network.path} set shapes; use onnxruntime for it"
            )
    return profiles


def _optimisation_profile(
    builder: trt.Builder, network: Network, definition: trt.INetworkDefinition, profile: Profile
) -> trt.IOptimizationProfile:
    made = builder.create_optimization_profile()
    inputs = {each.name: each for each in (definition.get_input(at) for at in range(definition.num_inputs))}
    for name, given in profile.ranges:
        fixed = sizes(inputs[name].shape)
        fits = len(fixed) == len(given.least) and all(
            size < 0 or size == low == high for size, low, high in zip(fixed, given.least, given.most, strict=True)
        )
        if not fits:
            raise InvalidArgumentError(
                f"a profile has {name} from {given}, and {network.path} takes {_shown(inputs[name])}; give shapes "
                "that it takes"
            )
        set_shape: Any = made.set_shape
        set_shape(name, given.least, given.usual, given.most)
    return made


def _shown(tensor: trt.ITensor) -> str:
    return f"[{', '.join('any' if size < 0 else str(size) for size in sizes(tensor.shape))}]"


def _parser_errors(parser: trt.OnnxParser) -> str:
    untyped: Any = parser
    errors = [untyped.get_error(at) for at in range(parser.num_errors)]
    return "; ".join(f"{error.desc()} (operator {error.node_operator() or error.node_name()})" for error in errors[:3])
