"""Speaks to Callgrind from inside of the program that it runs, and reads what it writes.

Valgrind runs a program on a processor of its own, and takes a sequence of instructions that does
nothing on a real one for a request. PyTorch has such requests among its own bindings, but not the
one that this needs most: to begin to count late. A start that is counted takes minutes, and one
that is not some tens of seconds. So the instructions are written here, as valgrind.h has them.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Callgrind", "read_counts", "why_no_requests"]

# mov rax, rdi; xor edx, edx; rol rdi, 3; rol rdi, 13; rol rdi, 61; rol rdi, 51; xchg rbx, rbx;
# mov rax, rdx; ret: the function of the request's six words that returns the answer, 0 without
# Valgrind.
_CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")

_RUNNING = 0x1001
_TOOL = ord("C") << 24 | ord("T") << 16
_ZERO, _TOGGLE, _DUMP_AT, _START, _STOP = _TOOL + 1, _TOOL + 2, _TOOL + 3, _TOOL + 4, _TOOL + 5

_COSTS = tuple("+-*0123456789")  # how lines begin that say what something cost


def why_no_requests() -> str | None:
    """Why a program cannot speak to Valgrind here, or None."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return (
            f"instructions are counted on Linux with an x86-64 processor, and this is "
            f"{sys.platform} on {platform.machine()}"
        )
    return None


class Callgrind:
    """The Callgrind that runs this program; ``out`` is what it was told to write to."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._dumped = 0
        self._page = mmap.mmap(
            -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        )
        self._page.write(_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)
        self._toggle_words = self._words(_TOGGLE)

    @staticmethod
    def _words(request: int, argument: int = 0) -> ctypes.Array[ctypes.c_long]:
        return (ctypes.c_long * 6)(request, argument)

    def _request(self, request: int, argument: int = 0) -> int:
        words = self._words(request, argument)
        return int(self._call(ctypes.addressof(words)))

    @property
    def running(self) -> bool:
        """Whether there is a Valgrind at all."""
        return self._request(_RUNNING) > 0

    def start(self) -> None:
        """Begin to watch: from here on the program is much slower."""
        self._request(_START)

    def stop(self) -> None:
        """No longer watch."""
        self._request(_STOP)

    def zero(self) -> None:
        """Forget what was counted."""
        self._request(_ZERO)

    def toggle(self) -> None:
        """Begin to count, or pause."""
        self._call(self._toggle_words)

    def dump(self) -> Path:
        """Have Callgrind write what was counted; returns the file."""
        name = ctypes.create_string_buffer(b"rnnbench")
        self._request(_DUMP_AT, ctypes.addressof(name))
        self._dumped += 1
        return self._out.with_name(f"{self._out.name}.{self._dumped}")


def read_counts(lines: Iterable[str]) -> Counter[str]:
    """Instructions of each function without what it calls, from a file that Callgrind wrote.

    A function goes by its name and, in brackets, the file of its code. Names are written in full
    where they first stand, and by a number afterwards.
    """
    counts: Counter[str] = Counter()
    names: dict[tuple[str, str], str] = {}
    code = function = ""
    called = False

    def name(kind: str, text: str) -> str:
        number, bracket, full = text.partition(")")
        if not bracket or not number.startswith("("):
            return text
        if full.strip():
            names[kind, number] = full.strip()
        return names.get((kind, number), "?")

    for line in lines:
        if function and line.startswith(_COSTS):
            # What follows `calls=` is the cost of what was called, which has its own lines.
            if not called:
                counts[f"{function} [{code}]"] += int(line.split()[1])
            called = False
            continue
        key, equals, value = line.rstrip("\n").partition("=")
        if not equals:
            continue
        if key == "ob":
            code = Path(name("ob", value)).name
        elif key == "cob":
            name("ob", value)
        elif key == "fn":
            function = name("fn", value)
        elif key == "cfn":
            name("fn", value)
        elif key == "calls":
            called = True
    return counts
