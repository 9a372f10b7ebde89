"""The page: sound, complete, and alone."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.evaluation import Evaluation
from pansight.metrics.remarks import EvaluationWarning
from pansight.panoptic import PanopticMap
from pansight.reporting.causes import CAUSES
from pansight.reporting.page import render, write_report
from pansight.reporting.published import Published, published_figures
from pansight.reporting.report import Report
from pansight.reporting.words import sentences

HOSTILE = "<script>alert('x')</script>&\"[bold]"


class Strict(HTMLParser):
    """Fails where tags do not close in order; collects text, tags and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action", "data")]
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""
        assert not any(key.startswith("on") for key, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="session")
def page(report: Report) -> str:
    return render(replace(report, published=published_figures("coco")[:3]))


@pytest.fixture(scope="session")
def parsed(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def test_nothing_is_fetched_and_nothing_runs(page: str, parsed: Strict) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    assert parsed.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in parsed.addresses)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert parsed.policy.startswith("default-src 'none';")


def test_hostile_names_stay_text(parsed: Strict) -> None:
    text = "".join(parsed.text)
    assert text.count(HOSTILE) >= 5  # title, heading, category, picture, problem, command


def test_everything_is_told(parsed: Strict, report: Report) -> None:
    text = "".join(parsed.text)
    whole = report.result.panoptic.all
    assert whole is not None
    assert f"{100 * whole.pq:.1f}" in parsed.text
    for words in (
        "5 of 6 true segments were found",
        "This evaluation was stopped: it covers 2 images of 7.",
        "1 category occurs neither in truth nor in prediction",
        "boundary PQ",
        "mask AP",
        "95 % interval",
        "missed: car; false: ",
        "cut short",
        "What the words mean",
        "slides of the authors",
    ):
        assert words in text, words
    for cause in CAUSES:
        assert cause.words in text


def test_the_bar_of_losses_is_full(page: str, report: Report) -> None:
    stack = page[page.index('class="stack"') :]
    stack = stack[: stack.index("</div>")]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", stack)]
    assert len(widths) == 1 + len(CAUSES)
    assert sum(widths) == pytest.approx(100, abs=0.01)


def test_pictures_are_pictures(parsed: Strict) -> None:
    sizes = set()
    for address in parsed.addresses:
        content = base64.b64decode(address.split(",", 1)[1], validate=True)
        sizes.add(Image.open(io.BytesIO(content)).size)
    assert len(parsed.addresses) == 4 + 3  # one of the two has no picture of its own
    assert sizes == {(30, 20)}


def test_groups_without_a_value(categories: Categories, pair: tuple[PanopticMap, PanopticMap]) -> None:
    only_stuff = PanopticMap.from_table(pair[0].ids * 0 + 1, [(1, 2)], categories)
    evaluation = Evaluation(categories)
    evaluation.update(only_stuff, only_stuff)
    with pytest.warns(EvaluationWarning):
        result = evaluation.compute()
    parser = Strict()
    parser.feed(render(Report("a", "b", result)))
    assert "–" in parser.text
    assert not parser.addresses


def test_own_figures_are_marked(report: Report) -> None:
    row = Published("my-model", "coco", 48.4, "its README", own=True)
    assert "my-model (this very model)" in render(replace(report, published=(row,)))


def test_the_heading_is_short_and_the_paths_are_told(report: Report) -> None:
    text = render(replace(report, subject="a/long/way/to/mine.json", data="another/truth.json"))
    assert "<h1>mine.json on truth.json</h1>" in text
    assert "<dd>a/long/way/to/mine.json</dd>" in text and "<dd>another/truth.json</dd>" in text


def test_where_all_is_equal_nothing_is_best(
    categories: Categories, pair: tuple[PanopticMap, PanopticMap], report: Report
) -> None:
    assert any(line.startswith("Best is ") for line in sentences(report.result))
    evaluation = Evaluation(categories)
    evaluation.update(pair[1], pair[1], "x.png")
    assert not any("weakest" in line for line in sentences(evaluation.compute()))


def test_written_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "x.html", replace(report, subject="a\udcff"))
    content = (tmp_path / "new" / "x.html").read_text(encoding="utf-8")
    assert content.startswith("<!doctype html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/x\.html"):
        write_report(tmp_path / "file" / "x.html", report)
