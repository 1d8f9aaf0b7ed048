"""`pytest-benchmark compare` in a clone loads the tests' conftest, which must need no other one."""

from tests.conftest import REPOSITORY

ALONE = """
import importlib.util, sys

class NoTests:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "tests":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTests)
spec = importlib.util.spec_from_file_location("conftest", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["conftest"] = module  # its dataclasses look themselves up
spec.loader.exec_module(module)
print(module.REPOSITORY)
"""


def test_it_is_imported_where_only_rnnbench_is_installed(python_with):
    done = python_with(ALONE, str(REPOSITORY / "tests" / "conftest.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(REPOSITORY)


def test_interrupts_are_heeded_where_the_shell_had_them_ignored(python_with):
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    heeded = "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    code = f"{ignored}\n{ALONE}\n{heeded}"
    done = python_with(code, str(REPOSITORY / "tests" / "conftest.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True"
