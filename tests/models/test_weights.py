"""Weights by name: found in order, checked, fetched; what is missing says how to get it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vista_fast.cli import weights as weights_command
from vista_fast.cli.main import main
from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models.weights import (
    WEIGHTS,
    PackageFile,
    Weight,
    fetch_weight,
    find_weight,
    sources,
    store,
    weights_folder,
)
from vista_fast.models.weights.sources import NpmFile

RIGHT, WRONG, SETTINGS = b"the right bytes", b"others", b"{}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Shelf:
    """A source that has bytes, or fails."""

    content: bytes | None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    fetched: list[Path] = field(default_factory=list)

    def present(self) -> Path | None:
        return None

    def fetch(self, target: Path) -> None:
        self.fetched.append(target)
        if self.content is None:
            raise NotFoundError("the shelf is empty")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.content)
        for name, content in self.beside.items():
            target.with_name(name).write_bytes(content)

    def how(self) -> str:
        return "reach for the shelf"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def know(monkeypatch: pytest.MonkeyPatch, *sources: object, beside: Mapping[str, str] | None = None) -> None:
    weight = Weight("w", "w.onnx", digest(RIGHT), 0.1, "MIT", "a test", sources, beside or {})  # type: ignore[arg-type]
    known: Mapping[str, Weight] = {"w": weight}
    monkeypatch.setattr(store, "WEIGHTS", known)


def test_the_first_source_that_gives_the_file_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, full, unused = Shelf(None), Shelf(RIGHT), Shelf(RIGHT)
    know(monkeypatch, empty, full, unused)
    with pytest.raises(NotFoundError, match=r"vista-fast weights get w.*reach for the shelf"):
        find_weight("w")
    assert fetch_weight("w") == folder / "w.onnx"
    assert (len(empty.fetched), len(full.fetched), len(unused.fetched)) == (1, 1, 0)
    assert find_weight("w") == fetch_weight("w") == folder / "w.onnx"
    assert len(full.fetched) == 1


def test_a_file_in_the_folder_goes_first_and_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, Shelf(RIGHT))
    folder.mkdir()
    (folder / "w.onnx").write_bytes(WRONG)
    with pytest.raises(NotFoundError, match=digest(WRONG)[:16]):
        find_weight("w")
    assert fetch_weight("w") == find_weight("w") == folder / "w.onnx"


def test_a_wrong_file_from_a_source_is_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, Shelf(WRONG), Shelf(None))
    with pytest.raises(NotFoundError, match="the shelf is empty"):
        fetch_weight("w")


@pytest.mark.parametrize("broken", [zipfile.BadZipFile("no zip"), EOFError("no end"), KeyError("no member")])
def test_an_archive_that_is_broken_is_no_source(broken: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> None:
        raise broken

    shelf = Shelf(RIGHT)
    monkeypatch.setattr(shelf, "fetch", fails)
    know(monkeypatch, shelf)
    with pytest.raises(NotFoundError, match=r"w could not be fetched: .*no (zip|end|member).*reach for the shelf"):
        fetch_weight("w")


def test_what_belongs_beside_a_file_is_fetched_with_it_and_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, Shelf(RIGHT, {"config.json": SETTINGS}), beside={"config.json": digest(SETTINGS)})
    folder.mkdir()
    (folder / "w.onnx").write_bytes(RIGHT)
    with pytest.raises(NotFoundError, match=r"config.json, which belongs to w, .*put w.onnx, config.json into"):
        find_weight("w")
    assert fetch_weight("w") == find_weight("w") == folder / "w.onnx"
    (folder / "w.onnx").write_bytes(WRONG)
    with pytest.raises(NotFoundError, match="remove it"):
        fetch_weight("w")
    assert (folder / "w.onnx").read_bytes() == WRONG
    (folder / "w.onnx").write_bytes(RIGHT)
    (folder / "config.json").write_bytes(WRONG)
    with pytest.raises(NotFoundError, match=rf"config.json has SHA-256 {digest(WRONG)[:16]}"):
        find_weight("w")


def test_what_an_extra_installs_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, PackageFile("absent==1", "absent_package", "w.onnx", extra="ocr"))
    with pytest.raises(MissingExtraError, match=r"pip install 'vista-fast\[ocr\]'"):
        find_weight("w")


def test_an_unknown_name_says_which_are_known() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'x'.*slanet-1m"):
        find_weight("x")


def test_every_weight_has_a_digest_a_licence_and_a_source() -> None:
    for weight in WEIGHTS.values():
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in (weight.sha256, *weight.beside.values()))
        assert weight.licence == "Apache-2.0"
        assert weight.sources


def test_the_command_lists_and_gets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in WEIGHTS)
    know(monkeypatch, Shelf(RIGHT))
    monkeypatch.setattr(weights_command, "WEIGHTS", store.WEIGHTS)
    assert main(["weights", "list"]) == 0
    assert capsys.readouterr().out.endswith("not here\n")
    weights_folder().mkdir()
    (weights_folder() / "w.onnx").write_bytes(WRONG)
    assert main(["weights", "list"]) == 0
    assert f"w.onnx has SHA-256 {digest(WRONG)[:16]}" in capsys.readouterr().out
    assert main(["weights", "get", "w"]) == 0
    assert capsys.readouterr().out.strip() == str(weights_folder() / "w.onnx")
    assert main(["weights", "get"]) != 0
    assert main(["weights", "get", "x"]) != 0


def test_what_npm_packs_once_brings_all_weights_of_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"dist/one.onnx": b"one", "dist/two.onnx": b"two", "dist/readme": b"neither"}
    packed: list[str] = []

    def pack(command: list[str]) -> None:
        packed.append(command[-1])
        with tarfile.open(Path(command[command.index("--pack-destination") + 1]) / "packed.tgz", "w:gz") as archive:
            for path, content in files.items():
                about = tarfile.TarInfo(f"package/{path}")
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))

    monkeypatch.setattr(sources, "_run", pack)
    monkeypatch.setattr(sources.shutil, "which", lambda _: "npm")
    weights = {
        name: Weight(
            name,
            f"{name}.onnx",
            digest(name.encode()),
            0.1,
            "MIT",
            "a test",
            (NpmFile("parcel", "1.0", f"dist/{name}.onnx", others=(f"dist/{other}.onnx",)),),
        )
        for name, other in (("one", "two"), ("two", "one"))
    }
    monkeypatch.setattr(store, "WEIGHTS", weights)
    assert fetch_weight("one").read_bytes() == b"one"
    assert fetch_weight("two").read_bytes() == b"two"
    assert packed == ["parcel@1.0"]
    assert sorted(path.name for path in folder.iterdir()) == ["one.onnx", "two.onnx"]
    (folder / "one.onnx").write_bytes(WRONG)
    assert fetch_weight("one").read_bytes() == b"one"
    assert packed == ["parcel@1.0"] * 2


def test_weights_of_one_npm_package_name_each_other() -> None:
    files = [source for weight in WEIGHTS.values() for source in weight.sources if isinstance(source, NpmFile)]
    for one in files:
        of_it = {each.path for each in files if (each.package, each.version) == (one.package, one.version)}
        assert of_it == {one.path, *one.others}
    for weight in WEIGHTS.values():
        assert all(Path(each.path).name == weight.file for each in weight.sources if isinstance(each, NpmFile))
