"""Weights of the Hugging Face hub, by its own client, from a server on this machine that speaks as the hub does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"weights of a network" * 1000

FETCH = """
import sys
from pathlib import Path
from vista_fast.errors import NotFoundError
from vista_fast.models.weights import HubFile

file = HubFile("some/model", sys.argv[1], sys.argv[2])
target = Path(sys.argv[3])
print(file.present() is not None)
try:
    file.fetch(target)
except NotFoundError as error:
    print(error)
    print(file.how())
else:
    print(file.present().read_bytes() == target.read_bytes())
"""


class Hub(BaseHTTPRequestHandler):
    """``/owner/name/resolve/revision/path``, of one file at one revision."""

    def _answer(self) -> bool:
        there = self.path == f"/some/model/resolve/{COMMIT}/model.onnx"
        self.send_response(200 if there else 404)
        if there:
            self.send_header("ETag", '"1234567890"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(CONTENT) if there else 0))
        self.end_headers()
        return there

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        if self._answer():
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(path: str, endpoint: str, folder: Path) -> tuple[list[str], Path]:
    """What the client says, in a process of its own: it reads its settings when it is imported."""
    target = folder / "target.onnx"
    done = subprocess.run(
        [sys.executable, "-c", FETCH, path, COMMIT, str(target)],
        env={"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hub"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), target


def test_a_file_comes_from_the_hub_and_is_there_then(endpoint: str, tmp_path: Path) -> None:
    said, target = fetched("model.onnx", endpoint, tmp_path)
    assert said == ["False", "True"]
    assert target.read_bytes() == CONTENT
    said, _ = fetched("model.onnx", "http://127.0.0.1:9", tmp_path)
    assert said[0] == "True"


def test_what_the_hub_does_not_have_is_a_typed_error_that_says_how(endpoint: str, tmp_path: Path) -> None:
    said, target = fetched("absent.onnx", endpoint, tmp_path)
    assert said[0] == "False"
    assert "the hub does not give some/model" in said[1]
    assert said[-1] == f"hf download some/model absent.onnx --revision {COMMIT}"
    assert not target.exists()
