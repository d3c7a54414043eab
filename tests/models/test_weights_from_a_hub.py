"""Weights of the Hugging Face hub, by its own client, from a server on this machine that speaks as the hub does."""

from __future__ import annotations

import hashlib
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
FILES = {"model.onnx": CONTENT, "config.json": b"{}"}

FETCH = """
import sys
from pathlib import Path
from vista_fast.errors import NotFoundError
from vista_fast.models.weights import HubFile

revision, target, path, *others = sys.argv[1:]
file = HubFile("some/model", path, revision, tuple(others))
target = Path(target)
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
    """``/owner/name/resolve/revision/path``, of FILES at one revision."""

    def _answer(self) -> bytes | None:
        content = FILES.get(self.path.removeprefix(f"/some/model/resolve/{COMMIT}/"))
        self.send_response(404 if content is None else 200)
        if content is not None:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer() or b"")

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


def fetched(endpoint: str, folder: Path, *paths: str) -> tuple[list[str], Path]:
    """What the client says, in a process of its own: it reads its settings when it is imported."""
    target = folder / "weights" / "target.onnx"
    done = subprocess.run(
        [sys.executable, "-c", FETCH, COMMIT, str(target), *paths],
        env={"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hub"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), target


def test_a_file_comes_from_the_hub_and_is_there_then(endpoint: str, tmp_path: Path) -> None:
    said, target = fetched(endpoint, tmp_path, "model.onnx")
    assert said == ["False", "True"]
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    said, _ = fetched("http://127.0.0.1:9", tmp_path, "model.onnx")
    assert said[0] == "True"


def test_what_belongs_beside_a_file_comes_with_it(endpoint: str, tmp_path: Path) -> None:
    said, target = fetched(endpoint, tmp_path, "model.onnx", "config.json")
    assert said == ["False", "True"]
    assert target.read_bytes() == CONTENT
    assert target.with_name("config.json").read_bytes() == b"{}"


def test_what_the_hub_does_not_have_is_a_typed_error_that_says_how(endpoint: str, tmp_path: Path) -> None:
    said, target = fetched(endpoint, tmp_path, "absent.onnx", "config.json")
    assert said[0] == "False"
    assert "the hub does not give absent.onnx of some/model" in said[1]
    assert said[-1] == f"hf download some/model absent.onnx config.json --revision {COMMIT}"
    assert not target.exists()
