"""verl-tool's tool server as a peer: a checkout of it, started as its README says, asked over loopback.

One request per call, as its agent loop sends them: the trajectory's image as a data URL and one action.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from _pictures import Box

CLIENTS = 32
STARTS_WITHIN = 120.0


class ToolServer:
    """Runs ``verl_tool.servers.serve`` with pixel_reasoner while its ``with`` block lasts."""

    def __init__(self, checkout: Path, python: str, workers: int) -> None:
        self._checkout, self._python, self._workers = checkout, python, workers

    def __enter__(self) -> ToolServer:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory()
        command = [self._python, "-m", "verl_tool.servers.serve", "--host", "127.0.0.1", "--port", str(self._port)]
        self._server = subprocess.Popen(
            [*command, "--tool_type", "pixel_reasoner", "--workers_per_tool", str(self._workers)],
            cwd=self._folder.name,
            env={**os.environ, "PYTHONPATH": f"{self._checkout}:{self._checkout / 'verl'}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started = time.monotonic()
        while not self._healthy():
            if self._server.poll() is not None or time.monotonic() - started > STARTS_WITHIN:
                self.__exit__(None, None, None)
                sys.exit(f"the tool server of {self._checkout} does not start with {self._python}")
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server.poll() is None:
            os.killpg(self._server.pid, 15)
            self._server.wait(20)
        self._folder.cleanup()

    def zoom(self, run: str, jpegs: Sequence[bytes], regions: Sequence[Sequence[Box]]) -> None:
        """Every region of every file, many requests at once; the trajectories of a run are new to the server."""
        urls = ["data:image/jpeg;base64," + base64.b64encode(each).decode() for each in jpegs]
        calls = [(f"{run}-{i}-{j}", urls[i], box) for i, boxes in enumerate(regions) for j, box in enumerate(boxes)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            for answer in clients.map(self._zoom_one, calls):
                seen = answer["observations"][0]
                if not isinstance(seen, dict) or "image" not in seen:
                    sys.exit(f"the tool server gives no image for a zoom: {str(answer)[:200]}")

    def _zoom_one(self, call: tuple[str, str, Box]) -> dict[str, list[object]]:
        trajectory, url, box = call
        action = json.dumps({"name": "zoom_in", "arguments": {"bbox_2d": box, "target_image": 1}})
        body = {
            "trajectory_ids": [trajectory],
            "actions": [f"<tool_call>{action}</tool_call>"],
            "extra_fields": [{"images": [url]}],
        }
        answer: dict[str, list[object]] = json.loads(self._ask("get_observation", json.dumps(body).encode()))
        return answer

    def _healthy(self) -> bool:
        try:
            return bool(json.loads(self._ask("health"))["status"] in ("healthy", "ok"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/{path}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            data: bytes = answer.read()
            return data
