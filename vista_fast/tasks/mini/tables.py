"""Real tables as series of labelled integers for bar charts. Only files that come with packages are read."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from vista_fast.tasks.mini.picture import COUNT, missing_extra


@dataclass(frozen=True, slots=True)
class Series:
    """One column of a real table: what it measures, its unit, and its rows as (label, rounded value)."""

    title: str
    unit: str
    rows: tuple[tuple[str, int], ...]


def pick(rng: random.Random) -> tuple[Series, list[tuple[str, int]]]:
    """A series and four of its rows, in rising order, whose highest and lowest stand out when drawn as bars."""
    series = rng.choice(all_series())
    while True:
        rows = sorted(rng.sample(series.rows, COUNT), key=lambda row: row[1])
        if _stands_out([value for _, value in rows]) and len({label for label, _ in rows}) == COUNT:
            return series, rows


def _stands_out(rising: list[int]) -> bool:
    low, next_low, next_high, high = rising
    return next_low - low >= 0.12 * high and high - next_high >= 0.15 * high and next_high > next_low


@lru_cache(maxsize=1)
def all_series() -> tuple[Series, ...]:
    """Every series whose rows offer charts, in a fixed order."""
    try:
        found = [*_scikit_learn(), *_vega()]
    except ImportError as error:
        raise missing_extra(error) from error
    return tuple(series for series in found if _offers_charts(series))


def _offers_charts(series: Series) -> bool:
    rng = random.Random(series.title)
    rising = (sorted(value for _, value in rng.sample(series.rows, COUNT)) for _ in range(200))
    return len(series.rows) >= 12 and sum(map(_stands_out, rising)) >= 4


def _series(title: str, unit: str, rows: Iterable[tuple[str, Any]]) -> Series:
    whole = ((label.strip(), float(value)) for label, value in rows)
    return Series(title, unit, tuple((label, round(value)) for label, value in whole if 10 <= value < 999))


def _scikit_learn() -> Iterator[Series]:
    from sklearn import datasets

    iris = datasets.load_iris()
    flowers = [f"{iris.target_names[kind]} {index + 1}" for index, kind in enumerate(iris.target)]
    for column, name in enumerate(("Sepal length", "Sepal width", "Petal length")):
        yield _series(f"Iris flowers: {name.lower()}", "mm", zip(flowers, 10 * iris.data[:, column], strict=True))

    wine = datasets.load_wine()
    bottles = [f"wine {index + 1}" for index in range(len(wine.target))]
    for name, title, unit in (
        ("magnesium", "magnesium", "mg"),
        ("alcalinity_of_ash", "alkalinity of ash", "degrees"),
        ("proline", "proline", "mg / l"),
    ):
        column = wine.feature_names.index(name)
        yield _series(f"Wines of Italy: {title}", unit, zip(bottles, wine.data[:, column], strict=True))

    diabetes = datasets.load_diabetes(scaled=False)
    patients = [f"patient {index + 1}" for index in range(len(diabetes.target))]
    for column, title, unit in ((0, "age", "years"), (2, "body mass index", "kg / m2"), (3, "blood pressure", "mm Hg")):
        yield _series(f"Diabetes study: {title}", unit, zip(patients, diabetes.data[:, column], strict=True))
    yield _series("Diabetes study: progression", "after a year", zip(patients, diabetes.target, strict=True))

    cancer = datasets.load_breast_cancer()
    cells = [f"{cancer.target_names[kind]} {index + 1}" for index, kind in enumerate(cancer.target)]
    for column, title in enumerate(("radius", "texture", "perimeter", "area")):
        yield _series(f"Breast tumours: mean {title}", "pixels", zip(cells, cancer.data[:, column], strict=True))


def _vega() -> Iterator[Series]:
    cars = _records("cars")
    for column, title, unit in (
        ("Horsepower", "power", "hp"),
        ("Miles_per_Gallon", "fuel economy", "miles per gallon"),
        ("Acceleration", "time to 60 mph", "seconds"),
        ("Displacement", "engine size", "cubic inches"),
    ):
        known = ((car["Name"], car[column]) for car in cars if car[column] is not None)
        yield _series(f"Cars of the 1970s: {title}", unit, known)

    barley = _records("barley")
    yield _series(
        "Barley: yield", "bushels per acre", ((f"{row['site']} {row['year']}", row["yield"]) for row in barley)
    )

    iowa = [
        (row["source"], row["year"][:4], float(row["net_generation"]) / 1000) for row in _records("iowa_electricity")
    ]
    for source in sorted({source for source, _, _ in iowa}):
        rows = ((year, energy) for name, year, energy in iowa if name == source)
        yield _series(f"Electricity of Iowa: {source.lower()}", "TWh", rows)
    every = ((f"{source.split()[0]} {year}", energy) for source, year, energy in iowa)
    yield _series("Electricity of Iowa: all sources", "TWh", every)

    weather = [(f"{_date(day['date'], '%Y/%m/%d'):%d %b %Y}", day) for day in _records("seattle_weather")]
    for column, title, unit in (("temp_max", "warmest hour", "degrees C"), ("precipitation", "rain", "mm")):
        yield _series(f"Seattle: {title}", unit, ((date, day[column]) for date, day in weather))

    stocks = _records("stocks")
    for symbol in sorted({row["symbol"] for row in stocks}):
        prices = (
            (f"{_date(row['date'], '%b %d %Y'):%b %Y}", row["price"]) for row in stocks if row["symbol"] == symbol
        )
        yield _series(f"Share price: {symbol}", "US dollars", prices)

    wheat = _records("wheat")
    yield _series("England: price of wheat", "shillings per quarter", ((row["year"], row["wheat"]) for row in wheat))

    crimea = [(f"{_date(row['date'], '%Y-%m-%d'):%b %Y}", row) for row in _records("crimea")]
    for column, cause in (("wounds", "wounds"), ("other", "other causes"), ("disease", "disease")):
        deaths = ((month, row[column]) for month, row in crimea)
        yield _series(f"Crimean war: deaths by {cause}", "soldiers", deaths)


def _records(name: str) -> list[dict[str, Any]]:
    """A table that vega_datasets ships, as its file has it: a CSV's values are text."""
    from vega_datasets import local_data

    path = Path(getattr(local_data, name).filepath)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    records: list[dict[str, Any]] = json.loads(text)
    return records


def _date(text: str, form: str) -> datetime:
    return datetime.strptime(text, form)
