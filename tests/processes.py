"""Which processes there are, as Linux tells it in /proc."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def stat(pid: int) -> tuple[str, int]:
    """The state of a process and its parent's number.

    Raises:
        OSError: it is gone.
    """
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1])


def parent(pid: int) -> int:
    """Its parent's number, 0 of one that is gone."""
    try:
        return stat(pid)[1]
    except OSError:
        return 0


def is_there(pid: int) -> bool:
    """Whether it runs, and does not merely wait for its parent to ask after it."""
    try:
        return stat(pid)[0] != "Z"
    except OSError:
        return False


def numbers() -> list[int]:
    """Of all processes."""
    return [int(folder.name) for folder in PROC.glob("[0-9]*")]


def workers() -> dict[int, str]:
    """Processes that run a worker's bootstrap now, with their command line."""
    found = {}
    for pid in numbers():
        try:
            command = (PROC / str(pid) / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if is_there(pid) and any(part.endswith("worker/bootstrap.py") for part in command):
            found[pid] = " ".join(command)
    return found


def descendants(pid: int) -> set[int]:
    """Its children, theirs, and so on."""
    parents = {number: parent(number) for number in numbers()}
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, of in parents.items() if of in new} - found
        found |= new
    return found
