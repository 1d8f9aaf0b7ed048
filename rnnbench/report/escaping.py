"""Strings of result files made harmless: for people, for spreadsheets and for Markdown."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["LONGEST", "clean", "clean_csv", "escape_markdown"]

LONGEST = 200
"""Characters of a text that tables show; the rest becomes an ellipsis."""

_REMEMBERED = 200  # characters

_SPACES = "Zs", "Zl", "Zp"
_HIDDEN = "Cc", "Cf", "Cs", "Co", "Cn"
"""Control, format (those for right-to-left among them), surrogate, private and unassigned."""

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")
"""What a spreadsheet takes for the start of a formula, and the sign that says it is none."""


def clean(text: str, longest: int | None = LONGEST) -> str:
    r"""One line of visible characters, at most ``longest`` of them; None stands for no end.

    Any white space becomes one space. Characters that cannot be seen or that turn the direction of
    writing become escapes such as ``\u202e``, so that nothing is hidden and nothing misleads.
    """
    # A report says the same few names in all of its rows. Long texts are not worth the memory.
    return (_cleaned if len(text) <= _REMEMBERED else _cleaned.__wrapped__)(text, longest)


@lru_cache(maxsize=1 << 14)
def _cleaned(text: str, longest: int | None) -> str:
    if longest is not None and len(text) > longest:
        # What lies far behind the cut is never looked at. White space may still shrink the rest.
        text = text[: 4 * longest]
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_visible, text))
    text = " ".join(text.split())
    if longest is not None and len(text) > longest:
        text = text[: longest - 1].rstrip() + "…"
    return text


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES or character in "\t\n\r\v\f":
        return " "
    if category not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def escape_markdown(text: str, longest: int | None = LONGEST) -> str:
    """A cleaned text for GitHub-flavoured Markdown that reads the same and does nothing.

    Signs of the markup become entities, which never act as markup. Where GitHub makes links,
    mentions or pictures of plain words (``@name``, ``#1``, ``https://``, ``:tada:``), a space of no
    width parts them.
    """
    return _SIGNS.sub(_entity, clean(text, longest))


_ZERO_WIDTH = "&#8203;"
_SIGNS = re.compile(
    r"(?P<kept>\[-?[\d.,]+(?:, -?[\d.,]+)\](?![\[(:]))"  # an interval, unless it could be a link
    r"|(?P<parted>@|\#|GH-(?=\d)|(?<=\w):(?=//)|:(?=[\w+-]+:)|(?<![\w.])www(?=\.))"
    r"|(?P<dollar>\$)"
    r"|(?P<inner>(?<=[^\W_])_(?=[^\W_]))"
    r"|(?P<sign>[\\`*_{}\[\]<>&|~])",
    re.IGNORECASE,
)


def _entity(match: re.Match[str]) -> str:
    found = match.group()
    match match.lastgroup:
        case "parted":
            return found + _ZERO_WIDTH
        case "dollar":  # GitHub's own advice for a dollar sign that begins no formula
            return "<span>$</span>"
        case "sign":
            return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(found, f"&#{ord(found)};")
        case _:
            return found


def clean_csv(text: str) -> str:
    """A text that no spreadsheet takes for a formula, at its full length."""
    text = clean(text, None)
    return "'" + text if text.startswith(_FORMULA) else text
