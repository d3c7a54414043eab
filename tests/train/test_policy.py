"""The training forward computes what transformers' class and the sampler compute."""

from __future__ import annotations

import asyncio

import numpy as np
import torch
from conftest import MICRO, noise

from vista_fast.rollout import ChatTemplate, Sampling, TransformersGenerator
from vista_fast.train.policy import Sample, collate, hidden_states, load_policy, parameter_count, save_policy, score
from vista_fast.train.tokenizer import IMAGE, TAGS, VISION_END, VISION_START


def sample_of(template, images, text="<think>a</think><answer>12</answer>"):
    ids = template.prompt("Tools: none.", "Which number?", [image.grid for image in images])
    sampled = template.encode(text)
    return Sample(ids + sampled, [0] * len(ids) + [1] * len(sampled), images)


def batch_of(samples, template, tokenizer):
    return collate(samples, image_id=template.image_id, pad_id=tokenizer.pad_token_id)


def test_logits_equal_those_of_transformers_class(model, template, tokenizer):
    samples = [sample_of(template, [noise("a"), noise("b", (1, 6, 4))]), sample_of(template, [noise("a")], "<think>b")]
    with torch.no_grad():
        ours = model.lm_head(hidden_states(model, batch_of(samples, template, tokenizer)))
        for row, sample in enumerate(samples):
            ids = torch.tensor([sample.ids])
            theirs = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=(ids == template.image_id).int(),
                pixel_values=torch.tensor(np.concatenate([image.values for image in sample.images])),
                image_grid_thw=torch.tensor([image.grid for image in sample.images]),
            ).logits[0]
            torch.testing.assert_close(ours[row, : len(sample.ids)], theirs, atol=1e-5, rtol=1e-4)


def test_trainer_and_sampler_agree_on_log_probabilities(model, template, tokenizer):
    images = [noise("a")]
    prompt = template.prompt("Tools: zoom, ocr.", "Which number?", [image.grid for image in images])
    for temperature in (1.0, 0.7):
        sampling = Sampling(
            max_tokens=24, temperature=temperature, seed=3, stop=(), forbidden_ids=template.forbidden_ids
        )
        with TransformersGenerator(model, tokenizer) as generator:
            generation = asyncio.run(generator.generate("s", prompt, images, sampling))
        ids = generation.token_ids
        sample = Sample(prompt + ids, [0] * len(prompt) + [1] * len(ids), images)
        with torch.no_grad():
            scores = score(
                model,
                batch_of([sample, sample_of(template, images)], template, tokenizer),
                temperature=temperature,
                forbidden=template.forbidden_ids,
            )
        torch.testing.assert_close(
            scores.logprobs[scores.rows == 0], torch.tensor(generation.logprobs), atol=1e-4, rtol=1e-4
        )


def test_loss_mask_chooses_the_scored_ids(model, template, tokenizer):
    sample = sample_of(template, [noise("a")])
    with torch.no_grad():
        scores = score(model, batch_of([sample], template, tokenizer))
        logits = model.lm_head(hidden_states(model, batch_of([sample], template, tokenizer)))[0]
    first = sample.mask.index(1)
    expected = torch.log_softmax(logits, -1)[range(first - 1, len(sample.ids) - 1), sample.ids[first:]]
    torch.testing.assert_close(scores.logprobs, expected)
    assert len(scores.logprobs) == sum(sample.mask)


def test_forbidden_ids_take_no_probability(model, template, tokenizer):
    sample = sample_of(template, [noise("a")])
    batch = batch_of([sample], template, tokenizer)
    with torch.no_grad():
        free, bound = score(model, batch), score(model, batch, forbidden=template.forbidden_ids)
    assert (bound.logprobs > free.logprobs).all()
    assert torch.isfinite(bound.entropy).all()


def test_padding_changes_nothing(model, template, tokenizer):
    short, long = sample_of(template, [noise("a")]), sample_of(template, [noise("a"), noise("b")])
    with torch.no_grad():
        alone = score(model, batch_of([short], template, tokenizer))
        padded = score(model, batch_of([short, long], template, tokenizer))
    torch.testing.assert_close(padded.logprobs[padded.rows == 0], alone.logprobs)


def test_saved_policy_comes_back(model, tokenizer, tmp_path):
    save_policy(model, tokenizer, tmp_path)
    loaded, words = load_policy(tmp_path)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert words.encode("<think>a 12</think>") == tokenizer.encode("<think>a 12</think>")
    assert words.chat_template == tokenizer.chat_template
    assert parameter_count(loaded) < 10_000_000
    assert loaded.config.text_config.rope_parameters["rope_theta"] == MICRO.rope_theta


def test_tokenizer_knows_numbers_tags_and_any_text(tokenizer):
    for text in [*(str(number) for number in (0, 7, 42, 999)), *TAGS]:
        assert len(tokenizer.encode(text)) == 1, text
    for text in ("", "größer ≠ 数 \x00\n", "<think>{}</think>", "1234567"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    never = tokenizer.convert_ids_to_tokens(ChatTemplate(tokenizer).forbidden_ids)
    assert set(never) == {IMAGE, VISION_START, VISION_END}
