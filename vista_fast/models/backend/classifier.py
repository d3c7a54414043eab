"""The likeliest class of each step, of a network that gives a distribution over many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.models.backend.model import Array, Model
from vista_fast.models.backend.openvino import OpenVinoModel


class Classifier:
    """A Model of one input whose first output is a softmax over classes, [items, steps, classes]. Safe to call from
    several threads.

    Of the distribution it hands out the largest value alone. A Model that gives what comes before the softmax
    (``OpenVinoModel(logits=True)``) spares the exponentials of the other classes, and nothing of OpenVINO's memory is
    copied: a text line has one of 18,710 classes at each step.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings that the model file carries beside its weights."""
        return self._model.metadata

    @property
    def classes(self) -> int | None:
        """How many there are, where the model file says so."""
        model = self._model
        return model.classes if isinstance(model, OpenVinoModel) else model.outputs[0].shape[-1]

    def run(self, batch: Array, *, ignored: int | None = None) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """For each item and step the likeliest class and its probability, both [items, steps].

        ``ignored`` is a class whose probability nobody asks for, as that of CTC's blank: it may be 0.

        Raises:
            InvalidArgumentError: the batch's shape or dtype is not that of the input.
        """
        name = self._model.inputs[0].name
        first = self._model.outputs[0].name
        if not isinstance(self._model, OpenVinoModel):
            return _of_probabilities(self._model.run({name: batch})[first])
        if self._model.head is not None:
            head, threads = self._model.head, self._model.threads
            return self._model.look({name: batch}, lambda outputs: _of_features(outputs[first], head, ignored, threads))
        if not self._model.gives_logits:
            return self._model.look({name: batch}, lambda outputs: _of_probabilities(outputs[first]))
        return self._model.look({name: batch}, lambda outputs: _of_logits(outputs[first], ignored))


def _of_probabilities(scores: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    classes = scores.argmax(axis=-1)
    return classes, np.take_along_axis(scores, classes[..., None], axis=-1)[..., 0]


def _of_logits(scores: Array, ignored: int | None) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    classes = scores.argmax(axis=-1)
    wanted = classes != ignored
    rows = scores[wanted]
    rows -= rows.max(axis=-1, keepdims=True)
    probabilities = np.zeros(classes.shape, np.float32)
    probabilities[wanted] = 1 / np.exp(rows, out=rows).sum(axis=-1)
    return classes, probabilities


def _of_features(
    features: Array, head: Any, ignored: int | None, threads: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    rows = features.reshape(-1, features.shape[-1])
    classes, probabilities = head.run(rows, ignored=-1 if ignored is None else ignored, threads=threads)
    return classes.reshape(features.shape[:-1]), probabilities.reshape(features.shape[:-1])
