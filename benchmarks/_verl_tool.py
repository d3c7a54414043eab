"""verl-tool's tool server as a peer: a checkout of it, started as its README says, asked over loopback.

One request per call, as its agent loop sends them: the trajectory's image as a data URL and one action. Its
requirements are verl's too, of which transformers must be older than 5; without them it answers, but has no tool.
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from _pictures import HEIGHT, WIDTH, Box, boxes, jpeg, photographs
from PIL import Image as PilImage

CLIENTS = 32
STARTS_WITHIN = 120.0
MARGIN = (WIDTH / 10, HEIGHT / 10)  # pixel_reasoner's, added on every side of the region that it is asked for
STEP = 28  # and it resizes what it cut out to multiples of this

Call = tuple[str, str, Box]  # a trajectory, the data URL of its image, the region


class ToolServer:
    """Runs ``verl_tool.servers.serve`` with pixel_reasoner while its ``with`` block lasts: with as many ``workers`` as
    suit the machine, or, where that is None, as its README and its scripts for pixel_reasoner start it."""

    def __init__(self, checkout: Path, python: str, workers: int | None = None) -> None:
        self._checkout, self._python, self._workers = checkout, python, workers
        self._own = threading.local()
        self._runs = count()

    def __enter__(self) -> ToolServer:
        self._folder = tempfile.TemporaryDirectory()
        self._port = _free_port()
        with (Path(self._folder.name) / "serve.log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._python, "-m", "verl_tool.servers.serve", *self._settings()],
                cwd=self._folder.name,
                env={**os.environ, "PYTHONPATH": self._modules()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_for_a_zoom()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(20)
        self._folder.cleanup()

    def calls_per_second(self, jpegs: Sequence[bytes], regions: Sequence[Sequence[Box]]) -> float:
        """How fast it answers every region of every file, many requests at once, each of a trajectory new to it.

        Afterwards, uncounted, looks at the answers and finishes the trajectories, whose images the server keeps.
        """
        run = next(self._runs)
        started = time.perf_counter()
        urls = ["data:image/jpeg;base64," + base64.b64encode(each).decode() for each in jpegs]
        calls = [(f"{run}-{i}-{j}", urls[i], box) for i, boxes in enumerate(regions) for j, box in enumerate(boxes)]
        with ThreadPoolExecutor(CLIENTS, initializer=self._connect) as clients:
            answers = list(clients.map(self._zoom, calls))
            rate = len(calls) / (time.perf_counter() - started)
            list(clients.map(self._finish, calls))
        for answer, (_, _, box) in zip(answers, calls, strict=True):
            self._check(answer, box)
        return rate

    def _settings(self) -> list[str]:
        settings: dict[str, object] = {
            "tool_type": "pixel_reasoner",
            "host": "127.0.0.1",
            "port": self._port,
            "workers_per_tool": self._workers or 4,
            "log_directory": self._folder.name,
        }
        if self._workers is not None:
            # A backend per worker and no more, each 256 requests at most, else serve starts more of them; no hash of
            # each request, as none comes twice.
            settings |= {
                "uvi_workers": self._workers,
                "router_workers": self._workers,
                "max_concurrent_requests": 256,
                "enable_hashing": False,
            }
        return [f"--{name}={value}" for name, value in settings.items()]

    def _modules(self) -> str:
        """What it imports: itself, the verl inside it, and what we were given, as torchvision in its own folder."""
        given = os.environ.get("PYTHONPATH")
        return os.pathsep.join([str(self._checkout), str(self._checkout / "verl"), *([given] if given else [])])

    def _wait_for_a_zoom(self) -> None:
        """Its /health is no sign: it is healthy also when the tool could not be loaded."""
        [picture], [box] = photographs(1), boxes(1, 0)
        call = ("first", "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode(), box)
        started = time.monotonic()
        while True:
            self._connect()
            try:
                self._check(self._zoom(call), box)
                return
            except ConnectionError:
                if self._server.poll() is not None or time.monotonic() - started > STARTS_WITHIN:
                    sys.exit(f"the tool server of {self._checkout} does not start with {self._python}{self._errors()}")
                time.sleep(0.2)

    def _check(self, answer: dict[str, Any], box: Box) -> None:
        seen = answer["observations"][0]
        if not isinstance(seen, dict) or "image" not in seen:
            sys.exit(f"the tool server gives no image for a zoom: {str(answer)[:200]}{self._errors()}")
        size = PilImage.open(io.BytesIO(base64.b64decode(seen["image"].split(",")[1]))).size
        left, top, right, bottom = box
        wanted = tuple(STEP * round(side / STEP) for side in (right - left, bottom - top))
        if size != wanted:
            sys.exit(f"the tool server zooms into {box} with an image of {size} for {wanted}")

    def _errors(self) -> str:
        """The last errors in the server's logs, where it says which import failed, else their last lines."""
        lines = [line for log in Path(self._folder.name).glob("*.log") for line in log.read_text().splitlines()]
        return "".join(f"\n    {line}" for line in ([line for line in lines if "ERROR" in line] or lines)[-5:])

    def _zoom(self, call: Call) -> dict[str, Any]:
        trajectory, url, (left, top, right, bottom) = call
        across, down = MARGIN  # within which our region lies; half a pixel more, as it rounds down
        region = [left + across + 0.5, top + down + 0.5, right - across + 0.5, bottom - down + 0.5]
        action = json.dumps({"name": "zoom_in", "arguments": {"bbox_2d": region, "target_image": 1}})
        return self._ask(trajectory, f"<tool_call>{action}</tool_call>", {"extra_fields": [{"images": [url]}]})

    def _finish(self, call: Call) -> None:
        self._ask(call[0], "", {"finish": [True]})

    def _ask(self, trajectory: str, action: str, more: dict[str, object]) -> dict[str, Any]:
        body = json.dumps({"trajectory_ids": [trajectory], "actions": [action], **more})
        connection: HTTPConnection = self._own.connection
        connection.request("POST", "/get_observation", body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            answer: dict[str, Any] = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"the tool server answers {response.status}: {str(answer)[:200]}{self._errors()}")
        return answer

    def _connect(self) -> None:
        """A connection for each thread, kept as the agent loop keeps its own."""
        self._own.connection = HTTPConnection("127.0.0.1", self._port)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
