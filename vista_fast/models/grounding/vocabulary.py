"""The 80 classes of COCO, and which of them the words of a caption mean."""

from __future__ import annotations

import re
from collections.abc import Iterator

COCO_CLASSES: tuple[str, ...] = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)
"""In the order of the detectors trained on it."""

_SYNONYMS = {
    other: name
    for name, others in {
        "person": "people man men woman women boy girl child children human pedestrian rider player lady guy astronaut",
        "bicycle": "bike cycle",
        "motorcycle": "motorbike scooter",
        "airplane": "plane aeroplane aircraft jet",
        "car": "automobile taxi",
        "truck": "lorry",
        "boat": "ship",
        "traffic light": "stoplight",
        "cat": "kitten kitty",
        "dog": "puppy",
        "cow": "cattle bull",
        "sheep": "lamb",
        "handbag": "purse",
        "suitcase": "luggage",
        "sports ball": "ball football basketball",
        "cup": "mug",
        "donut": "doughnut",
        "couch": "sofa",
        "potted plant": "houseplant",
        "dining table": "table",
        "tv": "television monitor screen",
        "laptop": "notebook",
        "cell phone": "phone cellphone smartphone mobile",
        "refrigerator": "fridge",
        "teddy bear": "teddy",
        "hair drier": "hairdryer",
    }.items()
    for other in others.split()
}
_NAMES = {name: name for name in COCO_CLASSES} | _SYNONYMS
_LONGEST = max(name.count(" ") + 1 for name in _NAMES)


def classes_of(caption: str) -> tuple[str, ...]:
    """The classes that the words of a caption name, in its order, each once. Other words are passed over."""
    return tuple(dict.fromkeys(_named(re.findall(r"[a-z]+", caption.lower()))))


def _named(words: list[str]) -> Iterator[str]:
    """Of two names at one place the longer: "hot dog" is no dog."""
    start = 0
    while start < len(words):
        for count in range(_LONGEST, 0, -1):
            name = _class(words[start : start + count])
            if name is not None:
                yield name
                start += count - 1
                break
        start += 1


def _class(words: list[str]) -> str | None:
    text = " ".join(words)
    singular = (text, text.removesuffix("s"), text.removesuffix("es"), re.sub("ves$", "fe", text))
    return next((_NAMES[each] for each in singular if each in _NAMES), None)
