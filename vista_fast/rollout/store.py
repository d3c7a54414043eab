"""Trajectories on disk: one Parquet file per write, and every image once, by its hash.

``write_trajectories(folder, ...)`` writes ``folder/NAME.parquet`` and ``folder/images/HASH.png``. A file is either
whole or not there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast.errors import MissingExtraError, NotFoundError
from vista_fast.run_folder import storage_errors, whole_file
from vista_fast.types import (
    CallRecord,
    Observation,
    Reward,
    SeenImage,
    Task,
    ToolCall,
    ToolError,
    Trajectory,
    Turn,
    Verifier,
    on_host,
)

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.engine import Engine


def write_trajectories(folder: Path, name: str, trajectories: Sequence[Trajectory]) -> Path:
    """Write ``folder/name.parquet`` and the images that the folder lacks; returns the Parquet file's path.

    Raises:
        StorageError: the disk is full; nothing half-written is left under a final name.
        MissingExtraError: pyarrow or Pillow is not installed.
    """
    arrow, parquet = _pyarrow()
    images = folder / "images"
    with storage_errors(folder):
        images.mkdir(parents=True, exist_ok=True)
    for image in _distinct(trajectories):
        _write_image(images / f"{image.hash}.png", image)
    table = arrow.Table.from_pylist([_row(trajectory) for trajectory in trajectories], schema=_schema(arrow))
    path = folder / f"{name}.parquet"
    with whole_file(path) as partial:
        parquet.write_table(table, partial, compression="zstd")
    return path


def read_trajectories(
    path: Path, engine: Engine | None = None, *, verifier: Verifier | None = None
) -> list[Trajectory]:
    """Read back what ``write_trajectories`` wrote.

    Args:
        path: the Parquet file.
        engine: opens the images beside it; without one, trajectories come without images.
        verifier: stands in each Task, for a function is not stored; without one, verifying raises NotFoundError.

    The pixels of a read image are those that were written; its hash is its own, for it is of the PNG file.
    """
    _, parquet = _pyarrow()
    if not path.is_file():
        raise NotFoundError(f"{path} is not there; name a Parquet file that write_trajectories wrote")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    held: dict[str, Image] = {}
    if engine is not None:
        names = {name for row in rows for name in row["images"]}
        held = {name: engine.image(path.parent / "images" / f"{name}.png") for name in sorted(names)}
    return [_trajectory(row, held, verifier or _no_verifier) for row in rows]


def _no_verifier(answer: str, truth: str) -> bool:
    raise NotFoundError("verifiers are not stored with trajectories; pass verifier= to read_trajectories")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("trajectories are kept with pyarrow; pip install 'vista-fast[train]'") from error
    return pyarrow, pyarrow.parquet


def _distinct(trajectories: Iterable[Trajectory]) -> list[SeenImage]:
    images: dict[str, SeenImage] = {}
    for trajectory in trajectories:
        for image in trajectory.images:
            images.setdefault(image.hash, image)
        for turn in trajectory.turns:
            for image in () if turn.observation is None else turn.observation.images:
                images.setdefault(image.hash, image)
    return list(images.values())


def _write_image(path: Path, image: SeenImage) -> None:
    if path.exists():
        return
    buffer = io.BytesIO()
    on_host(image).to_pil().save(buffer, "PNG", compress_level=1)
    with whole_file(path) as partial:
        partial.write_bytes(buffer.getvalue())


def _schema(arrow: Any) -> Any:
    call = arrow.struct(
        [
            ("name", arrow.string()),
            ("arguments", arrow.string()),
            ("submitted", arrow.float64()),
            ("completed", arrow.float64()),
            ("outcome", arrow.string()),
            ("error_kind", arrow.string()),
            ("error", arrow.string()),
        ]
    )
    observation = arrow.struct(
        [
            ("text", arrow.string()),
            ("images", arrow.list_(arrow.string())),
            ("error_kind", arrow.string()),
            ("error", arrow.string()),
        ]
    )
    turn = arrow.struct(
        [
            ("text", arrow.string()),
            ("token_ids", arrow.list_(arrow.int32())),
            ("logprobs", arrow.list_(arrow.float32())),
            ("weight_version", arrow.int64()),
            ("started", arrow.float64()),
            ("ended", arrow.float64()),
            ("call", call),
            ("observation", observation),
        ]
    )
    reward = arrow.struct([(name, arrow.float64()) for name in ("total", "repetition", "format", "correctness")])
    return arrow.schema(
        [
            *((name, arrow.string()) for name in ("task", "dataset", "family", "question", "truth")),
            ("choices", arrow.list_(arrow.string())),
            ("metadata", arrow.string()),
            *((name, arrow.string()) for name in ("flow", "group", "status")),
            ("ids", arrow.list_(arrow.int32())),
            ("mask", arrow.list_(arrow.int8())),
            ("logprobs", arrow.list_(arrow.float32())),
            ("images", arrow.list_(arrow.string())),
            ("turns", arrow.list_(turn)),
            ("answer", arrow.string()),
            ("reward", reward),
            ("correct", arrow.bool_()),
            ("started", arrow.float64()),
            ("ended", arrow.float64()),
            ("error", arrow.string()),
        ]
    )


def _row(trajectory: Trajectory) -> dict[str, Any]:
    task, reward = trajectory.task, trajectory.reward
    return {
        "task": task.id,
        "dataset": task.dataset,
        "family": task.family,
        "question": task.question,
        "truth": task.truth,
        "choices": None if task.choices is None else list(task.choices),
        "metadata": json.dumps(dict(task.metadata), ensure_ascii=False, default=str),
        "flow": trajectory.flow,
        "group": trajectory.group,
        "status": trajectory.status,
        "ids": trajectory.ids,
        "mask": trajectory.mask,
        "logprobs": trajectory.logprobs,
        "images": [image.hash for image in trajectory.images],
        "turns": [_turn_row(turn) for turn in trajectory.turns],
        "answer": trajectory.answer,
        "reward": None
        if reward is None
        else {
            "total": reward.total,
            "repetition": reward.repetition,
            "format": reward.format,
            "correctness": reward.correctness,
        },
        "correct": trajectory.correct,
        "started": trajectory.started,
        "ended": trajectory.ended,
        "error": trajectory.error,
    }


def _turn_row(turn: Turn) -> dict[str, Any]:
    return {
        "text": turn.text,
        "token_ids": turn.token_ids,
        "logprobs": turn.logprobs,
        "weight_version": turn.weight_version,
        "started": turn.started,
        "ended": turn.ended,
        "call": None if turn.call is None else _call_row(turn.call),
        "observation": None if turn.observation is None else _observation_row(turn.observation),
    }


def _call_row(record: CallRecord) -> dict[str, Any]:
    call = record.call
    return {
        "name": None if call is None else call.name,
        "arguments": None if call is None else json.dumps(dict(call.arguments), ensure_ascii=False, default=str),
        "submitted": record.submitted,
        "completed": record.completed,
        "outcome": record.outcome,
        **_error_row(record.error),
    }


def _observation_row(observation: Observation) -> dict[str, Any]:
    images = [image.hash for image in observation.images]
    return {"text": observation.text, "images": images, **_error_row(observation.error)}


def _error_row(error: ToolError | None) -> dict[str, str | None]:
    return {"error_kind": None if error is None else error.kind, "error": None if error is None else error.message}


def _trajectory(row: Mapping[str, Any], images: Mapping[str, Image], verifier: Verifier) -> Trajectory:
    return Trajectory(
        task=Task(
            id=row["task"],
            dataset=row["dataset"],
            family=row["family"],
            question=row["question"],
            images=(),
            truth=row["truth"],
            verifier=verifier,
            choices=None if row["choices"] is None else tuple(row["choices"]),
            metadata=json.loads(row["metadata"]),
        ),
        flow=row["flow"],
        group=row["group"],
        status=row["status"],
        ids=row["ids"],
        mask=row["mask"],
        logprobs=row["logprobs"],
        images=[images[name] for name in row["images"] if name in images],
        turns=[_turn(turn, images) for turn in row["turns"]],
        answer=row["answer"],
        reward=None if row["reward"] is None else Reward(**row["reward"]),
        correct=row["correct"],
        started=row["started"],
        ended=row["ended"],
        error=row["error"],
    )


def _turn(row: Mapping[str, Any], images: Mapping[str, Image]) -> Turn:
    call, seen = row["call"], row["observation"]
    return Turn(
        text=row["text"],
        token_ids=row["token_ids"],
        logprobs=row["logprobs"],
        weight_version=row["weight_version"],
        started=row["started"],
        ended=row["ended"],
        call=None if call is None else _call(call),
        observation=None
        if seen is None
        else Observation(seen["text"], tuple(images[name] for name in seen["images"] if name in images), _error(seen)),
    )


def _call(row: Mapping[str, Any]) -> CallRecord:
    call = None if row["name"] is None else ToolCall(row["name"], json.loads(row["arguments"]))
    return CallRecord(call, row["submitted"], row["completed"], row["outcome"], _error(row))


def _error(row: Mapping[str, Any]) -> ToolError | None:
    return None if row["error_kind"] is None else ToolError(row["error_kind"], row["error"])
