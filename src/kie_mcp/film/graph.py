"""Graph: builds the inputs and the filter graph of one ffmpeg command."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from kie_mcp.media.ffmpeg import FRUGAL_INPUT_OPTIONS, SAFE_INPUT_OPTIONS

STILL_ENDING = ".png"
"""File extension of the pictures in the private folder."""
MOVING_ENDING = ".apng"
"""File extension of the animations in the private folder."""
OWN_FORMATS = {STILL_ENDING: "png_pipe", MOVING_ENDING: "apng", ".txt": "concat", ".srt": "srt"}
"""ffmpeg's names for the formats of the files that this package writes, by file extension.

Callers' files are never read in these formats, because a list for `concat` makes ffmpeg open further files.
"""


@dataclass
class Graph:
    """Collects inputs and chains of filters; the output of each chain has a label, such as `[v3]`."""

    inputs: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    _count: int = 0
    _labels: int = 0

    def add_input(self, name: str, *options: str) -> int:
        """Add a file in the private folder as an input, and return the input's number, such as the 0 in `[0:v]`."""
        self.inputs += [*choose_input_options(name), *FRUGAL_INPUT_OPTIONS, *options, "-i", f"file:{name}"]
        self._count += 1
        return self._count - 1

    def add_chain(self, *filters: str, of: Sequence[str] = ()) -> str:
        """Add a chain of filters, and return the label of its output.

        Args:
            filters: The filters; empty texts are left out.
            of: The labels of the inputs; empty if the first filter generates video or sound itself.
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
        """The whole filter graph, in ffmpeg's syntax."""
        return ";".join(self.chains)


def choose_input_options(name: str) -> tuple[str, ...]:
    """Return the options that say in which formats ffmpeg may read a file of the private folder."""
    *safe, formats = SAFE_INPUT_OPTIONS
    own = OWN_FORMATS.get(PurePath(name).suffix)
    return (*safe, f"{formats},{own}", "-f", own) if own else SAFE_INPUT_OPTIONS


def format_number(value: float) -> str:
    """Format a number for filters, such as `0.333333`, without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
