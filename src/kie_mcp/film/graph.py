"""Graph: collect the inputs and the filters of one ffmpeg command."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from kie_mcp.media.ffmpeg import FRUGAL_INPUT_OPTIONS, SAFE_INPUT_OPTIONS

STILL_ENDING = ".png"
"""Ending of the names of pictures in the private folder."""
OWN_FORMATS = {".png": "png_pipe", ".txt": "concat", ".srt": "srt"}
"""For the endings of files that this package writes, ffmpeg's name of the format. ffmpeg must not read other files in
these formats, because a list for `concat` makes ffmpeg open further files."""


@dataclass
class Graph:
    """Collects inputs and chains of filters; the output of each chain has a label, such as `[v3]`."""

    inputs: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    _count: int = 0
    _labels: int = 0

    def add_input(self, name: str, *options: str) -> int:
        """Add a file in the private folder, and return the number of the input, as in `[0:v]`."""
        *safe, formats = SAFE_INPUT_OPTIONS
        own = OWN_FORMATS.get(PurePath(name).suffix)
        form = (f"{formats},{own}", "-f", own) if own else (formats,)
        self.inputs += [*safe, *form, *FRUGAL_INPUT_OPTIONS, *options, "-i", f"file:{name}"]
        self._count += 1
        return self._count - 1

    def add_chain(self, *filters: str, of: Sequence[str] = ()) -> str:
        """Add a chain of filters, and return the label of its output.

        Args:
            filters: The filters; empty texts are left out.
            of: The labels of the inputs; none if the first filter makes its own picture or sound.
        """
        (end,) = self.add_split(*filters, of=of)
        return end

    def add_split(self, *filters: str, of: Sequence[str] = (), ends: int = 1) -> list[str]:
        """Add a chain of filters with several outputs, and return their labels."""
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
    """Format a number for filters, such as `0.333333`, without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
