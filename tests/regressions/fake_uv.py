"""A stand-in for uv, for what a real one does only when a disk is full or a registry is away.

What it answers stands in `uv.json` beside it; each call is appended to `calls.txt`.
"""

import json
import os
import sys
import time
from pathlib import Path

here = Path(__file__).parent
says = json.loads((here / "uv.json").read_text())
given = sys.argv[1:]
with (here / "calls.txt").open("a") as calls:
    calls.write(" ".join(given) + "\n")

LOCK = """
[[packages]]
name = "torch"
version = "{torch}"
wheels = [{{ url = "torch.whl", size = {size} }}]

[[packages]]
name = "numpy"
version = "1.26.4"
wheels = [{{ url = "numpy.whl", size = 20000000 }}]
"""

PYTHON = """#!/bin/sh
echo '{{"python": "3.11.7", "torch": "{torch}", "why": null}}'
"""


def fail(what):
    sys.stderr.write(says[what] + "\n")
    sys.exit(1)


if "--version" in given:
    sys.stdout.write("uv 0.0.0\n")
elif "compile" in given:
    wanted = Path(given[-1]).read_text().splitlines()[0]
    if wanted[:6] in says.get("neighbours", {}):
        sys.stdout.write(says["neighbours"][wanted[:6]] + "\n")
    elif "compile" in says:
        fail("compile")
    else:
        sys.stderr.write(says.get("warning", "") + "\n")
        lock = LOCK.format(torch=wanted.partition("==")[2], size=says.get("size", 180_000_000))
        Path(given[given.index("-o") + 1]).write_text(lock)
elif "venv" in given:
    folder = Path(given[-1]) / "bin"
    folder.mkdir(parents=True)
elif "--dry-run" in given:
    sys.stderr.write(says["dry_run"] + "\n")
elif "install" in given:
    python = Path(given[given.index("--python") + 1])
    (python.parent / "half").write_text("half")
    if "hang" in says:
        (here / "hanging").write_text(str(os.getpid()))
        time.sleep(60)
    if "install" in says:
        fail("install")
    lock = Path(given[-1]).read_text()
    torch = lock.partition('version = "')[2].partition('"')[0]
    python.write_text(PYTHON.format(torch=torch))
    python.chmod(0o755)
elif "list" in given:
    sys.stdout.write(json.dumps([{"name": "torch", "version": "2.8.0"}]) + "\n")
elif "cache" in given:
    sys.stdout.write(f"{here}\n")
