"""Continuous decoding against transformers' own forward."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vista_fast.devices import DeviceTensor  # noqa: E402
from vista_fast.errors import AbortedError, InvalidArgumentError  # noqa: E402
from vista_fast.rollout import Generation, Sampling, TransformersGenerator  # noqa: E402
from vista_fast.rollout.policy import FastQwenVL, QwenVL  # noqa: E402
from vista_fast.rollout.template import ChatTemplate  # noqa: E402

GREEDY = Sampling(max_tokens=9, temperature=0, stop=())
FORBIDDEN = (3, 4, 5, 6)


def drawn(max_tokens: int, seed: int, temperature: float = 1.0) -> Sampling:
    return Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed, stop=(), forbidden_ids=FORBIDDEN)


@pytest.fixture
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


@pytest.fixture(params=[QwenVL, FastQwenVL])
def generator(request: Any, model: Any, tokenizer: Any) -> Iterator[TransformersGenerator]:
    with TransformersGenerator(model, tokenizer, max_slots=5, policy=request.param(model)) as generator:
        yield generator


async def together(generator: TransformersGenerator, calls: list[tuple[Any, ...]]) -> list[Generation]:
    return await asyncio.gather(*(generator.generate(*call) for call in calls))


async def test_greedy_equals_the_plain_forward(generator: Any, template: Any, patches: Any, reference: Any) -> None:
    contexts = []
    for n in range(7):  # more than there are slots, so that rows leave and join
        images = [patches(i, 4 + 2 * (i % 2), 4) for i in range(n % 3)]
        contexts.append((template.prompt("sys", "q" * (1 + 3 * n), [i.grid for i in images]), images))
    samplings = [Sampling(max_tokens=3 + 2 * n, temperature=0, stop=()) for n in range(7)]
    results = await together(generator, [(f"s{n}", *context, samplings[n]) for n, context in enumerate(contexts)])
    for n, (result, (ids, images)) in enumerate(zip(results, contexts, strict=True)):
        assert result.token_ids == reference.greedy(ids, images, 3 + 2 * n)
        assert result.finish == "length"


def test_patches_on_a_device_are_encoded_as_those_on_the_host(model: Any, patches: Any) -> None:
    seen = [patches(1), patches(2, rows=2)]
    there = [replace(seen[0], values=DeviceTensor(torch.from_numpy(seen[0].values.copy()))), seen[1]]
    policy = QwenVL(model)
    for one, other in zip(policy.encode(there), policy.encode(seen), strict=True):
        assert torch.equal(one, other)


async def test_several_turns_keep_their_context(generator: Any, template: Any, patches: Any, reference: Any) -> None:
    async def play(n: int) -> None:
        images = [patches(n)]
        ids = template.prompt(None, f"question {n}", [images[0].grid])
        for turn in range(3):
            sampling = drawn(4 + n, 100 * n + turn, 0.7)
            result = await generator.generate(f"s{n}", ids, images, sampling)
            whole = ids + result.token_ids
            expected = reference.logprobs(whole, images, 0.7, FORBIDDEN)[len(ids) - 1 : -1]
            picked = expected[torch.arange(len(result.token_ids)), torch.tensor(result.token_ids)]
            np.testing.assert_allclose(result.logprobs, picked, atol=1e-4)
            images = [*images, patches(50 + n + turn, 4, 4)] if turn != 1 else images
            grids = [images[-1].grid] if turn != 1 else []
            ids = whole + template.observation(f"seen {turn}", grids, sampled=result.token_ids)
        generator.release(f"s{n}")

    await asyncio.gather(*(play(n) for n in range(6)))
    assert generator.stats["contexts_resumed"] == 12
    assert generator.stats["context_bytes"] > 0


async def test_resuming_computes_only_what_was_appended(generator: Any, template: Any) -> None:
    ids = template.prompt("s" * 200, "q", [])
    first = await generator.generate("s", ids, [], GREEDY)
    before = generator.stats["prefill_ids"]
    appended = template.observation("seen", sampled=first.token_ids)
    await generator.generate("s", ids + first.token_ids + appended, [], GREEDY)
    assert generator.stats["prefill_ids"] - before == len(appended) + 1


async def test_an_evicted_context_is_prefilled_again(model: Any, tokenizer: Any, template: Any, reference: Any) -> None:
    with TransformersGenerator(model, tokenizer, kv_bytes=1) as generator:
        ids = template.prompt("sys", "q", [])
        first = await generator.generate("s", ids, [], GREEDY)
        longer = ids + first.token_ids + template.observation("seen", sampled=first.token_ids)
        second = await generator.generate("s", longer, [], GREEDY)
        assert second.token_ids == reference.greedy(longer, [], 9)
        assert generator.stats["contexts_resumed"] == 0
        assert generator.stats["contexts_evicted"] > 0


async def test_a_group_computes_its_prompt_and_image_once(
    generator: Any, template: Any, patches: Any, reference: Any
) -> None:
    image = patches(1)
    ids = template.prompt(None, "which", [image.grid])
    calls = [(f"s{g}", ids, [image], drawn(6, g)) for g in range(8)]
    results = await together(generator, calls)
    assert generator.stats["images_encoded"] == 1
    assert generator.stats["prompts_shared"] == 7
    assert generator.stats["prefill_ids"] == len(ids)
    for result in results:
        expected = reference.logprobs(ids + result.token_ids, [image], 1.0, FORBIDDEN)[len(ids) - 1 : -1]
        picked = expected[torch.arange(6), torch.tensor(result.token_ids)]
        np.testing.assert_allclose(result.logprobs, picked, atol=1e-4)


async def test_a_trajectory_does_not_depend_on_what_shares_its_batch(
    model: Any, tokenizer: Any, template: Any, patches: Any
) -> None:
    image = patches(1)
    ids = template.prompt(None, "which", [image.grid])
    call = ("s", ids, [image], drawn(12, 7))
    with TransformersGenerator(model, tokenizer, max_slots=4) as generator:
        alone = await generator.generate(*call)
    with TransformersGenerator(model, tokenizer, max_slots=4) as generator:
        others = [(f"o{n}", template.prompt(None, "x" * n), [], drawn(1 + n, n)) for n in range(9)]
        results = await together(generator, [*others[:5], call, *others[5:]])
    assert results[5].token_ids == alone.token_ids
    np.testing.assert_allclose(results[5].logprobs, alone.logprobs, atol=1e-5)


async def test_those_that_wait_join_together_between_steps(model: Any, tokenizer: Any, template: Any) -> None:
    ids = template.prompt(None, "q", [])
    calls = [(f"s{n}", [*ids, n + 10], [], drawn(2 + n % 3, n)) for n in range(12)]
    prefills, tokens = [], []
    for every in (1, 3):
        with TransformersGenerator(model, tokenizer, max_slots=4, join_every=every) as generator:
            results = await together(generator, calls)
            prefills.append(sum(span.kind == "prefill" for span in generator.drain_spans()))
            tokens.append([result.token_ids for result in results])
    assert tokens[0] == tokens[1]
    assert prefills[1] < prefills[0]


async def test_different_seeds_draw_different_ids(generator: Any, template: Any) -> None:
    ids = template.prompt(None, "q", [])
    results = await together(generator, [(f"s{g}", ids, [], drawn(8, g)) for g in range(4)])
    assert len({tuple(result.token_ids) for result in results}) == 4


async def test_new_weights_clear_what_the_old_ones_computed(
    model: Any, tokenizer: Any, template: Any, patches: Any, reference: Any
) -> None:
    image = patches(3)
    ids = template.prompt(None, "q", [image.grid])
    with TransformersGenerator(model, tokenizer, weight_version=4) as generator:
        before = await generator.generate("s", ids, [image], GREEDY)
        saved = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(-1.1)
            generator.update_weights(5)
            after = await generator.generate("s", ids, [image], GREEDY)
            assert after.token_ids == reference.greedy(ids, [image], 9)
        finally:
            model.load_state_dict(saved)
        assert (before.weight_version, after.weight_version) == (4, 5)
        assert before.token_ids != after.token_ids


async def test_weights_do_not_change_under_a_generation(generator: Any, template: Any) -> None:
    long = Sampling(max_tokens=200, temperature=0, stop=())
    running = asyncio.ensure_future(generator.generate("s", template.prompt(None, "q", []), [], long))
    await asyncio.sleep(0)
    with pytest.raises(InvalidArgumentError, match="outstanding"):
        generator.update_weights(1)
    await running


async def test_a_cancelled_generation_frees_its_slot(model: Any, tokenizer: Any, template: Any) -> None:
    with TransformersGenerator(model, tokenizer, max_slots=1) as generator:
        ids = template.prompt(None, "q", [])
        endless = Sampling(max_tokens=100_000, temperature=0, stop=())
        running = asyncio.ensure_future(generator.generate("a", ids, [], endless))
        waiting = asyncio.ensure_future(generator.generate("b", ids, [], GREEDY))
        await asyncio.sleep(0)
        running.cancel()
        assert len((await waiting).token_ids) == 9
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_closing_aborts_what_is_outstanding(model: Any, tokenizer: Any, template: Any) -> None:
    generator = TransformersGenerator(model, tokenizer)
    ids = template.prompt(None, "q", [])
    running = asyncio.ensure_future(
        generator.generate("a", ids, [], Sampling(max_tokens=100_000, temperature=0, stop=()))
    )
    await asyncio.sleep(0)
    generator.close()
    generator.close()
    with pytest.raises(AbortedError):
        await running
    with pytest.raises(AbortedError):
        await generator.generate("b", ids, [], GREEDY)


async def test_a_bad_request_fails_alone(generator: Any, template: Any, patches: Any) -> None:
    ids = template.prompt(None, "q", [(1, 4, 6)])
    good, foreign, bad, surplus = await asyncio.gather(
        generator.generate("a", ids, [patches(0)], GREEDY),
        generator.generate("f", [1, 2, 100_000], [], GREEDY),
        generator.generate("b", ids, [patches(0, 4, 4)], GREEDY),
        generator.generate("c", ids, [], GREEDY),
        return_exceptions=True,
    )
    assert len(good.token_ids) == 9
    assert isinstance(foreign, InvalidArgumentError)
    assert isinstance(bad, InvalidArgumentError)
    assert isinstance(surplus, InvalidArgumentError)
    with pytest.raises(InvalidArgumentError):
        await generator.generate("d", [], [], GREEDY)


async def test_broken_weights_are_said_so_and_do_not_hang(model: Any, tokenizer: Any, template: Any) -> None:
    ids = template.prompt(None, "q", [])
    weight = model.lm_head.weight
    with TransformersGenerator(model, tokenizer) as generator:
        kept = weight.detach().clone()
        try:
            with torch.no_grad():
                weight.fill_(torch.nan)
            with pytest.raises(InvalidArgumentError, match="not finite"):
                await generator.generate("a", ids, [], GREEDY)
        finally:
            with torch.no_grad():
                weight.copy_(kept)
        generator.update_weights(1)
        assert len((await generator.generate("a", ids, [], GREEDY)).token_ids) == 9


async def test_an_update_that_fails_is_raised_and_decoding_goes_on(
    model: Any, tokenizer: Any, template: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FastQwenVL) -> None:
        raise MemoryError("no room for the weights")

    with TransformersGenerator(model, tokenizer) as generator:
        with monkeypatch.context() as patched:
            patched.setattr(FastQwenVL, "refresh", refuse)
            with pytest.raises(MemoryError, match="no room"):
                generator.update_weights(1)
        generation = await generator.generate("a", template.prompt(None, "q", []), [], GREEDY)
        assert (len(generation.token_ids), generation.weight_version) == (9, 0)


async def test_spans_account_for_every_id(generator: Any, template: Any) -> None:
    ids = template.prompt(None, "q", [])
    # Long enough that the first are still there when the last have come.
    await together(generator, [(f"s{g}", ids, [], drawn(30 + g, g)) for g in range(8)])
    spans = generator.drain_spans()
    assert sum(span.tokens for span in spans if span.kind == "decode") == sum(29 + g for g in range(8))
    assert all(a.ended <= b.started for a, b in pairwise(spans))
    assert max(span.rows for span in spans) == 5
    assert generator.drain_spans() == []


async def test_its_thread_number_is_its_own(model: Any, tokenizer: Any) -> None:
    seen: list[int] = []

    class Watching(QwenVL):
        def forward(self, *arguments: Any, **options: Any) -> Any:
            seen.append(torch.get_num_threads())
            return super().forward(*arguments, **options)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with TransformersGenerator(model, tokenizer, threads=1, policy=Watching(model)) as generator:
            await generator.generate("a", [7, 8, 9], [], GREEDY)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
