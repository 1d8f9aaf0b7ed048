"""What Callgrind writes is read as it means it; without Valgrind nothing happens."""

import pytest

from rnnbench.cases import Case
from rnnbench.profiling.callgrind import Callgrind, read_counts, why_no_requests
from rnnbench.profiling.instructions import why_not_counted

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
