"""The Ops ``layout.detect`` and ``table.structure``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import check_backend, device_of
from vista_fast.models.call_arguments import one_for_all
from vista_fast.models.documents.config import DocumentConfig
from vista_fast.models.documents.layout import LayoutModel, layout_weights
from vista_fast.models.documents.table import LIBRARY, TableModel, table_weights
from vista_fast.models.loading import LoadedOnce, RegisteredOnce, on_device

if TYPE_CHECKING:
    from vista_fast.engine import Engine

TABLE_BATCH = 4
"""Tables in a batch, which takes as long as its longest one."""

_registered: RegisteredOnce[DocumentConfig] = RegisteredOnce("reads documents")


def register_documents(engine: Engine, config: DocumentConfig) -> None:
    """Give the engine two Ops; once per engine, repeating it with an equal config does nothing.

    That libraries and weights are here is checked now, and the networks are loaded with the first call.

    - ``layout.detect(image)`` → ``{"boxes": float32 [n, 4], "labels": [str] * n, "scores": float32 [n]}``; see
      ``Regions``. The network takes one page at a time.
    - ``table.structure(image)`` → ``{"boxes": float32 [n, 4], "places": int32 [n, 4], "html": str, "score": float}``
      of an image that shows one table; see ``TableStructure``. Batches images of any sizes.

    Raises:
        InvalidArgumentError: the engine already has them with another config, or the library does not run on that
            device here.
        MissingExtraError: the libraries are not installed.
        NotFoundError: the weights are not here; the message says how to get them.
    """
    _registered.register(engine, config, lambda: _register(engine, config))


def _register(engine: Engine, config: DocumentConfig) -> None:
    from vista_fast.engine import BatchPolicy, Op

    check_backend(config.library, config.device, opens="the layout's network")
    try:
        check_backend(LIBRARY, config.device)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"table.structure runs on {LIBRARY} alone: {error}; or leave device out") from error
    layout_weights()
    table_weights()
    threads = engine.threads
    layout = LoadedOnce("layout", lambda: LayoutModel(config, threads=threads))
    table = LoadedOnce("table", lambda: TableModel(config, threads=threads))
    engine.register(
        Op(
            "layout.detect",
            f"pp-layout-cdla/{config.library}/{config.runs_on}/{config.score_threshold}/{config.overlap_threshold}",
            policy=BatchPolicy(max_batch=1, max_delay=0.0),
            run=on_device(config.runs_on, lambda calls: [_detected(layout.get(), call) for call in calls]),
            key=one_for_all("layout.detect"),
            timeout=config.timeout,
        )
    )
    engine.register(
        Op(
            "table.structure",
            f"slanet-1m/{device_of(LIBRARY, config.device)}",
            policy=BatchPolicy(max_batch=TABLE_BATCH, max_delay=0.005),
            run=on_device(device_of(LIBRARY, config.device), lambda calls: _structured(table.get(), calls)),
            key=one_for_all("table.structure"),
            timeout=config.timeout,
        )
    )


def _detected(model: LayoutModel, call: Mapping[str, Any]) -> dict[str, Any]:
    regions = model.detect(np.asarray(call["image"]))
    return {"boxes": regions.boxes, "labels": list(regions.labels), "scores": regions.scores}


def _structured(model: TableModel, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    tables = model.read([np.asarray(call["image"]) for call in calls])
    return [
        {"boxes": table.boxes, "places": table.places, "html": table.html, "score": table.score} for table in tables
    ]
