"""Real tables as series of labelled integers for bar charts. Only files that come with packages are read."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
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
    from vega_datasets import local_data

    cars = local_data.cars()
    for column, title, unit in (
        ("Horsepower", "power", "hp"),
        ("Miles_per_Gallon", "fuel economy", "miles per gallon"),
        ("Acceleration", "time to 60 mph", "seconds"),
        ("Displacement", "engine size", "cubic inches"),
    ):
        known = cars.dropna(subset=[column])
        yield _series(f"Cars of the 1970s: {title}", unit, zip(known["Name"], known[column], strict=True))

    barley = local_data.barley()
    fields = [f"{site} {year}" for site, year in zip(barley["site"], barley["year"], strict=True)]
    yield _series("Barley: yield", "bushels per acre", zip(fields, barley["yield"], strict=True))

    iowa = local_data.iowa_electricity()
    for source, rows in iowa.groupby("source"):
        years = [str(date.year) for date in rows["year"]]
        yield _series(
            f"Electricity of Iowa: {source.lower()}", "TWh", zip(years, rows["net_generation"] / 1000, strict=True)
        )
    yield _series(
        "Electricity of Iowa: all sources",
        "TWh",
        ((f"{row.source.split()[0]} {row.year.year}", row.net_generation / 1000) for row in iowa.itertuples()),
    )

    weather = local_data.seattle_weather()
    days = weather["date"].dt.strftime("%d %b %Y")
    for column, title, unit in (("temp_max", "warmest hour", "degrees C"), ("precipitation", "rain", "mm")):
        yield _series(f"Seattle: {title}", unit, zip(days, weather[column], strict=True))

    stocks = local_data.stocks()
    for symbol, rows in stocks.groupby("symbol"):
        yield _series(
            f"Share price: {symbol}", "US dollars", zip(rows["date"].dt.strftime("%b %Y"), rows["price"], strict=True)
        )

    wheat = local_data.wheat()
    years = [str(year) for year in wheat["year"]]
    yield _series("England: price of wheat", "shillings per quarter", zip(years, wheat["wheat"], strict=True))

    crimea = local_data.crimea()
    months = crimea["date"].dt.strftime("%b %Y")
    for column in ("wounds", "other", "disease"):
        cause = "other causes" if column == "other" else column
        yield _series(f"Crimean war: deaths by {cause}", "soldiers", zip(months, crimea[column], strict=True))
