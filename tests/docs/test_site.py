"""The documentation builds without a warning, and no link of it leads nowhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class _Page(HTMLParser):
    """Targets and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.images: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids.update(filter(None, (found.get("id"), found.get("name") if tag == "a" else None)))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "img":
            self.images.append((found.get("src", ""), found.get("alt", "")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_no_link_of_the_site_leads_nowhere(site: Path) -> None:
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    assert len(pages) > 25
    broken = []
    for path, page in pages.items():
        # listings of source: Sphinx takes the wrong page for where a re-exported name is described
        if path.name in ("genindex.html", "search.html", "py-modindex.html") or "_modules" in path.parts:
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)
    images = [(path, image) for path, page in pages.items() for image in page.images]
    assert not [image for path, image in images if not (path.parent / unquote(image[0])).exists()]
    assert not [image for _, image in images if not image[1]], (
        "an image without words for those who cannot see it"
    )


def test_the_site_asks_nobody_else_for_anything(site: Path) -> None:
    for path in (site / "index.html", site / "explanations" / "yoso.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', text)
    assert "<math" in (site / "explanations" / "yoso.html").read_text(encoding="utf-8")


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """But those that are constants, aliases or modules."""
    text = " ".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    names = [line.split("(")[0] for line in (ROOT / "tests" / "public_api.txt").read_text().splitlines()]
    classes = {name.rpartition(".")[2] for name in names if name.startswith("pansight.")}
    wanted = {
        name.rpartition(".")[2]
        for name in names
        if re.fullmatch(r"pansight(\.(metrics|zoo|scenes|drawing|categories|errors))?\.[A-Za-z_]+", name)
    }
    known = {"VOID", "ID_LIMIT", "BUILTIN", "METHODS", "HELD_OUT_SCENES", "__version__", "draw"}
    assert classes
    assert not sorted(name for name in wanted - known if not re.search(rf'id="pansight[\w.]*\.{name}"', text))


def test_links_of_the_readme_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not urlsplit(link).scheme:
                assert (ROOT / link).exists(), f"{name}: {link}"
