"""The bootstrap makes one copy of rnnbench importable and nothing that lies beside it."""

from pathlib import Path

import rnnbench

PACKAGE = Path(rnnbench.__file__).resolve().parent


def test_this_copy_is_imported_and_its_neighbours_are_not(python_with):
    script = (
        "import sys\n"
        "import rnnbench.worker.bootstrap as bootstrap\n"
        "for name in [n for n in sys.modules if n.split('.')[0] == 'rnnbench']:\n"
        "    del sys.modules[name]\n"
        f"sys.path[:] = [p for p in sys.path if p != {str(PACKAGE.parent)!r}]\n"
        f"sys.path.insert(0, {str(PACKAGE / 'worker')!r})\n"
        "sys.path_importer_cache.clear()\n"
        "before = list(sys.path)\n"
        "bootstrap._import_this_copy()\n"
        "import rnnbench.cases\n"
        "print(rnnbench.cases.__file__)\n"
        "print(sys.path == before[1:])\n"
    )
    done = python_with(script)
    assert done.stdout.splitlines() == [str(PACKAGE / "cases.py"), "True"], done.stderr


def test_a_folder_that_holds_none_is_refused(python_with, tmp_path):
    script = (
        "import importlib.util\n"
        "import rnnbench.worker.bootstrap as bootstrap\n"
        "importlib.util.spec_from_file_location = lambda *_, **__: None\n"
        "try: bootstrap._import_this_copy()\n"
        "except ImportError as error: print(error)\n"
    )
    assert python_with(script).stdout == f"{PACKAGE} holds no rnnbench\n"
