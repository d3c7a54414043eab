"""The tags of the protocol."""

from __future__ import annotations

import re
from typing import Final

TAGS: Final = tuple(f"<{slash}{name}>" for name in ("think", "tool_call", "answer") for slash in ("", "/"))
"""Every opening and closing tag as text."""

TAG: Final = re.compile(r"<(/?)(think|tool_call|answer)>")
"""Any of them: group 1 is "/" for a closing tag, group 2 the name."""
