"""Start a worker in any Python that has a torch: rnnbench need not be installed there.

Run as a script. It makes this copy of rnnbench importable without putting its neighbours, which may
be another environment's site-packages, on ``sys.path``, and hands over to the server.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def _import_this_copy() -> None:
    package = Path(__file__).resolve().parent.parent
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    spec = importlib.util.spec_from_file_location(
        "rnnbench", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{package} holds no rnnbench")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rnnbench"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _import_this_copy()
    # The module that serves: that of the bench unless another is named.
    importlib.import_module((sys.argv[1:] or ["rnnbench.worker.pipe"])[0]).serve_forever()
