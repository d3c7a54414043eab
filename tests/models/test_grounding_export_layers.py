"""The layers that grounding exports beside those of transformers, which they stand for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig
from transformers.models.grounding_dino import modeling_grounding_dino as modeling

from vista_fast.models.backend import open_model
from vista_fast.models.grounding.export_layers import rewrite_layers

SIDES = [(5, 9), (3, 5), (2, 3), (1, 2)]
PIXELS = sum(height * width for height, width in SIDES)
QUERIES = 7


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "out_indices": [2, 3, 4]}
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(embed_dim=8, **shape),
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        decoder_n_points=3,
        d_model=32,
        max_text_len=12,
    )
    made: Any = GroundingDinoForObjectDetection(config).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return made


@pytest.fixture(scope="module")
def rewritten(model: Any) -> Any:
    made = copy.deepcopy(model)
    rewrite_layers(made)
    return made


def of_two_images(sides: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random numbers [2, pixels, 32], and the padding [2, pixels]: of one image none, of the other its right half."""
    torch.manual_seed(2)
    masks = [torch.zeros(2, height, width, dtype=torch.bool) for height, width in sides]
    for mask in masks:
        mask[1, :, (mask.shape[2] + 1) // 2 :] = True
    padding = torch.cat([mask.flatten(1) for mask in masks], dim=1)
    return torch.randn(2, padding.shape[1], 32), padding


def deformable(model: Any) -> Any:
    layer = model.model.decoder.layers[0].encoder_attn
    assert isinstance(layer, modeling.GroundingDinoMultiscaleDeformableAttention)
    return layer


@pytest.mark.parametrize("coordinates", [2, 4])
@pytest.mark.parametrize("covered", ["all", "some"])
@torch.inference_mode()
def test_deformable_attention_is_that_of_transformers(
    model: Any, rewritten: Any, coordinates: int, covered: str
) -> None:
    torch.manual_seed(1)
    # Also points outside, where nothing is sampled.
    points = torch.rand(2, QUERIES, len(SIDES), coordinates) * 1.4 - 0.2
    mask = torch.rand(2, PIXELS) < 0.7 if covered == "some" else None
    given = {
        "hidden_states": torch.randn(2, QUERIES, 32),
        "attention_mask": mask,
        "encoder_hidden_states": torch.randn(2, PIXELS, 32),
        "position_embeddings": torch.randn(2, QUERIES, 32),
        "reference_points": points,
        "spatial_shapes": torch.tensor(SIDES),
        "spatial_shapes_list": SIDES,
        "level_start_index": torch.tensor([0, 45, 60, 66]),
    }
    wanted, _ = deformable(model)(**given)
    found, _ = deformable(rewritten)(**given)
    assert wanted.std() > 0.5
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_proposals_are_those_of_transformers(model: Any, rewritten: Any) -> None:
    pixels, padding = of_two_images(SIDES)
    wanted = model.model.generate_encoder_output_proposals(pixels, padding, SIDES)
    found = rewritten.model.generate_encoder_output_proposals(pixels, padding, SIDES)
    assert 0 < wanted[1].isinf().float().mean() < 0.7
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@torch.inference_mode()
def test_a_pixel_at_the_limit_of_proposals_is_none_on_any_library(
    model: Any, rewritten: Any, tmp_path: Path, backend: str
) -> None:
    """Of a level of 50 rows, as an image of 800 has, the last centre is at 0.99 of the height."""
    sides = [(100, 100), (50, 50), (25, 25), (13, 13)]

    class Proposals(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = rewritten.model

        def forward(self, pixels: torch.Tensor, padding: torch.Tensor) -> Any:
            return self.model.generate_encoder_output_proposals(pixels, padding, sides)

    given = of_two_images(sides)
    names, outputs = ["pixels", "padding"], ["read", "boxes"]
    path = tmp_path / "proposals.onnx"
    torch.onnx.export(Proposals(), given, str(path), dynamo=False, input_names=names, output_names=outputs)
    found = open_model(path, backend=backend).run({name: each.numpy() for name, each in zip(names, given, strict=True)})
    wanted = model.model.generate_encoder_output_proposals(*given, sides)
    for name, theirs in zip(outputs, wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(found[name]), theirs, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_scores_of_tokens_are_those_of_transformers(model: Any, rewritten: Any) -> None:
    torch.manual_seed(1)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    given = {
        "vision_hidden_state": torch.randn(2, QUERIES, 32),
        "text_hidden_state": torch.randn(2, 5, 32),
        "text_token_mask": mask,
    }
    wanted = model.class_embed[0](**given)
    assert wanted.shape == (2, QUERIES, 12)
    torch.testing.assert_close(rewritten.class_embed[0](**given), wanted, atol=0, rtol=0)
    torch.testing.assert_close(rewritten.model.encoder_output_class_embed(**given), wanted[..., :5], atol=0, rtol=0)


def test_only_the_given_model_is_rewritten(model: Any, rewritten: Any) -> None:
    assert sum("forward" in vars(each) for each in rewritten.modules()) == 6  # three attentions, three scores
    assert not any("forward" in vars(each) for each in model.modules())
