"""Figures as files: SVG that fits a light page and a dark one, and PNG."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from rnnbench.report.outputs import undisturbed
from rnnbench.report.plots.style import GRID, INK, MUTED, PAPER, RC

__all__ = ["on_paper", "png_bytes", "svg_text"]

_THEMED = {
    INK: "var(--plot-ink, #222)",
    MUTED: f"var(--plot-muted, {MUTED})",
    GRID: f"var(--plot-grid, {GRID})",
    PAPER: "var(--plot-paper, #fff)",
}
_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile("|".join(_THEMED))
_FONT = re.compile(r"'[^']*'(?:, '[^']*')*, sans-serif|'DejaVu Sans'(?:, [^;\"]*)?")
_ID = re.compile(r'\sid="([^"]*)"')
_LINK = re.compile(r'(xlink:href="#|href="#|url\(#)([^")]*)')


def svg_text(figure: Figure, prefix: str = "") -> str:
    """The figure as one ``<svg>`` element, the same text each time.

    Text stays text, in the reader's sans-serif. Ink, muted text, grid and paper are the variables
    ``--plot-ink``, ``--plot-muted``, ``--plot-grid`` and ``--plot-paper`` of the page around it,
    with values for a light page where it sets none. There is no background; `on_paper` gives it
    one. Ids begin with ``prefix``, by default a digest of the content, so that
    several figures of one page do not take each other's. Nothing outside is referred to.

    A prefix may hold only letters, digits, ``-`` and ``_``; anything else in it is left out.
    """
    buffer = io.StringIO()
    # The figure's face would be a path of white; on a dark page there must be none.
    _save(figure, buffer, "svg", 200, metadata={"Date": None}, facecolor="none")
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, count=0, flags=re.DOTALL)
    # A style element would hold for the whole page around it; on the root it is inherited.
    text = re.sub(r"\s*<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", text)
    wanted = {match[1] for match in _LINK.findall(text)}
    own = re.sub(r"[^A-Za-z0-9_-]", "", prefix)
    own = own or "plot-" + hashlib.sha256(text.encode()).hexdigest()[:10]

    def tag(match: re.Match[str]) -> str:
        found = match[0]
        found = _ID.sub(lambda m: f' id="{own}-{m[1]}"' if m[1] in wanted else "", found)
        found = _LINK.sub(lambda m: f"{m[1]}{own}-{m[2]}", found)
        found = _FONT.sub("sans-serif", found)
        return _COLOUR.sub(lambda m: _THEMED[m[0]], found)

    # Only tags: a name from a file stands between them, and stays as it is.
    text = _TAG.sub(tag, text)
    root, rest = text.split(">", 1)
    return f'{root} style="stroke-linejoin: round; stroke-linecap: butt">{rest}'


def on_paper(svg: str) -> str:
    """What `svg_text` made, with the white background that a file of its own needs."""
    root, rest = svg.split(">", 1)
    return f'{root}>\n<rect width="100%" height="100%" style="fill: #fff"/>{rest}'


def png_bytes(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG on white; 100 dots an inch make it 830 pixels wide. Same bytes each time.

    The default is half as dense again, for screens whose dots are finer than a pixel.
    """
    buffer = io.BytesIO()
    # Without matplotlib's version, which would change the file with every update.
    _save(figure, buffer, "png", dpi, metadata={"Software": None}, facecolor="#ffffff")
    return buffer.getvalue()


def _save(
    figure: Figure,
    buffer: io.StringIO | io.BytesIO,
    kind: str,
    dpi: int,
    metadata: dict[str, None],
    facecolor: str,
) -> None:
    # Compressing harder takes most of the time and saves an eighth of the bytes.
    quick: Any = {"pil_kwargs": {"compress_level": 3}} if kind == "png" else {}
    with undisturbed(), matplotlib.rc_context(RC), warnings.catch_warnings():
        # A name in letters that the font lacks: an SVG has them from the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(
            buffer,
            format=kind,
            dpi=dpi,
            metadata=metadata,
            facecolor=facecolor,
            edgecolor="none",
            **quick,
        )
