"""A progress bar with the time left: rich where it is installed, plain text where it is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

__all__ = ["Progress", "make_progress", "time_left"]


class Progress(Protocol):
    """Shows how far a run is."""

    def start(self) -> None:
        """Begin to show, on a line of its own."""

    def update(self, done: float, total: int, what: str) -> None:
        """``done`` of ``total`` are measured, a fraction of the current ones included."""

    def stop(self) -> None:
        """Leave the terminal as it was."""


def time_left(elapsed: float, done: float, total: int) -> str:
    """How long the rest takes if it goes on as it has, in words; empty before that can be told."""
    if done <= 0 or elapsed < 2:
        return ""
    left = elapsed / done * (total - done)
    if left < 90:
        return f"about {max(1, round(left))} s left"
    if left < 5400:
        return f"about {round(left / 60)} min left"
    return f"about {left / 3600:.1f} h left"


class Silent:
    """For output that is no terminal."""

    def start(self) -> None:
        pass

    def update(self, done: float, total: int, what: str) -> None:
        pass

    def stop(self) -> None:
        pass


class Throttled:
    """What both kinds of bar share: they are drawn a few times a second, with the time left."""

    _PERIOD = 0.2

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._begin = clock()
        self._shown = -1.0

    def start(self) -> None:
        self._stream.write("\n")

    def update(self, done: float, total: int, what: str) -> None:
        now = self._clock()
        if now - self._shown < self._PERIOD:
            return
        self._shown = now
        self._draw(done, total, what, time_left(now - self._begin, done, total))

    def _draw(self, done: float, total: int, what: str, left: str) -> None:
        raise NotImplementedError


class Plain(Throttled):
    """One line, written over and over."""

    noun = "cases"

    def _draw(self, done: float, total: int, what: str, left: str) -> None:
        self._stream.write(f"\r\x1b[2K{done:.0f}/{total} {self.noun}  {left}  {what}"[:120])
        self._stream.flush()

    def stop(self) -> None:
        self._stream.write("\r\x1b[2K")
        self._stream.flush()


class Rich(Throttled):
    """A bar drawn by rich; not drawn by a thread, which would compute in somebody's turn."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__(stream, clock)
        self._bar = Bar(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
            console=Console(file=stream, force_terminal=True),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1, left="")

    def start(self) -> None:
        super().start()
        self._bar.start()

    def _draw(self, done: float, total: int, what: str, left: str) -> None:
        self._bar.update(self._task, completed=int(done), total=total, description=what, left=left)
        self._bar.refresh()

    def stop(self) -> None:
        self._bar.stop()


def make_progress(stream: TextIO | None = None, *, noun: str = "cases") -> Progress:
    """The best progress that the output allows; nothing when it is no terminal."""
    stream = stream if stream is not None else sys.stdout
    if not stream.isatty():
        return Silent()
    try:
        return Rich(stream)
    except ImportError:
        plain = Plain(stream)
        plain.noun = noun
        return plain
