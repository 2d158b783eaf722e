"""Charts: matplotlib figures as inline SVG whose colours are those of the page, so that they are readable in the dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, GRID = "#010203", "#020304", "#030405"
"""Stand for the page's colours of text, of what is less important, and of lines behind: CSS takes their place."""
MAIN, SECOND, THIRD, FOURTH = "#040506", "#050607", "#060708", "#070809"
"""Stand for the page's colours of what is shown, the first being the run's own."""
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--line",
    MAIN: "--c1",
    SECOND: "--c2",
    THIRD: "--c3",
    FOURTH: "--c4",
}

STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "text.parse_math": False,  # a name may hold dollars
    "font.family": ["sans-serif"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}


def chart(
    draw: Callable[[Sequence[Axes]], None], *, name: str, title: str, size: tuple[float, float], columns: int = 1
) -> str:
    """A figure as an SVG element.

    Args:
        draw: draws on the axes, which are beside each other.
        name: unlike that of any other chart on the page; its ids begin with it.
        title: what people hear who cannot see it.
        size: width and height in inches.
        columns: how many axes.
    """
    style: Any = {**STYLE, "svg.hashsalt": name}  # matplotlib types the names of its settings one by one
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        draw(list(figure.subplots(1, columns, squeeze=False)[0]))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return themed(out.getvalue(), name=name, title=title)


def themed(svg: str, *, name: str, title: str) -> str:
    """The SVG element of a file of matplotlib's, with the page's colours and ids of its own.

    Args:
        svg: the file.
        name: what its ids begin with.
        title: what it is, for those who cannot see it.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # the ids of groups say nothing; the others are referred to, and must not meet those of another chart
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', element)
    element = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", element)
    element = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", element)
    element = re.sub(r'(<svg[^>]*?)\swidth="([\d.]+)pt"', r'\1 style="max-width:\2pt"', element, count=1)
    element = re.sub(r'(<svg[^>]*?)\sheight="[\d.]+pt"', r"\1", element, count=1)
    for sentinel, variable in VARIABLES.items():
        element = element.replace(sentinel, f"var({variable})")
    spoken = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return element.replace("<svg", f'<svg role="img" aria-label="{spoken}"', 1)
