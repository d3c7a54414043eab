"""What a turn can break of the protocol. Each name is the string that ``ParsedTurn.violations`` holds."""

MISSING_THINK = "missing_think"
"""The turn has no ``<think>`` block."""

UNCLOSED_TAG = "unclosed_tag"
"""A block was opened and never closed."""

STRAY_CLOSE = "stray_close"
"""A closing tag without its opening one."""

NESTED_TAG = "nested_tag"
"""A protocol tag inside another block."""

DUPLICATE_THINK = "duplicate_think"
"""More than one ``<think>`` block."""

DUPLICATE_ACTION = "duplicate_action"
"""More than one of ``<tool_call>`` and ``<answer>``: a second call, a second answer, or one of each."""

WRONG_ORDER = "wrong_order"
"""A ``<think>`` block behind the call or the answer."""

MISSING_ACTION = "missing_action"
"""Neither a ``<tool_call>`` nor an ``<answer>`` block."""

STRAY_TEXT = "stray_text"
"""Text, other than white space, outside every block.

Behind ``</tool_call>`` it does not count: decoding halts there, so all that can follow is the rest of a sampled token.
"""

ALL = (
    MISSING_THINK,
    UNCLOSED_TAG,
    STRAY_CLOSE,
    NESTED_TAG,
    DUPLICATE_THINK,
    DUPLICATE_ACTION,
    WRONG_ORDER,
    MISSING_ACTION,
    STRAY_TEXT,
)
"""Every violation, in the order in which a turn lists them."""
