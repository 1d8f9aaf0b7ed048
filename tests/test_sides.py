"""Each side imports what it may: the coordinator no torch, a worker nothing but torch."""

import json
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest
from packaging.requirements import Requirement

from rnnbench.validation import validate
from tests.conftest import finished

COORDINATOR = """
import importlib.abc
import sys

class Refuse(importlib.abc.MetaPathFinder):
    names = {names!r}

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"refused: {{name}}", name=name)
        return None

sys.meta_path.insert(0, Refuse())

def pytest_unconfigure(config):
    there = sorted({{"torch", *Refuse.names}} & set(sys.modules))
    open({note!r}, "w").write(repr(there))
"""

WORKER = """
import sys

if any(part.endswith("bootstrap.py") for part in sys.orig_argv):
    from importlib.machinery import PathFinder

    class NothingElse:
        names = frozenset({names!r})

        def find_spec(self, name, path=None, target=None):
            # None, as for what is not installed: torch asks for some with importlib.util.find_spec.
            if name.partition(".")[0] in self.names:
                return None
            return PathFinder.find_spec(name, path, target)

    sys.meta_path[:] = [NothingElse() if f is PathFinder else f for f in sys.meta_path]
    import atexit, json, os
    atexit.register(
        lambda: open({note!r} + str(os.getpid()), "w").write(
            json.dumps(sorted(n for n in sys.modules if "." not in n))
        )
    )
"""

REPORTING = ["pandas", "matplotlib", "scipy", "jinja2", "rich", "typer"]


@pytest.fixture
def hook(tmp_path):
    def write(name, text, **fields):
        folder = tmp_path / "hook"
        folder.mkdir(exist_ok=True)
        note = tmp_path / "note"
        (folder / f"{name}.py").write_text(text.format(note=str(note), **fields))
        return {"PYTHONPATH": str(folder)}, note

    return write


class TestCoordinator:
    def test_it_measures_without_torch_or_what_only_reporting_needs(self, suite, hook):
        variables, note = hook("only_measuring", COORDINATOR, names=["torch", *REPORTING])
        done = suite("-p", "only_measuring", variables=variables)
        assert done.status == 0, done.said
        assert note.read_text() == "[]"
        assert done.measured() == ["nn_rnn", "python_loop"]
        assert validate(done.json) == []

    def test_the_watch_sees_a_torch_where_there_is_one(self, nested, hook, tmp_path):
        variables, note = hook("only_measuring", COORDINATOR, names=REPORTING)
        (tmp_path / "test_imports.py").write_text("import torch\n\ndef test_it(): pass\n")
        done = nested("-p", "only_measuring", "test_imports.py", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert note.read_text() == "['torch']"

    def test_collecting_needs_no_torch_either(self, suite, hook):
        variables, note = hook("only_measuring", COORDINATOR, names=["torch", *REPORTING])
        done = suite("-p", "only_measuring", "--collect-only", json=None, variables=variables)
        assert done.status == 0, done.said
        assert note.read_text() == "[]"


def needed_by(name: str, seen: set[str]) -> set[str]:
    """A distribution and what it requires here, all the way down."""
    name = name.lower().replace("_", "-")
    if name in seen:
        return seen
    try:
        requirements = distribution(name).requires or []
    except PackageNotFoundError:
        return seen
    seen.add(name)
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed_by(requirement.name, seen)
    return seen


def not_torchs() -> list[str]:
    """Modules that are installed here and that torch does not need."""
    torchs = needed_by("torch", set())
    assert "torch" in torchs
    # coverage counts the lines that run in workers; rnnbench may be installed.
    allowed = torchs | {"coverage", "rnnbench"}
    names = sorted(
        module
        for module, owners in packages_distributions().items()
        if not {owner.lower().replace("_", "-") for owner in owners} & allowed
        and module.isidentifier()
        and module not in sys.stdlib_module_names
    )
    assert {"numpy", "pytest", "pytest_benchmark"} <= set(names)
    return names


def loaded_by_workers(note) -> list[set[str]]:
    """The modules that each worker behind the hook had when it ended."""
    notes = note.parent.glob(f"{note.name}[0-9]*")
    return [set(json.loads(path.read_text())) for path in notes]


def test_a_worker_runs_with_nothing_but_torch(suite, hook):
    names = not_torchs()
    variables, note = hook("sitecustomize", WORKER, names=names)
    done = suite(
        "--rnn-pass=inference,training_step",
        variables=variables,
        implementation="nn_rnn,python_loop,torchscript_loop",
        replicates="2",
    )
    assert done.status == 0, done.said
    assert len(done.results()) == 6
    assert validate(done.json) == []
    loaded = loaded_by_workers(note)
    assert len(loaded) == 2, "both workers ran behind the hook"
    for modules in loaded:
        assert "torch" in modules
        assert not set(names) & modules


@pytest.mark.parametrize("data", ["prepared", "per_sample"])
def test_the_classifier_trains_with_nothing_but_torch(hook, tmp_path, data):
    names = not_torchs()
    variables, note = hook("sitecustomize", WORKER, names=names)
    command = [sys.executable, "-m", "rnnbench", "classifier", "--no-lock", "--device=cpu"]
    command += ["--samples=64", "--epochs=1", f"--data={data}", "--json=a.json"]
    done = finished(command, tmp_path, variables)
    assert done.returncode == 0, done.stderr
    (modules,) = loaded_by_workers(note)
    assert "torch" in modules
    assert not set(names) & modules
