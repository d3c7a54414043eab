"""ChartQA (Masry et al. 2022, arXiv 2203.10244) in its official file layout.

ChartQA Dataset/
  train | val | test/
    png/*.png                 the charts
    tables/*.csv              the data behind them
    annotations/*.json        bounding boxes (not read)
    {split}_human.json        [{"imgname": "3887.png", "query": "...", "label": "2018"}, ...]
    {split}_augmented.json    questions generated from the charts' summaries, in the same form
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.tasks.verifiers import relaxed_accuracy
from vista_fast.types import Task

SPLITS: Final = ("train", "val", "test")
SOURCES: Final = ("human", "augmented")
WHERE: Final = "https://github.com/vis-nlp/ChartQA (folder 'ChartQA Dataset')"


@dataclass(frozen=True, slots=True)
class _Item:
    image: str
    question: str
    label: str
    source: str
    number: int


class ChartQADataset:
    """The questions of one split, the human ones first, in the order of the files.

    A Task's metadata has "source" ("human" or "augmented") and "table", the path of the chart's CSV file or None.
    Images are paths, read when they are looked at.
    """

    name = "chartqa"

    def __init__(self, folder: Path, split: str, sources: Sequence[str] = SOURCES) -> None:
        """Reads the questions of a split.

        Args:
            folder: the folder "ChartQA Dataset".
            split: "train", "val" or "test".
            sources: which of "human" and "augmented" to take.

        Raises:
            NotFoundError: a folder or file of the layout is missing; the message names it and where to get the data.
            InvalidArgumentError: an unknown split or source, or a file of another form.
        """
        if split not in SPLITS:
            raise InvalidArgumentError(f"ChartQA has no split {split!r}; choose one of {', '.join(SPLITS)}")
        if not sources or any(source not in SOURCES for source in sources):
            raise InvalidArgumentError(f"ChartQA sources {list(sources)} are unknown; choose from {', '.join(SOURCES)}")
        self.split = split
        self._folder = folder / split
        _expect(folder, "the folder 'ChartQA Dataset'")
        _expect(self._folder / "png", "the folder of charts")
        self._items = [item for source in SOURCES if source in sources for item in self._read(source)]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int, /) -> Task:
        item = self._items[index]
        image = self._folder / "png" / item.image
        table = self._folder / "tables" / f"{image.stem}.csv"
        return Task(
            id=f"chartqa/{self.split}/{item.source}/{item.number}",
            dataset=self.name,
            family="chart",
            question=item.question,
            images=(_expect(image, "the chart of a question"),),
            truth=item.label,
            verifier=relaxed_accuracy,
            metadata={"source": item.source, "table": table if table.is_file() else None},
        )

    def _read(self, source: str) -> list[_Item]:
        path = _expect(self._folder / f"{self.split}_{source}.json", f"the {source} questions")
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InvalidArgumentError(f"{path} is not valid JSON ({error}); get it again from {WHERE}") from error
        if not isinstance(entries, list):
            raise InvalidArgumentError(
                f"{path} must hold a list of questions, not {type(entries).__name__}; get it again from {WHERE}"
            )
        return [_item(entry, path, source, number) for number, entry in enumerate(entries)]


def load(split: str = "train", *, folder: Path | str, sources: Sequence[str] = SOURCES) -> ChartQADataset:
    """A split of ChartQA from the folder "ChartQA Dataset"; see ``ChartQADataset``."""
    return ChartQADataset(Path(folder), split, sources)


def _item(entry: Any, path: Path, source: str, number: int) -> _Item:
    fields = [entry.get(name) for name in ("imgname", "query", "label")] if isinstance(entry, dict) else [None]
    if not all(isinstance(field, (str, int, float)) for field in fields):
        raise InvalidArgumentError(f"entry {number} of {path} must have imgname, query and label: {str(entry)[:200]}")
    image, question, label = map(str, fields)
    if Path(image).name != image:
        raise InvalidArgumentError(f"entry {number} of {path} names an image outside of its folder: {image!r}")
    return _Item(image, question, label, source, number)


def _expect(path: Path, what: str) -> Path:
    if not path.exists():
        raise NotFoundError(f"{path}, {what} of ChartQA, is not there; get the data from {WHERE}")
    return path
