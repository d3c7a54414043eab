"""An ONNX file as it goes into a build: its bytes, whole, and what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vista_fast.errors import MissingExtraError
from vista_fast.models.backend.model import existing, not_loaded


@dataclass(frozen=True, slots=True)
class Network:
    """A parsed ONNX file.

    Attributes:
        path: where it lies.
        sha256: of the file and of the files beside it that hold its weights, in hexadecimal.
        proto: the ``onnx.ModelProto``, all weights inside.
        metadata: the strings that it carries beside its weights.
    """

    path: Path
    sha256: str
    proto: Any
    metadata: Mapping[str, str]


def read_network(path: Path) -> Network:
    """Read an ONNX file.

    Raises:
        NotFoundError: there is no such file.
        InvalidArgumentError: it holds no ONNX network, or lacks the files of its weights.
        MissingExtraError: the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(
            "the package onnx reads networks for tensorrt; install it with: pip install 'vista-fast[tensorrt]'"
        ) from error
    existing(path)
    try:
        proto = onnx.load(str(path), load_external_data=False)
        files = [path, *(path.parent / name for name in sorted(set(_external(proto))))]
        digest = _sha256(files)
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # protobuf and onnx have their own classes
        raise not_loaded(path, error) from error
    if not proto.graph.node:
        raise not_loaded(path, "it holds no operators")
    return Network(path, digest, proto, {entry.key: entry.value for entry in proto.metadata_props})


def _external(proto: Any) -> Iterator[str]:
    """The names of the files that hold weights of the network."""
    for tensor in (*_tensors_of(proto.graph), *(each for made in proto.functions for each in _tensors_in(made.node))):
        yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _tensors_of(graph: Any) -> Iterator[Any]:
    """Initializers, and what the attributes of operators hold, those of graphs within included."""
    yield from graph.initializer
    yield from _tensors_in(graph.node)


def _tensors_in(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of(graph)


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
