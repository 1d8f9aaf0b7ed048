"""The marked parts of a page: what stands between ``<!-- mark -->`` and ``<!-- /mark -->``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

__all__ = ["RESULTS", "ROOT", "fenced", "fill", "fill_all", "said", "wrapped"]

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"


def fill(text: str, mark: str, content: str, page: str = "README.md") -> str:
    """Put content between a mark and its end.

    Raises:
        SystemExit: they are not there.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, there, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (there and ended):
        raise SystemExit(f"{page}: {begin} … {end} is not there; put both where {mark} belongs")
    return f"{before}{begin}\n{content}\n{end}{after}"


def fill_all(text: str, parts: Mapping[str, str], page: str = "README.md") -> str:
    """The same for several marks."""
    for mark, content in parts.items():
        text = fill(text, mark, content, page)
    return text


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph at the width of a page."""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False)


def said(path: str) -> str:
    """What a kept file says; its path is from the folder of results on."""
    return (RESULTS / path).read_text(encoding="utf-8").strip()


def fenced(text: str) -> str:
    """What a program printed."""
    return f"```text\n{text.strip()}\n```"
