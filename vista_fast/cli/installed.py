"""Which libraries are installed, by the metadata of their packages: nothing is imported to find out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires, version

PACKAGE = "vista-fast"


def versions(prefixes: Iterable[str]) -> dict[str, str]:
    """Version by name of the installed packages whose normalised name starts with one of ``prefixes``."""
    wanted = tuple(prefixes)
    found = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name.startswith(wanted):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def installed_version(name: str) -> str | None:
    """The version of the package ``name``, None when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def extras() -> dict[str, list[str]]:
    """The names of the packages that each extra of vista-fast needs, extras within extras followed.

    Empty when vista-fast itself is not installed as a package (run from a checkout).
    """
    try:
        lines = requires(PACKAGE) or []
    except PackageNotFoundError:
        return {}
    direct: dict[str, list[str]] = {}
    for line in lines:
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", line)
        if extra:
            direct.setdefault(extra.group(1), []).append(re.split(r"[\s;<>=!~(]", line, maxsplit=1)[0])
    return {extra: sorted(set(_follow(extra, direct))) for extra in direct}


def _follow(extra: str, direct: dict[str, list[str]]) -> Iterable[str]:
    for requirement in direct.get(extra, []):
        name, _, inner = requirement.partition("[")
        if re.sub(r"[-_.]+", "-", name).lower() != PACKAGE:
            yield name
            continue
        for part in inner.rstrip("]").split(","):
            yield from _follow(part.strip(), direct)
