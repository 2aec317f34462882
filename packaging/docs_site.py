"""Build the website of the documents into the folder site: `scripts/docs`.

The README becomes the first page, docs/models.md becomes one page for each tool, and each other document becomes one
page. Links to files that are not on the site lead to the repository. A broken link ends the build.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from project import ROOT, read_project

from kie_mcp.catalog.names import name_model
from kie_mcp.catalog.registry import FAMILIES

DOCUMENTS = {
    "Guides": ("tasks.md", "money.md", "hosts.md"),
    "Reference": ("settings.md", "tools.md", "prices.md", "performance.md", "conformance.md"),
    "Servers": ("http.md", "operate.md", "security.md", "reliability.md"),
    "Development": ("sandbox.md", "architecture.md", "add-a-model.md", "tool-renaming.md"),
}
"""For each part of the navigation, its files in docs; under Guides, the files of docs/guides come first."""
FROM_THE_ROOT = {"SECURITY.md": "Security policy", "CONTRIBUTING.md": "Contribute", "CHANGELOG.md": "Changes"}
LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|cursor:)([^)#\s]*)(#[^)\s]*)?(?=\))")
SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page of the site."""

    place: str
    """Path of the page's source file, relative to the folder of all pages."""
    title: str
    group: str
    """The part of the navigation that contains the page, such as `Models/Video`; empty for the first page."""
    text: str
    source: str
    """The file in the checkout from which the page is made."""


def list_pages(root: Path = ROOT) -> list[Page]:
    """Return all pages; their links are still the same as in the sources."""
    pages = [Page("index.md", "Start", "", _read(root / "README.md"), "README.md")]
    guides = [f"guides/{path.name}" for path in sorted((root / "docs" / "guides").glob("*.md"))]
    for group, names in DOCUMENTS.items():
        for name in [*(guides if group == "Guides" else ()), *names]:
            text = _read(root / "docs" / name)
            pages.append(Page(name, text.partition("\n")[0].removeprefix("# "), group, text, f"docs/{name}"))
        if group == "Guides":
            pages += _split_models(_read(root / "docs" / "models.md"))
    for name, title in FROM_THE_ROOT.items():
        pages.append(Page(f"project/{name.lower()}", title, "Development", _read(root / name), name))
    return pages


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _split_models(text: str) -> Iterator[Page]:
    """Yield a page that lists all tools, and a page for each tool; legacy tools come last in the list."""
    intro, *parts = SECTION.split(text)
    chapters = dict(zip(parts[::2], parts[1::2], strict=True))
    titles = {re.sub(r".*\(`(.+)`\)", r"\1", heading): heading.partition(" (`")[0] for heading in chapters}
    groups = {each.tool: "Legacy" if each.legacy else each.kind.capitalize() for each in FAMILIES}
    names = {each.tool: ", ".join(dict.fromkeys(map(name_model, each.models))) for each in FAMILIES}
    listed = ""
    for group in dict.fromkeys(groups[tool] for tool in titles):
        inside = [tool for tool in titles if groups[tool] == group]
        listed += f"\n## {group}\n\n" + "".join(f"- [{titles[tool]}]({tool}.md): {names[tool]}\n" for tool in inside)
    yield Page("models/index.md", "All models", "Models", f"{intro}\n{listed}", "docs/models.md")
    for heading, (tool, title) in zip(chapters, titles.items(), strict=True):
        chapter = f"# {heading}\n{chapters[heading]}"
        yield Page(f"models/{tool}.md", title, f"Models/{groups[tool]}", chapter, "docs/models.md")


def resolve_links(page: Page, pages: list[Page], root: Path = ROOT) -> str:
    """Return the text of a page with links that work on the site.

    Raises:
        ValueError: When a link leads to no file of the checkout.
    """
    repository = read_project(root).repository
    # If several pages come from one source, links to the source lead to the first of these pages.
    by_source = {each.source: each for each in reversed(pages)}

    def resolve(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        if page.place.startswith("models/") and (not path or path.endswith(".md")) and not path.startswith("."):
            return found[0]
        target = os.path.normpath(PurePosixPath(page.source).parent / path) if path else page.source
        if not path:
            return anchor
        if target in by_source:
            return _relate(by_source[target], page) + anchor
        if _is_shown(PurePosixPath(target)):
            return os.path.relpath(PurePosixPath(target).relative_to("docs"), PurePosixPath(page.place).parent)
        if not (root / target).exists():
            raise ValueError(f"{page.source} links to {path}, which is not there")
        return f"{repository}/blob/main/{target}{anchor}"

    # The generator does not understand `\\<`, which GitHub shows as `<`.
    return LINK.sub(resolve, page.text.replace("\\<", "&lt;"))


def _relate(target: Page, page: Page) -> str:
    return os.path.relpath(target.place, PurePosixPath(page.place).parent)


def _is_shown(file: PurePosixPath) -> bool:
    """Return True if a file of the checkout is a picture or clip in docs, which is copied to the site."""
    return file.parts[:1] == ("docs",) and file.suffix in {".webp", ".png", ".jpg", ".gif", ".mp4"}


def write_configuration(pages: list[Page]) -> str:
    """Return the text of zensical.toml, the configuration of the site generator."""
    project = read_project()
    nav = _write_nav(pages, "")
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
            f"nav = [{nav}]",
            "[project.theme]",
            # By default, the pages would load fonts from another host.
            "font = false",
            'features = ["navigation.instant", "navigation.sections", "navigation.top", "search.highlight"]',
            "",
        ]
    )


def _write_nav(pages: Sequence[Page], group: str) -> str:
    """Return the navigation of a group as TOML: its own pages, and the groups inside it with their pages."""
    lines = [f"{{ {json.dumps(page.title)} = {json.dumps(page.place)} }}" for page in pages if page.group == group]
    start = f"{group}/" if group else ""
    below = (page.group.removeprefix(start).partition("/")[0] for page in pages if page.group.startswith(start))
    inside = dict.fromkeys(filter(None, below))
    return ", ".join(lines + [f"{{ {json.dumps(name)} = [{_write_nav(pages, start + name)}] }}" for name in inside])


def build_site(folder: Path, into: Path) -> None:
    """Build the site.

    Args:
        folder: A folder for the sources of the site; it is deleted first.
        into: The folder for the site, which is replaced.

    Raises:
        ValueError: When a link is broken.
        subprocess.CalledProcessError: When the generator warns or fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = list_pages()
    for page in pages:
        file = folder / "pages" / page.place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(resolve_links(page, pages), encoding="utf-8")
    for picture in (ROOT / "docs").rglob("*"):
        if _is_shown(PurePosixPath(picture.relative_to(ROOT).as_posix())):
            place = folder / "pages" / picture.relative_to(ROOT / "docs")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, place)
    (folder / "zensical.toml").write_text(write_configuration(pages), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    subprocess.run(command, cwd=folder, check=True)
    shutil.rmtree(into, ignore_errors=True)
    shutil.move(folder / "site", into)


if __name__ == "__main__":
    build_site(ROOT / "build" / "docs", ROOT / "site")
