"""JSON that is written piece by piece, for documents that are larger than the memory should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Streamed", "json_pieces"]


@dataclass(frozen=True)
class Streamed:
    """Stands for a list in a document; each text of it is one or more items in JSON already.

    A function, because a document may be written more than once, and a generator runs once.
    """

    texts: Callable[[], Iterator[str]]


def json_pieces(value: Any) -> Iterator[str]:
    """The JSON of a document with streamed lists in it, as `json.dumps` would write it."""
    if isinstance(value, Streamed):
        yield "["
        comma = ""
        for text in value.texts():
            if text:
                yield comma
                yield text
                comma = ", "
        yield "]"
    elif isinstance(value, dict) and _holds_a_stream(value):
        comma = "{"
        for key, item in value.items():
            yield f"{comma}{json.dumps(key)}: "
            yield from json_pieces(item)
            comma = ", "
        yield "}"
    else:
        yield json.dumps(value, allow_nan=False)


def _holds_a_stream(value: Any) -> bool:
    """Only objects are looked into: a streamed list stands in no other list."""
    if isinstance(value, dict):
        return any(map(_holds_a_stream, value.values()))
    return isinstance(value, Streamed)
