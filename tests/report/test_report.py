"""The report of a run: whole, self-contained, and true to what the run folder holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn_run import HOSTILE, STEPS, draw_run, grpo_metrics

from vista_fast.errors import NotFoundError
from vista_fast.report import write
from vista_fast.run_folder import RunFolder
from vista_fast.train.metrics import as_record

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that elements nest, and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.sections: list[str] = []
        self.scripts = 0
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("src", "href") if (value := values.get(name))]
        self.sections += [values["id"] or ""] if tag == "section" else []
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return draw_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def html(run: RunFolder) -> str:
    return write(run.path).read_text()


def test_every_section_is_there_and_the_markup_nests(html: str) -> None:
    assert Page(html).sections == ["results", "learning", "step", "read", "sft", "settings"]


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not re.search(r"(@import|url\(|https?://)", html)


def test_text_of_tasks_policies_and_tools_stays_text(html: str) -> None:
    page = Page(html)
    assert page.scripts == 1
    assert HOSTILE not in html
    assert HOSTILE in page.text


def test_figures_are_those_of_the_run(html: str) -> None:
    text = Page(html).text
    assert "62.5%" in text  # grpo with tools
    assert "12.5%" in text  # grpo without
    assert "+37.5 points over sft" in text
    assert "+50.0 points by tools" in text
    assert f"{20 * STEPS} 55% shared" in text
    assert f"{16 * STEPS} 24 s of rollout" in text
    assert "12 steps of GRPO, 16 trajectories per step" in text


def test_stories_of_each_kind(html: str) -> None:
    assert {kind: html.count(f'data-kind="{kind}"') for kind in ("good", "bad", "error")} == {
        "good": 4,
        "bad": 4,
        "error": 2,
    }


def test_the_box_that_a_tool_looked_at_is_framed(html: str) -> None:
    assert 'style="inset:25.00% 0.00% 25.00% 50.00%"' in html


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, {"preset": "ci", "seed": 3})
    assert Page(write(tmp_path).read_text()).sections == ["settings"]
    folder.append(as_record(grpo_metrics(1, families={}, reward=float("nan"))))
    assert Page(write(tmp_path).read_text()).sections == ["learning", "settings"]


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no run"):
        write(tmp_path)
