"""The small policy's own tokenizer: byte-level BPE trained on the demonstrations, with a Qwen-style chat template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAD = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE = "<|image_pad|>"
CONTROL = (PAD, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE)
"""Ids with no text of their own."""

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<answer>", "</answer>")
"""The protocol's tags: one ordinary id each, which decodes to its text."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}{%- for part in message.content -%}
{%- if part.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


# What may become one id: the fixed pieces of a tool call as the template writes it, a number up to 999, a word with
# the space before it, a run of anything else.
_PIECES = (
    r'\{"name": "|", "arguments": \{(?:"bbox_2d": \[)?|\]?\}\}'
    r"|(?:system|user|tool|assistant)\n|, |\d{1,3}| ?[A-Za-z_]+|[^A-Za-z0-9]"
)


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Any:
    """A ``PreTrainedTokenizerFast`` of at most ``vocabulary`` ids, trained on ``texts``.

    Words stay whole at most, numbers up to 999 become one id each, and the fixed pieces of a tool call merge across
    their punctuation, so that a call takes few ids. Any text can be encoded: the base alphabet is the 256 bytes.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    numbers = [str(number) for number in range(1000)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(CONTROL) - len(TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=48,
    )
    pieces = [piece for text in texts for piece in _split_at_tags(text)]
    # Enough copies of each number that its merge outranks rare text.
    tokenizer.train_from_iterator(pieces + numbers * 50, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in TAGS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=TURN_END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "image_token": IMAGE,
            "vision_bos_token": VISION_START,
            "vision_eos_token": VISION_END,
        },
    )


def _split_at_tags(text: str) -> list[str]:
    pieces = [text]
    for tag in TAGS + CONTROL:
        pieces = [part for piece in pieces for part in piece.split(tag) if part]
    return pieces
