"""Prints the requirements of an extra of pyproject.toml, one per line, following the extras that it names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(extra: str, extras: dict[str, list[str]]) -> Iterator[str]:
    for requirement in extras[extra]:
        own = re.fullmatch(r"vista-fast\[(.+)\]", requirement)
        if own is None:
            yield requirement
        else:
            for name in own.group(1).split(","):
                yield from requirements(name, extras)


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(requirements(sys.argv[1], project["optional-dependencies"])))
