"""HTML from Python."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from pansight.reporting.markup import EMPTY, Html, element, join


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_an_element() -> None:
    inner = element("b", "a<b")
    page = element(
        "p", inner, " & ", class_="one two", aria_hidden="true", data_x=1.5, open=True, id=None, hidden=False
    )
    assert page == '<p class="one two" aria-hidden="true" data-x="1.5" open><b>a&lt;b</b> &amp; </p>'
    assert element("br") == "<br>"
    assert element("rect", width=1) == '<rect width="1"></rect>'
    assert join("<", EMPTY, Html("<")) == "&lt;<"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
)
def test_text_stays_text(text: str, attribute: str) -> None:
    reader = Reader(element("p", text, title=attribute))
    assert reader.tags == [("p", [("title", attribute)])]
    assert reader.text == text
