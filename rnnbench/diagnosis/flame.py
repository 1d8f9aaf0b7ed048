"""A flame graph of profiled calls: one HTML file that needs nothing else, not even scripts.

Each case is one SVG: a box's width is its share of the call, calls of one name in the same place
are one box, and its title, which browsers show under the pointer, says name, count, seconds and
share.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnbench.diagnosis.profiles import Profile
from rnnbench.numbers import format_count, format_seconds, format_share

__all__ = ["flame_bytes"]

_WIDTH, _ROW = 1200.0, 18.0
_LETTER = 6.6
"""Pixels that a letter of 11 pixels' monospace takes."""

_NARROWEST = 0.2
_COLOURS = {
    "matrix_product": "#e8743b",
    "elementwise": "#5899da",
    "copy": "#b9975b",
    "overhead": "#c9ccd3",
}
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Flame graphs of profiled calls</title>
<style>
body { font: 14px/1.4 sans-serif; margin: 1.5rem; color: #222; background: #fff }
svg { width: 100%; height: auto; display: block; font: 11px monospace }
rect { stroke: #fff; stroke-width: .5 }
g:hover > rect { stroke: #000 }
.key span { display: inline-block; padding: 0 .5em; margin-right: .5em; color: #000 }
</style>
</head>
<body>
<h1>Flame graphs of profiled calls</h1>
<p>A box is as wide as its share of one profiled call; what runs in it stands below it. Calls of one
name in the same place are one box. Profiling itself takes time with every operator: these are no
measured times.</p>
"""


@dataclass
class _Box:
    """Calls of one name in one place."""

    name: str
    part: str
    calls: int = 0
    seconds: float = 0.0
    inner: dict[str, _Box] = field(default_factory=dict)


def flame_bytes(profiles: Sequence[Profile]) -> bytes:
    """The file: a graph of each profile that has spans."""
    lines = [_HEAD, '<p class="key">']
    for part, colour in _COLOURS.items():
        lines.append(f'<span style="background: {colour}">{part.replace("_", " ")}</span>')
    lines.append("</p>")
    for profile in profiles:
        if profile.spans:
            lines.append(f"<h2>{html.escape(profile.case.id)}</h2>")
            lines += _svg(_merged(profile.spans["spans"]))
    return "\n".join([*lines, "</body>", "</html>", ""]).encode()


def _merged(spans: Sequence[Mapping[str, Any]]) -> _Box:
    """The tree of spans, those of one name in one place as one."""
    boxes: list[_Box] = []
    for span in spans:
        name = span["name"]
        box = _Box(name, span["part"])
        if boxes:
            box = boxes[span["parent"]].inner.setdefault(name, box)
        box.calls += 1
        box.seconds += span["seconds"]
        boxes.append(box)
    return boxes[0]


def _svg(call: _Box) -> Iterator[str]:
    height = _ROW * _depth(call)
    yield f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="flame graph">'
    yield from _drawn(call, 0.0, 0.0, _WIDTH / call.seconds, call.seconds)
    yield "</svg>"


def _depth(box: _Box) -> int:
    return 1 + max((_depth(inner) for inner in box.inner.values()), default=0)


def _drawn(box: _Box, x: float, y: float, scale: float, whole: float) -> Iterator[str]:
    width = box.seconds * scale
    if width < _NARROWEST:
        return
    said = (
        f"{box.name}: {format_count(box.calls)} calls, {format_seconds(box.seconds)}, "
        f"{format_share(box.seconds / whole)}"
    )
    yield f"<g><title>{html.escape(said)}</title>"
    yield (
        f'<rect x="{x:.2f}" y="{y:.0f}" width="{width:.2f}" height="{_ROW:.0f}" '
        f'fill="{_COLOURS[box.part]}"/>'
    )
    letters = int((width - 4) / _LETTER)
    if letters >= 3:
        text = box.name if len(box.name) <= letters else box.name[: letters - 1] + "…"
        yield f'<text x="{x + 2:.2f}" y="{y + _ROW - 5:.0f}">{html.escape(text)}</text>'
    yield "</g>"
    for inner in sorted(box.inner.values(), key=lambda one: -one.seconds):
        yield from _drawn(inner, x, y + _ROW, scale, whole)
        x += inner.seconds * scale
