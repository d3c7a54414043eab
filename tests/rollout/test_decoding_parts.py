"""The parts of continuous decoding: positions, draws, stop strings, kept contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vista_fast.errors import InvalidArgumentError  # noqa: E402
from vista_fast.rollout import Sampling, TransformersGenerator  # noqa: E402
from vista_fast.rollout.kv import Context, ContextStore, KVArena  # noqa: E402
from vista_fast.rollout.policy import FastQwenVL, QwenVL  # noqa: E402
from vista_fast.rollout.positions import lay_out  # noqa: E402
from vista_fast.rollout.sampling import StopText, TokenSampler, noise  # noqa: E402
from vista_fast.rollout.template import ChatTemplate  # noqa: E402

CPU = torch.device("cpu")


def test_positions_are_those_of_transformers(model: Any, tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer)
    grids = [(1, 4, 6), (1, 8, 4), (1, 2, 2)]
    ids = template.prompt("sys", "q", grids[:2]) + [9] * 5 + template.observation("seen", grids[2:])
    inputs = torch.tensor([ids])
    expected, _ = model.model.get_rope_index(
        inputs, (inputs == template.image_id).int(), image_grid_thw=torch.tensor(grids)
    )
    whole = lay_out(ids, grids, template.image_id, 2)
    np.testing.assert_array_equal(whole.positions, expected[:, 0].numpy())
    cut = len(template.prompt("sys", "q", grids[:2])) + 2
    head = lay_out(ids[:cut], grids[:2], template.image_id, 2)
    tail = lay_out(ids[cut:], grids[2:], template.image_id, 2, head.next)
    np.testing.assert_array_equal(np.concatenate([head.positions, tail.positions], 1), whole.positions)
    assert tail.next == whole.next


def test_placeholders_must_match_the_images() -> None:
    with pytest.raises(InvalidArgumentError, match="needs 6"):
        lay_out([1, 5, 5, 5, 1], [(1, 4, 6)], 5, 2)
    with pytest.raises(InvalidArgumentError, match="needs 6"):
        lay_out([1], [(1, 4, 6)], 5, 2)
    with pytest.raises(InvalidArgumentError, match="beyond"):
        lay_out([1, 5], [], 5, 2)


def test_noise_is_a_function_of_seed_and_position() -> None:
    np.testing.assert_array_equal(noise(3, 10), noise(3, 100)[:10])
    assert not np.array_equal(noise(3, 10), noise(4, 10))
    assert noise(-1, 2).shape == noise(2**64 + 5, 2).shape == (2,)


def test_draws_follow_the_distribution_at_its_temperature() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0, 3.0]])
    sampling = Sampling(temperature=2.0, forbidden_ids=(4,))
    count = 20_000
    sampler = TokenSampler(5, CPU)
    ids, logprobs = sampler.draw(logits.expand(count, 5), [sampling] * count, noise(1, count))
    expected = torch.softmax(torch.tensor([0.0, 0.5, 1.0, -0.5, -torch.inf]), 0).numpy()
    np.testing.assert_allclose(np.bincount(ids, minlength=5) / count, expected, atol=0.015)
    np.testing.assert_allclose(logprobs, np.log(expected[ids]), rtol=1e-5)


@pytest.mark.parametrize("uniform", [0.0, 1e-12, 0.5, 1 - 2**-53])
def test_forbidden_ids_are_never_drawn_at_the_edges(uniform: float) -> None:
    logits = torch.zeros(1, 6)
    sampling = Sampling(forbidden_ids=(0, 5))
    ids, _ = TokenSampler(6, CPU).draw(logits, [sampling], np.array([uniform]))
    assert ids[0] in (1, 2, 3, 4)


def test_rows_with_different_samplings_share_a_draw() -> None:
    logits = torch.tensor([[0.0, 4.0, 3.0, 2.0]]).expand(4, 4)
    rows = [
        Sampling(temperature=0),
        Sampling(temperature=0, forbidden_ids=(1,)),
        Sampling(top_k=1),
        Sampling(top_p=0.5),
    ]
    for value in (0.01, 0.5, 0.99):
        ids, logprobs = TokenSampler(4, CPU).draw(logits, rows, np.full(4, value))
        assert ids.tolist() == [1, 2, 1, 1]
        np.testing.assert_allclose(logprobs[2], torch.log_softmax(logits[0], 0)[1], rtol=1e-5)
    counts = np.bincount(
        TokenSampler(4, CPU).draw(logits[:1].expand(500, 4), [Sampling(top_k=2)] * 500, noise(0, 500))[0], minlength=4
    )
    assert counts[0] == counts[3] == 0
    assert min(counts[1], counts[2]) > 50


def test_a_stop_string_is_found_where_it_ends(tokenizer: Any) -> None:
    stop_text = StopText(lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    stop = ("</tool_call>", "</answer>")
    ids = tokenizer.encode("é x > y </tool_call>")
    assert [stop_text.cut(ids[:end], stop) for end in range(1, len(ids))] == [None] * (len(ids) - 1)
    assert stop_text.cut(ids, stop) == "é x > y </tool_call>"
    past = tokenizer.encode("</tool_call>\n")
    assert len(past) == len("</tool_call>")  # the last id's text is ">\n"
    assert stop_text.cut(past, stop) == "</tool_call>"


class Speaker:
    """A policy that says given ids: greedy decoding follows the script, whatever the context."""

    def __init__(self, general: QwenVL, prompt: int, script: list[int]) -> None:
        self._general = general
        self._prompt = prompt
        self._script = script
        for name in ("vocabulary", "device", "arena", "lay_out", "encode", "embed", "refresh"):
            setattr(self, name, getattr(general, name))

    def forward(self, embeddings: Any, positions: Any, arena: Any, first_row: int, past: Any, last: Any) -> Any:
        logits = self._general.forward(embeddings, positions, arena, first_row, past, last)
        for row, at in enumerate((past + last + 1 - self._prompt).tolist()):
            logits[row, self._script[at]] = 1e4
        return logits


@pytest.mark.parametrize(
    ("said", "finish", "text"),
    [
        ("<think>a</think><tool_call>{}</tool_call>more", "stop", "<think>a</think><tool_call>{}</tool_call>"),
        ("<tool_call>{}</tool_call>\nmore", "stop", "<tool_call>{}</tool_call>"),
        ("<answer>4</answer>more", "stop", "<answer>4</answer>"),
        ("done<|im_end|>more", "end", "done"),
        ("x" * 60, "length", "x" * 50),
    ],
)
async def test_where_a_turn_ends(model: Any, tokenizer: Any, said: str, finish: str, text: str) -> None:
    template = ChatTemplate(tokenizer)
    ids = template.prompt(None, "q")
    script = template.encode(said)
    with TransformersGenerator(model, tokenizer, policy=Speaker(QwenVL(model), len(ids), script)) as generator:
        sampling = Sampling(max_tokens=50, temperature=0, end_ids=(template.end_id,))
        result = await generator.generate("s", ids, [], sampling)
    assert (result.finish, result.text) == (finish, text)
    assert result.token_ids == script[: len(result.token_ids)]
    assert len(result.logprobs) == len(result.token_ids)
    if finish == "end":
        assert result.token_ids[-1] == template.end_id
    if said.startswith("<tool_call>"):
        assert template.decode(result.token_ids) == text + "\n"


def test_a_row_keeps_what_it_holds_when_rows_move_and_the_arena_grows() -> None:
    arena = KVArena(layers=2, heads=1, head_dim=3, rows=3, dtype=torch.float32, device=CPU)
    first, second = torch.randn(2, 2, 1, 5, 3), torch.randn(2, 2, 1, 40, 3)
    arena.load(0, first)
    arena.load(1, second)
    assert torch.equal(arena.save(0, 5), first)
    arena.move(1, 2, 40)
    arena.move(0, 1, 5)
    assert torch.equal(arena.save(2, 40), second)
    assert torch.equal(arena.save(1, 5), first)


def context(length: int) -> Context:
    return Context(np.arange(length), (), length, torch.zeros(2, 1, 1, length, 8))


def test_the_least_recently_used_context_makes_room() -> None:
    store = ContextStore(3 * context(10).nbytes)
    for key in "abc":
        store.put(key, context(10))
    assert store.get("a") is not None
    store.put("d", context(10))
    assert [store.get(key) is not None for key in "abcd"] == [True, False, True, True]
    store.put("a", context(20))
    assert store.nbytes <= 3 * context(10).nbytes
    assert store.get("a") is not None
    store.put("huge", context(31))
    assert store.get("huge") is None
    assert store.nbytes == 0
    store.drop("absent")


def test_a_context_begins_only_what_it_is_a_prefix_of() -> None:
    kept = Context(np.array([1, 2, 3]), ("a",), 3, torch.zeros(0))
    assert kept.begins(np.array([1, 2, 3, 4]), ("a", "b"))
    assert not kept.begins(np.array([1, 2, 4, 4]), ("a",))
    assert not kept.begins(np.array([1, 2, 3, 4]), ("b",))
    assert not kept.begins(np.array([1, 2]), ("a",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_k": -1},
        {"stop": ("",)},
    ],
)
def test_samplings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_the_fused_forward_is_the_general_one(model: Any) -> None:
    """Rows of different lengths, a padded span, then single steps: the same logits within 1e-4."""
    outputs = []
    for policy in (QwenVL(model), FastQwenVL(model)):
        torch.manual_seed(3)
        with torch.inference_mode():
            arena = policy.arena(4)
            arena.reserve(64)
            ids = torch.randint(10, 200, (3, 9))
            positions = torch.arange(9).expand(3, 3, 9) * torch.tensor([1, 2, 1])[:, None, None]
            past, last = torch.zeros(3, dtype=torch.long), torch.tensor([8, 4, 6])
            steps = [policy.forward(policy.embed(ids), positions, arena, 1, past, last)]
            past = last + 1
            for step in range(3):
                at = (past + step).expand(3, 3)[..., None]
                embedded = policy.embed(torch.randint(10, 200, (3, 1)))
                steps.append(policy.forward(embedded, at, arena, 1, past + step, torch.zeros_like(past)))
        outputs.append(torch.stack(steps))
    assert outputs[0].std() > 0.1
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-4, rtol=0)


def test_models_of_other_classes_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="Linear"):
        QwenVL(torch.nn.Linear(2, 2))
    transformers = pytest.importorskip("transformers")
    text = {
        "vocab_size": 200,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 64,
        "deepstack_visual_indexes": [0],
    }
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision)
    with pytest.raises(InvalidArgumentError, match="qwen3_vl"):
        QwenVL(transformers.Qwen3VLForConditionalGeneration(config))
