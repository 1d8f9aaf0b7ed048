"""What Callgrind writes is read as it means it; without Valgrind nothing happens."""

import contextlib

import pytest

from rnnbench.cases import Case
from rnnbench.profiling.callgrind import Callgrind, read_counts, why_no_requests
from rnnbench.profiling.instructions import count, searches_for_room, why_not_counted

FILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 4242
cmd:  python bootstrap.py
part: 1

desc: I1 cache:
desc: Trigger: Client Request: rnnbench

positions: line
events: Ir
summary: 1000

ob=(1) /usr/lib/libtorch_cpu.so
fl=(1) ???
fn=(1) at::native::tanh(at::Tensor const&)
0 100
cob=(2) /usr/lib/libc.so.6
cfi=(2) malloc.c
cfn=(2) malloc
calls=3 0
0 300
cfn=(3) at::add
calls=1 0
+0 50

fn=(3)
0 250

ob=(2)
fl=(2)
fn=(2)
0 200
+3 50

ob=(1)
fl=(1)
fn=(1)
* 7
totals: 1000
"""


class TestReading:
    def test_costs_of_functions_without_what_they_call(self):
        assert read_counts(FILE.splitlines()) == {
            "at::native::tanh(at::Tensor const&) [libtorch_cpu.so]": 107,
            "at::add [libtorch_cpu.so]": 250,
            "malloc [libc.so.6]": 250,
        }

    def test_names_may_be_written_in_full(self):
        lines = ["ob=/lib/libm.so", "fn=exp", "0 5"]
        assert read_counts(lines) == {"exp [libm.so]": 5}

    def test_an_empty_file_counts_nothing(self):
        assert read_counts([]) == {}


@pytest.mark.skipif(why_no_requests() is not None, reason=str(why_no_requests()))
def test_requests_do_nothing_without_valgrind(tmp_path):
    callgrind = Callgrind(tmp_path / "counts")
    assert not callgrind.running
    callgrind.start()
    callgrind.zero()
    callgrind.toggle()
    callgrind.toggle()
    assert callgrind.dump() == tmp_path / "counts.1"
    assert callgrind.dump() == tmp_path / "counts.2"
    callgrind.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "compiler", "reason"),
    [
        ({}, "", None),
        ({}, "torchscript", None),
        ({"device": "cuda"}, "", "on a CPU"),
        ({"threads": 2}, "", "with one thread, and the case has 2"),
        ({}, "inductor", "instructions that Valgrind's does not have"),
    ],
)
def test_what_cannot_be_counted_says_why(columns, compiler, reason):
    found = why_not_counted(Case(**columns), compiler)
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize(
    ("function", "searches"),
    [
        ("_int_malloc [libc.so.6]", True),
        ("_int_free'2 [libc-2.31.so]", True),
        ("unlink_chunk.constprop.0 [libc.so.6]", True),
        ("malloc_consolidate [libc.so.6]", True),
        ("malloc [libc.so.6]", False),
        ("free [libc.so.6]", False),
        ("_int_malloc [libjemalloc.so.2]", False),
        ("my_int_free_list [plugin.so]", False),
    ],
)
def test_only_the_search_for_room_is_left_out(function, searches):
    assert searches_for_room(function) == searches


class Recorded:
    """A Callgrind that writes what it was given, one file for each time that it counts."""

    def __init__(self, folder, files):
        self.folder, self.files = folder, iter(files)

    def start(self):
        pass

    stop = zero = toggle = start

    def dump(self):
        file = self.folder / "counts"
        file.write_text(next(self.files))
        return file


class Nothing:
    context = contextlib.nullcontext

    def prepare(self):
        return None

    def run(self, prepared):
        return None


def test_a_count_is_without_the_search_and_without_what_counting_takes(tmp_path):
    def file(tanh, search):
        return f"ob=libc.so.6\nfn=_int_free\n0 {search}\nob=a.so\nfn=tanh\n0 {tanh}\nfn=few\n0 9\n"

    files = [file(10, 0), file(10, 1), *(file(10 + n, 1 + s) for n, s in FOUND)]
    found = count(Recorded(tmp_path, files), Nothing(), repeats=3)
    assert found["counts"] == [n for n, _ in FOUND]
    assert found["allocator"] == 500
    assert found["functions"] == [{"name": "tanh [a.so]", "instructions": 20_000}]
    assert not list(tmp_path.iterdir())


FOUND = [(30_000, 100), (20_000, 500), (10_000, 9_000)]
