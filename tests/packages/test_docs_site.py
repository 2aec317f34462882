"""The site of the documents: built without a warning, and every link in it leads somewhere."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from docs_site import Page, build_site, list_pages, resolve_links
from project import read_project
from support.paths import ROOT

from kie_mcp.server.selection import Selection


class Links(HTMLParser):
    """The links of a page, and the names that links can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (the base class's)
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            if value and name == "id":
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical", reason="zensical needs Python 3.11.5 or newer")
    folder = tmp_path_factory.mktemp("docs")
    build_site(folder / "sources", folder / "site")
    return folder / "site"


def find_dead_links(site: Path) -> Iterator[str]:
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    base = urlsplit(read_project().urls["Documentation"]).path
    for path, page in pages.items():
        # The page for a missing one is shown at any place, so its links begin at the site's root.
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(address).scheme or address.startswith("data:"):
                continue
            start = site / address.removeprefix(base) if address.startswith("/") else path.parent / unquote(address)
            target = start / "index.html" if start.is_dir() else start
            target = (path if not address else target).resolve()
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].anchors):
                yield f"{path.relative_to(site)}: {link}"


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 80
    assert list(find_dead_links(site)) == []


def test_every_tool_that_makes_something_has_a_page(site: Path) -> None:
    utilities = {tool["name"] for tool in Selection("compact").tools} | {"find_voices"}
    tools = {tool["name"] for tool in Selection("all").tools} - utilities
    pages = {path.parent.name for path in (site / "models").glob("*/index.html")}
    assert len(tools) >= 60
    assert tools <= pages


def test_a_sign_that_is_escaped_for_the_forge_is_shown(site: Path) -> None:
    text = (site / "models" / "elevenlabs_dialogue" / "index.html").read_text(encoding="utf-8")
    assert "Speak a dialogue with ElevenLabs v3. [laughs] and the like are acted." in text


def test_nothing_on_the_site_comes_from_another_host(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in text
    assert '<script src="http' not in text


def test_a_link_that_leads_nowhere_stops_the_build() -> None:
    pages = list_pages()
    page = Page("x.md", "X", "Reference", "[gone](gone.md)", "docs/x.md")
    with pytest.raises(ValueError, match=r"docs/x.md links to gone.md"):
        resolve_links(page, pages)


def test_a_link_out_of_the_site_leads_to_the_repository() -> None:
    pages = list_pages()
    page = Page(
        "x.md",
        "X",
        "Reference",
        "[a](../src/kie_mcp/config.py) [b](../README.md#limits) [c](prices.md#x)",
        "docs/x.md",
    )
    assert resolve_links(page, pages) == (
        f"[a]({read_project().repository}/blob/main/src/kie_mcp/config.py) [b](index.md#limits) [c](prices.md#x)"
    )
    assert (ROOT / "src" / "kie_mcp" / "config.py").is_file()
