"""Toolbox: the tools that an episode may call, and the one place where a call becomes an Observation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vista_fast.errors import InvalidArgumentError, OpError, ResourceExhaustedError
from vista_fast.models.documents.config import DocumentConfig
from vista_fast.models.documents.ops import register_documents
from vista_fast.models.grounding.config import GroundingConfig
from vista_fast.models.grounding.ops import register_grounding
from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.ops import register_ocr
from vista_fast.models.segmentation.config import SegmentationConfig
from vista_fast.models.segmentation.ops import register_segmentation
from vista_fast.tools.arguments import check_arguments, nearest, shown
from vista_fast.tools.documents import Layout, Table
from vista_fast.tools.grounding import Ground, GroundingDinoTool
from vista_fast.tools.perception import EasyOcr, ImageRotateTool, ImageZoomInTool, Ocr, Rotate, Zoom
from vista_fast.tools.segmentation import Sam2, Segment
from vista_fast.tools.tool import CallContext, Tool, ToolFailure
from vista_fast.types import CallRecord, Observation, SeenImage, ToolCall, ToolError, is_placed

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.engine import Engine

_READING = OcrConfig()
_LOWEST = -(1 << 30)
"""The priority of what nobody waits for yet."""


class Toolbox:
    """The tools that an episode may call, over one Engine. Immutable; shared by any number of episodes."""

    def __init__(self, engine: Engine, tools: Iterable[Tool]) -> None:
        """Offer these tools. A Tool with ``alias_of`` is callable but not listed while that one is offered too."""
        self.engine = engine
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise InvalidArgumentError(f"two tools are named {tool.name!r}; give each its own name")
            self._tools[tool.name] = tool
        self._listed = {name: tool for name, tool in self._tools.items() if tool.alias_of not in self._tools}

    @classmethod
    def default(
        cls,
        engine: Engine,
        *,
        ocr: OcrConfig | None = _READING,
        zoom: Zoom | None = None,
        segmentation: SegmentationConfig | None = None,
        documents: DocumentConfig | None = None,
        grounding: GroundingConfig | None = None,
    ) -> Toolbox:
        """Zoom, rotate and ocr, each also under its name in other systems. ``ocr=None`` leaves ocr out.

        With ``segmentation`` there is segment too; with ``documents`` there are layout and, where there is ocr, table.
        With ``grounding`` there is ground: any words where a Grounding DINO is on this machine, else COCO's classes.
        Their weights come with no extra: ``vista-fast weights get`` brings them.

        Raises:
            MissingExtraError: the libraries that ocr needs are not installed.
            NotFoundError: weights are not there; the message says how to get them.
            InvalidArgumentError: the engine already does the same with another configuration.
        """
        zoom = zoom or Zoom()
        tools: list[Tool] = [zoom, ImageZoomInTool(min_side=zoom.min_side, max_side=zoom.max_side)]
        tools += [Rotate(), ImageRotateTool()]
        if ocr is not None:
            register_ocr(engine, ocr)
            tools += [Ocr(min_score=ocr.text_threshold), EasyOcr(min_score=ocr.text_threshold)]
        if segmentation is not None:
            register_segmentation(engine, segmentation)
            tools += [Segment(), Sam2()]
        if documents is not None:
            register_documents(engine, documents)
            tools.append(Layout())
            if ocr is not None:
                tools.append(Table(min_score=ocr.text_threshold))
        if grounding is not None:
            grounder = register_grounding(engine, grounding)
            tools += [Ground(grounder), GroundingDinoTool(grounder)]
        return cls(engine, tools)

    def __deepcopy__(self, memo: dict[int, Any]) -> Toolbox:
        """Itself, as an immutable thing; what copies its settings (Gymnasium's specs do) goes on sharing the engine."""
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are listed to the policy."""
        return tuple(self._listed)

    def schemas(self) -> list[dict[str, Any]]:
        """The listed tools in OpenAI's function format."""
        return [tool.schema() for tool in self._listed.values()]

    def subset(self, names: Iterable[str]) -> Toolbox:
        """A Toolbox that offers these of its tools only, with their aliases. An alias named here is listed itself."""
        wanted = list(names)
        for name in wanted:
            if name not in self._tools:
                raise InvalidArgumentError(f"no tool is named {name!r}; choose from {', '.join(self._tools)}")
        return Toolbox(self.engine, [t for t in self._tools.values() if t.name in wanted or t.alias_of in wanted])

    def adding(self, *tools: Tool) -> Toolbox:
        """A Toolbox with these tools added."""
        return Toolbox(self.engine, [*self._tools.values(), *tools])

    async def call(
        self,
        call: ToolCall,
        *,
        images: Sequence[SeenImage],
        flow: str | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> Observation:
        """Make one call and return what the policy sees, a deterministic failure included.

        Args:
            call: what the policy wrote.
            images: the images that it has seen, in order; it names them by number, from 1.
            flow: the unit of fairness, one per trajectory.
            priority: higher goes first.
            deadline: seconds from now for the whole call.

        Raises:
            DeadlineExceededError: the deadline passed.
            AbortedError, EngineClosedError: infrastructure failed; the trajectory can't be scored.
        """
        return (await self.record(call, images=images, flow=flow, priority=priority, deadline=deadline))[0]

    async def record(
        self,
        call: ToolCall,
        *,
        images: Sequence[SeenImage],
        flow: str | None = None,
        priority: int = 0,
        deadline: float | None = None,
    ) -> tuple[Observation, CallRecord]:
        """Make one call like ``call`` and also say how it went: its times, and whether its Ops ran or were shared."""
        submitted = time.monotonic()
        context = CallContext(self.engine, images, flow=flow, priority=priority, deadline=deadline)
        try:
            observation = await self._run(call, context)
        except ToolFailure as failure:
            error = ToolError(failure.kind, failure.message)
            record = CallRecord(call, submitted, time.monotonic(), "error", error)
            return Observation(error.message, error=error), record
        return observation, CallRecord(call, submitted, time.monotonic(), context.outcome)

    def prefetch(self, images: Iterable[Image]) -> None:
        """Start text detection on images that are likely to be read soon, so that it overlaps the first decoding.

        It runs at the lowest priority; a later call joins it or finds it cached. Failures are dropped, and come up
        again with the call itself. Without an ocr tool nothing happens.
        """
        if not any("ocr.detect" in tool.expects for tool in self._tools.values()):
            return
        for image in images:
            self.engine.submit("ocr.detect", image, flow="prefetch", priority=_LOWEST)

    @contextlib.contextmanager
    def expect(self, flow: str) -> Iterator[None]:
        """While open, a call from this flow may come soon; a Batch that it could join waits for it, up to its delay."""
        names = dict.fromkeys(name for tool in self._listed.values() for name in tool.expects)
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(self.engine.expect(name, flow=flow))
            yield

    async def _run(self, call: ToolCall, context: CallContext) -> Observation:
        tool = self._tool(call.name)
        arguments = check_arguments(tool.name, tool.parameters, _without_task(call.arguments, tool))
        try:
            return _usable(tool, await tool.run(context, **arguments))
        except InvalidArgumentError as error:
            raise ToolFailure("E3", str(error)) from error
        except (OpError, ResourceExhaustedError) as error:
            raise ToolFailure("E5", f"{tool.name} could not give a result here: {error}") from error

    def _tool(self, name: str) -> Tool:
        if name in self._tools:
            return self._tools[name]
        close = nearest(name, self._tools)
        hint = f" Did you mean {close}?" if close else ""
        raise ToolFailure("E1", f"There is no tool {shown(name)}. The tools are {', '.join(self._listed)}.{hint}")


def _usable(tool: Tool, result: object) -> Observation:
    """What the tool returned, when a policy can be shown it."""
    from vista_fast._core import Image

    if not isinstance(result, Observation):
        raise ToolFailure("E5", f"{tool.name} gave {type(result).__name__} where an Observation must be")
    for image in result.images:
        if not (isinstance(image, Image) or is_placed(image)):
            raise ToolFailure("E5", f"{tool.name} gave {type(image).__name__} among its images where an Image must be")
    if not isinstance(result.text, str):
        raise ToolFailure("E5", f"{tool.name} gave {type(result.text).__name__} where its text must be")
    return result


def _without_task(arguments: Mapping[str, Any], tool: Tool) -> dict[str, Any]:
    """The paper's calls name a task beside every tool; a tool that has one task only doesn't take it."""
    takes_task = "task" in tool.parameters.get("properties", {})
    return {name: value for name, value in arguments.items() if name != "task" or takes_task}
