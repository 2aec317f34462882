"""Graph: the inputs and the filter graph of one ffmpeg command, as they grow piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from kie_mcp.media.ffmpeg import FRUGAL_INPUT_OPTIONS, SAFE_INPUT_OPTIONS

STILL_ENDING = ".png"
"""Ending of the names of pictures in the private folder."""
OWN_FORMATS = {".png": "png_pipe", ".txt": "concat", ".srt": "srt"}
"""For the endings of files that are written here, ffmpeg's name of their format. No other file is read as one of these,
because a list for `concat` makes ffmpeg open further files."""


@dataclass
class Graph:
    """Collects inputs, and chains of filters whose ends have labels, such as `[v3]`."""

    inputs: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    _count: int = 0
    _labels: int = 0

    def add_input(self, name: str, *options: str) -> int:
        """Add a file of the private folder, and return its number for `[0:v]` and the like."""
        *safe, formats = SAFE_INPUT_OPTIONS
        own = OWN_FORMATS.get(PurePath(name).suffix)
        form = (f"{formats},{own}", "-f", own) if own else (formats,)
        self.inputs += [*safe, *form, *FRUGAL_INPUT_OPTIONS, *options, "-i", f"file:{name}"]
        self._count += 1
        return self._count - 1

    def add_chain(self, *filters: str, of: Sequence[str] = ()) -> str:
        """Add filters that follow one another, and return the label of their end.

        Args:
            filters: The filters; empty texts are left out.
            of: The labels at the beginning; none if the first filter makes its own picture or sound.
        """
        (end,) = self.add_split(*filters, of=of)
        return end

    def add_split(self, *filters: str, of: Sequence[str] = (), ends: int = 1) -> list[str]:
        """Add filters that follow one another, the last of which has several ends, and return the ends' labels."""
        labels = []
        for _ in range(ends):
            self._labels += 1
            labels.append(f"[l{self._labels}]")
        self.chains.append(f"{''.join(of)}{','.join(filter(None, filters))}{''.join(labels)}")
        return labels

    @property
    def text(self) -> str:
        """The whole filter graph."""
        return ";".join(self.chains)


def format_number(value: float) -> str:
    """Return a number as filters read it, such as `0.333333`, without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
