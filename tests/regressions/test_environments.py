"""Environments are whole or not there; what is wrong with one is a sentence before any download."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnbench.errors import UserError
from rnnbench.regressions import _making
from rnnbench.regressions._cache import Cache, human_size
from rnnbench.regressions._requests import Request, parse_request
from rnnbench.regressions._uv import sentence
from rnnbench.regressions.environments import (
    COMMON,
    cached_environments,
    prepare_environments,
    remove_environments,
)
from tests.conftest import environment

UNCACHED = "DEBUG Identified uncached distribution: {}"
BOTH = "\n".join([UNCACHED.format("torch==2.8.0"), UNCACHED.format("numpy==1.26.4")])
DRY_RUN = f"{BOTH}\nWould download 2 packages"
NO_VERSION = (
    "error: No solution found when resolving dependencies\n  cause: Because there is no version of "
    "torch==2.8.9 and you require torch==2.8.9, we can conclude that your requirements are "
    "unsatisfiable."
)


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """A folder on the PATH with a uv that does what a test tells it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    source = Path(__file__).with_name("fake_uv.py").read_text()
    (folder / "fake_uv.py").write_text(source)
    program = folder / "uv"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/fake_uv.py" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    class Fake:
        path = folder

        def says(self, **what):
            (folder / "uv.json").write_text(json.dumps({"dry_run": DRY_RUN, **what}))

        def calls(self):
            file = folder / "calls.txt"
            return file.read_text().splitlines() if file.exists() else []

    fake = Fake()
    fake.says()
    return fake


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def prepare(cache, *texts):
    said = []
    return prepare_environments(texts, said.append, cache), said


def left_in(cache):
    return [path.name for path in cache.folder.glob("*") if path.name != ".lock"]


class TestAsking:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2.8.0", Request("torch-2.8.0", "torch==2.8.0")),
            ("torch==2.8.0", Request("torch-2.8.0", "torch==2.8.0")),
            ("old=2.8.0", Request("old", "torch==2.8.0")),
            ("old=torch==2.8.0", Request("old", "torch==2.8.0")),
            ("torch>=2.8,<2.9", Request("torch-2.9-2.8", "torch<2.9,>=2.8")),
            (
                "torch==2.16.0.dev20261101",
                Request("torch-2.16.0.dev20261101", "torch==2.16.0.dev20261101"),
            ),
            (sys.executable, Request(None, python=sys.executable)),
            (f"own={sys.executable}", Request("own", python=sys.executable)),
        ],
    )
    def test_a_version_a_requirement_or_a_python_maybe_with_a_name(self, text, expected):
        assert parse_request(text) == expected

    def test_the_folder_of_an_environment_stands_for_its_python(self, tmp_path):
        (tmp_path / "bin").mkdir()
        python = tmp_path / "bin" / "python"
        python.symlink_to(sys.executable)
        assert parse_request(str(tmp_path)) == Request(None, python=str(python))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1.13.1", "PyTorch 1.13.1 is too old: workers need 2.1 or newer"),
            ("torch==2.0.1", "PyTorch 2.0.1 is too old"),
            ("numpy==2.0", "is not a program that can be run; give a version (2.8.0)"),
            ("nothing", "is not a program that can be run"),
            ("torch", "give a version of torch alone, such as torch==2.8.0"),
            ("torch @ file:///x.whl", "is not a program that can be run"),
            ("x=", "is not a program that can be run"),
            ("x= ", "is empty"),
        ],
    )
    def test_anything_else_is_one_sentence(self, text, expected):
        with pytest.raises(UserError) as refused:
            parse_request(text)
        assert expected in str(refused.value)

    def test_two_of_one_name_are_refused_before_anything_is_done(self, cache, uv):
        with pytest.raises(UserError, match=r"called 'torch-2.8.0'; .* such as again=2.8.0"):
            prepare(cache, "2.8.0", "torch==2.8.0")
        assert uv.calls() == []


