"""Small pieces of HTML and SVG text; everything that comes from a run is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable


def escape(text: object) -> str:
    """``text`` for element content and quoted attributes."""
    return html.escape(str(text), quote=True)


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element. ``children`` are markup already; attribute values are escaped, a trailing underscore of a name is
    dropped, other underscores become dashes, and None leaves the attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def joined(pieces: Iterable[str]) -> str:
    """Pieces of markup, one per line."""
    return "\n".join(pieces)
