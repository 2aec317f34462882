"""Write the tables of the benchmarks into a document."""

from collections.abc import Sequence
from pathlib import Path


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown, with numbers on the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_block(path: Path, name: str, command: str, text: str) -> None:
    """Replace the text between the comments `<!-- name: command -->` and `<!-- /name -->` of a document.

    Raises:
        ValueError: When the document has no such comments.
    """
    before, start, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name}: {command} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not end:
        raise ValueError(f"{path} has no place for {name}.")
    path.write_text(before + start + text + "\n" + end + after, encoding="utf-8")