class TestMaking:
    def test_it_is_made_once_and_says_what_it_downloads(self, cache, uv):
        (made,), said = prepare(cache, "2.8.0")
        assert (made.name, made.torch) == ("torch-2.8.0", "2.8.0")
        assert said[0] == "torch==2.8.0: 2 packages to download, 200 MB"
        (found,) = cache.all()
        assert Path(made.python) == found.executable
        assert found.packages == {"torch": "2.8.0"}
        assert left_in(cache) == [found.folder.name], "nothing else is left"
        calls = len(uv.calls())
        again, said = prepare(cache, "same=torch==2.8.0")
        assert (again[0].python, said) == (made.python, [])
        assert len(uv.calls()) == calls

    def test_all_have_the_same_beside_torch(self, cache, uv):
        prepare(cache, "2.8.0", "2.9.0")
        installs = [call for call in uv.calls() if "compile" in call]
        assert len(installs) == 2
        assert all("-c pins.txt" in call for call in installs)
        assert any(pin.startswith("setuptools==") for pin in COMMON)

    def test_another_list_of_common_packages_is_another_environment(self, cache):
        one, other = (cache.place("torch==2.8.0", pins) for pins in (COMMON, COMMON[1:]))
        assert one != other

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ("Would install 2 packages", "nothing to download, uv has all of it in its cache"),
            (f"{UNCACHED.format('torch==2.8.0')}\nWould download 1 package",
             "1 package to download, 180 MB"),
            ("Would download 2 packages", "2 packages to download, at most 200 MB"),
        ],
    )  # fmt: skip
    def test_the_size_is_what_uv_knows(self, cache, uv, answer, expected):
        uv.says(dry_run=answer)
        assert prepare(cache, "2.8.0")[1][0] == f"torch==2.8.0: {expected}"

    def test_a_size_that_no_index_tells_is_not_invented(self, cache, uv):
        uv.says(size='"?"')
        said = prepare(cache, "2.8.0")[1][0]
        assert "the index does not tell their size" in said

    def test_a_version_that_there_is_none_of_names_the_nearest(self, cache, uv):
        near = {"torch<": "torch==2.8.0", "torch>": "torch==2.9.0"}
        uv.says(compile=NO_VERSION, neighbours=near)
        with pytest.raises(UserError) as refused:
            prepare(cache, "2.8.9")
        assert str(refused.value) == (
            "there is no torch==2.8.9 known to uv; the nearest are 2.8.0 and 2.9.0"
        )
        assert left_in(cache) == []

    def test_a_yanked_version_is_refused_with_its_reason(self, cache, uv):
        uv.says(warning='warning: `torch==2.8.0` is yanked (reason: "wrong results")')
        with pytest.raises(UserError, match=r"was yanked, .* \(wrong results\); give another"):
            prepare(cache, "2.8.0")
        assert left_in(cache) == []

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (
                "error: Failed to install: torch.whl\n  Caused by: failed to write\n"
                "  Caused by: No space left on device (os error 28)",
                "the disk became full while uv installed torch==2.8.0; nothing of it was kept",
            ),
            (
                "error: Failed to fetch\n  Caused by: connection reset",
                "uv could not install torch==2.8.0: connection reset; nothing of it was kept",
            ),
        ],
    )
    def test_an_installation_that_fails_leaves_nothing(self, cache, uv, said, expected):
        uv.says(install=said)
        with pytest.raises(UserError) as refused:
            prepare(cache, "2.8.0")
        assert expected in str(refused.value)
        assert left_in(cache) == []

    def test_more_than_the_disk_holds_is_not_begun(self, cache, uv, monkeypatch):
        monkeypatch.setattr(
            _making.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**8})
        )
        with pytest.raises(UserError, match="has 100 MB free, and 200 MB are to be downloaded"):
            prepare(cache, "2.8.0")
        assert not any(" install " in f" {call} " and "dry" not in call for call in uv.calls())

    def test_without_uv_one_sentence_says_how_to_get_it(self, cache, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match="install it with `pip install uv`"):
            prepare(cache, "2.8.0")

    def test_what_a_killed_one_left_is_never_used_and_removed(self, cache, uv):
        place = cache.place("torch==2.8.0", COMMON)
        half = cache.folder / ".unfinished-abc" / place.name
        half.mkdir(parents=True)
        place.mkdir()  # without a marker: not whole
        (made,), _ = prepare(cache, "2.8.0")
        assert Path(made.python).exists()
        assert left_in(cache) == [place.name]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_an_end_in_the_middle_leaves_no_environment_and_no_process(self, cache, uv, number):
        uv.says(hang=True)
        script = (
            "import sys; from pathlib import Path\n"
            "from rnnbench.regressions._cache import Cache\n"
            "from rnnbench.regressions.environments import prepare_environments\n"
            "prepare_environments(['2.8.0'], print, Cache(Path(sys.argv[1])))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(cache.folder)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        hanging = uv.path / "hanging"
        deadline = time.monotonic() + 60
        while not (hanging.exists() and hanging.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        child = int(hanging.read_text())
        process.send_signal(number)
        process.communicate(timeout=60)
        while Path(f"/proc/{child}/cmdline").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert cache.all() == []
        if number != signal.SIGKILL:
            assert left_in(cache) == []
        uv.says()
        assert len(prepare(cache, "2.8.0")[0]) == 1
        assert len(left_in(cache)) == 1


class TestOwnPythons:
    def python(self, tmp_path, answer):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
        program.chmod(0o755)
        return str(program)

    def test_it_is_used_as_it_is_and_called_after_its_torch(self, tmp_path, cache):
        answer = {"python": "3.12.1", "torch": "2.9.0a0+git1", "why": None}
        python = self.python(tmp_path, answer)
        ((found,), said) = prepare(cache, python)
        assert (found.name, found.python, found.torch) == (
            "torch-2.9.0a0+git1", python, "2.9.0a0+git1"
        )  # fmt: skip
        assert said == []

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"python": "3.11.7", "torch": None, "why": "ModuleNotFoundError: No module"},
             "has no torch that can be imported (ModuleNotFoundError: No module)"),
            ({"python": "3.11.7", "torch": "2.0.1+cpu", "why": None},
             "has PyTorch 2.0.1+cpu; workers need 2.1 or newer"),
            ({"python": "3.9.2", "torch": "2.8.0", "why": None},
             "is Python 3.9.2; workers need 3.10 or newer"),
            ("?", "does not start"),
        ],
    )  # fmt: skip
    def test_one_that_cannot_be_measured_is_refused(self, tmp_path, cache, answer, expected):
        with pytest.raises(UserError) as refused:
            prepare(cache, self.python(tmp_path, answer))
        assert expected in str(refused.value)


