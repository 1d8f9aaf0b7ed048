"""How every plot looks: colours, markers and line styles that stay with a name, fonts, sizes."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BAND",
    "DASHED",
    "FAST",
    "FONT",
    "GRID",
    "INK",
    "LOOKS",
    "MUTED",
    "PAPER",
    "RC",
    "REPLICATES",
    "SLOW",
    "WIDTH",
    "Look",
    "clean",
    "diverging",
    "look_of",
]

WIDTH = 8.3
"""Inches of every figure: 830 pixels at 100 dots an inch, the width of a README."""

FONT = 9.0
"""Points of the smallest text; at `WIDTH` it is read as it stands."""

# Four colours that the page may turn over in the dark; no other colour is equal to one of them.
INK = "#222223"
MUTED = "#5b6070"
GRID = "#dadde3"
PAPER = "#fffffe"

BAND = "#8a8f9c"
"""Of margins and intervals that belong to no implementation."""

FAST, SLOW = "#2166ac", "#c75a00"
"""Ends of the diverging map; blue and orange stay apart for every kind of colour blindness."""

DASHED = (0, (4, 2))
"""Kept for a device's own time: no implementation has it."""

_SOLID = (0, ())
_DOTTED = (0, (1.2, 1.4))
_DASH_DOT = (0, (6, 1.5, 1.2, 1.5))

_Dashes = tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """What a name is known by; ``marker`` is one of matplotlib's, a sign or a tuple."""

    colour: str
    marker: Any
    dashes: _Dashes


# Found by a search for the largest smallest distance (CIE L*a*b*) under normal sight, protanopia
# and deuteranopia, among colours with a contrast of 3:1 and more to white and to #16181d.
LOOKS = {
    "nn_rnn": Look("#0e8bff", "o", _SOLID),
    "python_loop": Look("#57a176", "s", _SOLID),
    "hoisted_loop": Look("#eb6e07", "^", _SOLID),
    "torchscript_cell": Look("#be7ca2", "D", _DOTTED),
    "torchscript_loop": Look("#ae3e98", "v", _DOTTED),
    "compiled_cell": Look("#b78249", "P", _DASH_DOT),
    "compiled_loop": Look("#a54c43", "X", _DASH_DOT),
    "compiled_hoisted_loop": Look("#d50909", ">", _DASH_DOT),
    "compiled_nn_rnn": Look("#5b97d0", "<", _DASH_DOT),
    "scan": Look("#65676b", "p", _DASH_DOT),
    "aot_inductor": Look("#ae1cc8", "h", _DASH_DOT),
    "cuda_graph": Look("#6d3dff", "*", _SOLID),
}
"""The looks of the implementations that come with rnnbench."""

REPLICATES = ("#0e8bff", "#eb6e07", "#57a176", "#ae3e98", "#b78249", "#65676b")
"""Colours of processes in their order; more than six begin again."""

_PLUGIN_MARKERS = ("d", (4, 1, 0), (4, 1, 45), (6, 1, 0), (8, 1, 0))
"""None is an implementation's that comes with rnnbench; tuples are stars of so many points."""

_DASHES = (_SOLID, _DOTTED, _DASH_DOT)

RC: Any = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT,
    "font.weight": "normal",
    "text.usetex": False,
    "text.parse_math": False,  # a name from a file may hold a dollar sign
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": FONT,
    "axes.titlesize": FONT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.labelpad": 3.0,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "grid.linestyle": "-",
    "grid.alpha": 1.0,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "lines.markeredgewidth": 0.0,
    "legend.frameon": False,
    "legend.fontsize": FONT,
    "path.sketch": None,
    "path.effects": [],
    "svg.fonttype": "none",
    "svg.hashsalt": "rnnbench",
    "svg.image_inline": True,
    "image.composite_image": True,
}
"""Settings under which plots are drawn and written, so that a program's own do not reach them."""


def look_of(name: str) -> Look:
    """The look of an implementation; a name that rnnbench does not know has it from its letters."""
    known = LOOKS.get(name)
    if known:
        return known
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    looks = list(LOOKS.values())
    colour = looks[digest[0] % len(looks)]
    marker = _PLUGIN_MARKERS[digest[1] % len(_PLUGIN_MARKERS)]
    return Look(colour.colour, marker, _DASHES[digest[2] % len(_DASHES)])


def clean(text: object, most: int = 60) -> str:
    """A text from a file for a figure: one line, nothing invisible, cut in its middle if long.

    Control characters, marks that turn the direction of writing, and halves of surrogate pairs
    become a replacement character: the first break XML, the second reorder their neighbours.
    """
    # A cut before the look at each character, so that a long name costs no more than a short one.
    whole = str(text)
    if len(whole) > most:
        tail = most // 3
        whole = whole[: most - tail - 1] + "…" + whole[-tail:]
    return "".join(
        " "
        if letter in "\t\n\r"
        else "\ufffd"
        if unicodedata.category(letter)[0] == "C"
        else letter
        for letter in whole
    )


def diverging(log_ratio: float, largest: float) -> tuple[str, str]:
    """The colour of a ratio's logarithm and the colour of text on it.

    Light grey at 0, `FAST` at ``-largest`` and below, `SLOW` at ``largest`` and above.
    """
    share = min(1.0, abs(log_ratio) / largest) if largest > 0 else 0.0
    end = _channels(SLOW if log_ratio > 0 else FAST)
    middle = _channels("#f1f1f1")
    mixed = [round(m + (e - m) * share) for m, e in zip(middle, end, strict=True)]
    light = sum(w * (c / 255) ** 2.2 for w, c in zip((0.2126, 0.7152, 0.0722), mixed, strict=True))
    # 0.18 is where black and white are equally far off by WCAG's contrast.
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#000000" if light > 0.18 else "#ffffff"


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
