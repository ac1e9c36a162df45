"""The requests of the last 24 hours as a line of the size of a word. Pure."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 120
TOP: Final = 3
FOOT: Final = 26


def path(counts: Sequence[int]) -> str:
    """The line through these counts, oldest first, as the path of an SVG of 120 × 28; flat where all are none."""
    most = max(counts, default=0)
    if not most:
        return f"M0 {FOOT}H{WIDTH}"
    step = WIDTH / (len(counts) - 1)
    points = (
        f"{number * step:.4g} {FOOT - count * (FOOT - TOP) / most:.4g}" for number, count in enumerate(counts)
    )
    return f"M{'L'.join(points)}"
