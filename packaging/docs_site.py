"""Build the site of the documents into site: `scripts/docs`.

The README's sections become its guide, docs/models.md one page for each tool, and the other documents one page each.
What they link to outside of the site leads to the repository. A link that leads nowhere ends the build.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from project import ROOT, read_project

ON_THE_FIRST_PAGE = ("Try it", "Set it up in a client", "A conversation")
"""Sections of the README that stand on the first page."""
DOCUMENTS = {
    "hosts.md": "Hosts",
    "prices.md": "Prices",
    "reliability.md": "Reliability",
    "operate.md": "Operate",
    "performance.md": "Performance",
    "conformance.md": "Conformance",
    "architecture.md": "Architecture",
    "add-a-model.md": "Add a model",
    "tool-renaming.md": "Rename a tool",
}
"""Titles of the pages that are files of docs, if these exist."""
FROM_THE_ROOT = {"SECURITY.md": "Security policy", "CONTRIBUTING.md": "Contribute", "CHANGELOG.md": "Changes"}
LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|cursor:)([^)#\s]*)(#[^)\s]*)?(?=\))")
SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page of the site."""

    place: str
    """Path in the site's folder of sources."""
    title: str
    group: str
    """The part of the navigation that it belongs to; empty for the first page."""
    text: str
    source: str
    """The file in the checkout that it comes from."""


def list_pages(root: Path = ROOT) -> list[Page]:
    """Return all pages, with links as their sources have them."""
    pages = [*_split_readme(root), *_split_models(root)]
    for name, title in DOCUMENTS.items():
        if (root / "docs" / name).is_file():
            text = (root / "docs" / name).read_text(encoding="utf-8")
            pages.append(Page(name, title, "Reference", text, f"docs/{name}"))
    for name, title in FROM_THE_ROOT.items():
        text = (root / name).read_text(encoding="utf-8")
        pages.append(Page(f"project/{name.lower()}", title, "Project", text, name))
    return pages


def _split_readme(root: Path) -> Iterator[Page]:
    intro, *parts = SECTION.split((root / "README.md").read_text(encoding="utf-8"))
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    # The table of contents is the site's navigation.
    first = re.sub(r"^- \[[^\]]+\]\(#.*\n", "", intro, flags=re.MULTILINE)
    first += "".join(f"## {title}\n{text}" for title, text in sections.items() if title in ON_THE_FIRST_PAGE)
    yield Page("index.md", "Start", "", first, "README.md")
    for title, text in sections.items():
        if title not in ON_THE_FIRST_PAGE:
            yield Page(f"guide/{_slug(title)}.md", title, "Guide", f"# {title}\n{text}", "README.md")


def _split_models(root: Path) -> Iterator[Page]:
    intro, *parts = SECTION.split((root / "docs" / "models.md").read_text(encoding="utf-8"))
    named = list(zip(parts[::2], parts[1::2], strict=True))
    rows = "".join(f"- [{title}]({title.partition(':')[0]}.md)\n" for title, _ in named)
    yield Page("models/index.md", "All tools and models", "Models", f"{intro}\n{rows}", "docs/models.md")
    for title, text in named:
        tool = title.partition(":")[0]
        yield Page(f"models/{tool}.md", tool, "Models", f"# {title}\n{text}", "docs/models.md")


def resolve_links(page: Page, pages: list[Page], root: Path = ROOT) -> str:
    """Return the text of a page with links that work on the site.

    Raises:
        ValueError: When a link leads to no file of the checkout, or to no heading of a README's section.
    """
    repository = read_project(root).repository
    by_source = {each.source: each for each in pages if each.source not in {"README.md", "docs/models.md"}}
    by_source |= {"README.md": pages[0], "docs/models.md": next(each for each in pages if each.group == "Models")}

    def resolve(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        if page.place.startswith("models/") and (not path or path.endswith(".md")) and not path.startswith("."):
            return found[0]
        target = os.path.normpath(PurePosixPath(page.source).parent / path) if path else page.source
        if target == "README.md" and anchor:
            slug = anchor.removeprefix("#")
            section = next((each for each in pages if each.place == f"guide/{slug}.md"), None)
            return _relate(section or pages[0], page) + ("" if section else anchor)
        if not path:
            return anchor
        if target in by_source:
            return _relate(by_source[target], page) + anchor
        if not (root / target).exists():
            raise ValueError(f"{page.source} links to {path}, which is not there")
        return f"{repository}/blob/main/{target}{anchor}"

    # The generator knows no `\\<`, with which GitHub shows the sign itself.
    return LINK.sub(resolve, page.text.replace("\\<", "&lt;"))


def _relate(target: Page, page: Page) -> str:
    return os.path.relpath(target.place, PurePosixPath(page.place).parent)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def write_configuration(pages: list[Page]) -> str:
    """Return zensical.toml of the site."""
    project = read_project()
    groups: dict[str, list[Page]] = {}
    for page in pages:
        groups.setdefault(page.group, []).append(page)
    nav = [f"  {{ {json.dumps(page.title)} = {json.dumps(page.place)} }}," for page in groups.pop("")]
    for group, members in groups.items():
        inside = ", ".join(f"{{ {json.dumps(page.title)} = {json.dumps(page.place)} }}" for page in members)
        nav.append(f"  {{ {json.dumps(group)} = [{inside}] }},")
    return "\n".join(
        [
            "[project]",
            f"site_name = {json.dumps(project.name)}",
            f"site_description = {json.dumps(project.description)}",
            f"site_url = {json.dumps(project.urls['Documentation'])}",
            f"repo_url = {json.dumps(project.repository)}",
            f"repo_name = {json.dumps(project.slug)}",
            'docs_dir = "pages"',
            'site_dir = "site"',
            "nav = [",
            *nav,
            "]",
            "[project.theme]",
            # Fonts would be loaded from another host.
            "font = false",
            'features = ["navigation.instant", "navigation.sections", "navigation.top", "search.highlight"]',
            "",
        ]
    )


def build_site(folder: Path, into: Path) -> None:
    """Build the site.

    Args:
        folder: A folder for its sources, which is deleted first.
        into: The folder for the site, which is replaced.

    Raises:
        ValueError: When a link leads nowhere.
        subprocess.CalledProcessError: When the generator warns or fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = list_pages()
    for page in pages:
        file = folder / "pages" / page.place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(resolve_links(page, pages), encoding="utf-8")
    (folder / "zensical.toml").write_text(write_configuration(pages), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    subprocess.run(command, cwd=folder, check=True)
    shutil.rmtree(into, ignore_errors=True)
    shutil.move(folder / "site", into)


if __name__ == "__main__":
    build_site(ROOT / "build" / "docs", ROOT / "site")