class TestKeeping:
    def test_one_that_breaks_is_told_of_and_made_anew_after_it_was_removed(self, cache, uv):
        (made,), _ = prepare(cache, "2.8.0")
        Path(made.python).unlink()
        with pytest.raises(UserError) as refused:
            prepare(cache, "2.8.0")
        assert "is broken: it does not start: No such file or directory" in str(refused.value)
        assert "`rnnbench versions --clean torch==2.8.0` removes it" in str(refused.value)
        ((_, why),) = cached_environments(cache)
        assert why is not None
        remove_environments(["torch==2.8.0"], cache)
        assert Path(prepare(cache, "2.8.0")[0][0].python).exists()
        ((_, why),) = cached_environments(cache)
        assert why is None

    @pytest.mark.parametrize("text", ["2.8.0", "torch==2.8.0", "old=2.8.0"])
    def test_the_named_one_is_removed_and_the_others_stay(self, cache, uv, text):
        prepare(cache, "2.8.0", "2.9.0")
        (removed,) = remove_environments([text], cache)
        assert removed.requirement == "torch==2.8.0"
        assert [found.requirement for found in cache.all()] == ["torch==2.9.0"]
        assert len(left_in(cache)) == 1

    def test_without_a_name_all_are_removed(self, cache, uv):
        prepare(cache, "2.8.0", "2.9.0")
        assert len(remove_environments([], cache)) == 2
        assert left_in(cache) == []

    def test_one_that_there_is_none_of_lists_what_there_is(self, cache, uv):
        prepare(cache, "2.8.0")
        with pytest.raises(UserError, match=r"'2.7.0': .* is called so; known: torch==2.8.0"):
            remove_environments(["2.7.0"], cache)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("error: A\n  cause: B\n  cause: C is\n  long.\n\nhint: D", "C is long"),
        ("  × No solution found:\n  ╰─▶ Because x", "Because x"),
        ("error: only this", "only this"),
        ("no form at all", "no form at all"),
        ("", ""),
    ],
)
def test_an_error_of_uv_is_its_last_cause(said, expected):
    assert sentence(said) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(12, "12 B"), (999_600, "1 MB"), (3.94e9, "3.9 GB"), (5e12, "5000.0 GB")]
)
def test_sizes_are_said_in_decimal_units(size, expected):
    assert human_size(size) == expected


@pytest.mark.slow
@pytest.mark.network
def test_a_real_uv_knows_a_version_its_size_and_its_neighbours(tmp_path):
    """Resolves and never installs: gigabytes are too much for a test."""
    if shutil.which("uv") is None:
        pytest.skip("there is no uv on the PATH")
    uv = _making.find_uv()
    near = uv.neighbours("2.8.99", tmp_path)
    if not near:
        pytest.skip("no package registry answers")
    assert near == ["2.8.0", "2.9.0"]
    found = uv.resolve("torch==2.8.0", COMMON, tmp_path)
    assert (found.torch, found.yanked) == ("2.8.0", None)
    assert found.size is None or found.size > 50_000_000
