"""The worker's end of the pipe: one JSON line in, one JSON line out."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from rnnbench.worker.process import die_with_parent

__all__ = ["serve_forever"]


def _cpu_seconds() -> float:
    """CPU time of this process with all of its threads and of its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _bench_server() -> Any:
    # Imported here: importing torch takes seconds, and the pipe must be clean before that.
    from rnnbench.worker.server import Server

    return Server()


def serve_forever(make_server: Callable[[], Any] = _bench_server) -> None:
    """Answer requests until the pipe closes, by the server's ``handle``.

    Each reply carries what the process used while it waited for the request, so that a waiting
    worker that computes is found out.
    """
    die_with_parent()
    # Anything that a library prints must not land in the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    server = make_server()
    asleep_cpu, asleep_wall = _cpu_seconds(), time.perf_counter()
    for line in sys.stdin:
        cpu, wall = _cpu_seconds() - asleep_cpu, time.perf_counter() - asleep_wall
        request = json.loads(line)
        if request["op"] == "exit":
            break
        reply: dict[str, Any] = server.handle(request)
        reply["waited"] = {"cpu": cpu, "wall": wall}
        reply["cpu"] = _cpu_seconds()
        replies.write(json.dumps(reply) + "\n")
        # Taken before the reply leaves: from here on the turn belongs to somebody else.
        asleep_cpu, asleep_wall = _cpu_seconds(), time.perf_counter()
        replies.flush()
