"""`rnnbench machine` as a user runs it, and results that are held against limits."""

import dataclasses
from pathlib import Path

import pytest

from rnnbench.bounds import Bound
from rnnbench.cases import Case
from rnnbench.cli import main
from rnnbench.diagnosis.machine import Limits, Share, defects, kept_limits, read_limits, shapes_of
from rnnbench.errors import UserError
from rnnbench.regressions.machines import machine_key
from tests.synthetic import Planted, document, environment, write

MEASURED = Case(pass_="forward")
LIMITS = Limits(
    machine_key(environment()),
    "Synthetic CPU",
    "2.13.0+cpu",
    [
        {
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "flops_per_second": 1e11,
            "bytes_per_second": 1e12,
            "products": [],
            "bandwidth": [{"bytes": 1024, "bytes_per_second": 1e12}],
            "call_from_python": 1e-6,
            "call_from_cpp": 5e-7,
        }
    ],
)

TINY = (
    "--no-lock",
    "--implementation=nn_rnn",
    "--pass=forward",
    "--seq-len=3",
    "--hidden=8",
    "--input=4",
    "--batch=2",
    "--layout=time_major",
    "--threads=1",
)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["machine", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_shapes_are_those_of_cases_on_a_cpu():
    case = Case(seq_len=3, batch=2, input_size=4, hidden_size=8)
    others = [
        Case(device="cuda"),
        Case(dtype="autocast_bfloat16"),
        Case(workload="many_to_one"),
    ]
    assert shapes_of([case, *others]) == {("float32", 1): [(2, 8, 8), (6, 4, 8)]}


class TestCommand:
    def test_limits_are_measured_kept_and_read_again(self, run):
        status, out, err = run(*TINY)
        assert (status, err) == (0, "")
        assert "Limits of this machine" in out and "FLOP/s" in out
        (kept,) = Path("data").rglob("*.json")
        limits = read_limits(kept)
        assert kept.name == f"{limits.key}.json" == kept_limits(limits.key).name
        (entry,) = limits.entries
        # The grid has layers upon layers, whose inputs are as wide as a state.
        assert [e["shape"] for e in entry["products"]] == [[2, 8, 8], [6, 4, 8], [6, 8, 8]]
        status, again, _ = run(f"--limits={kept}")
        assert status == 0 and again in out

    def test_results_are_held_against_the_limits_of_their_machine(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        Path("l.json").write_bytes(LIMITS.document())
        status, out, err = run("--limits=l.json", "--format=csv", str(result))
        assert (status, err) == (0, "")
        (_, shares) = out.split("\n\n")[:2]
        row = dict(zip(*(line.split(",") for line in shares.split("\n")[:2])))
        flops = 2 * 20 * 32 * 128 * (64 + 128)
        assert float(row["limit"]) == pytest.approx(flops / 1e11)
        assert row["bound_by"] == "products"
        assert float(row["share"]) == pytest.approx(flops / 1e11 / float(row["seconds"]))

    def test_a_result_of_another_machine_is_refused(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        Path("l.json").write_bytes(dataclasses.replace(LIMITS, key="another").document())
        status, _, err = run("--limits=l.json", str(result))
        assert status == 2
        assert "r.json: was measured on another machine than the limits" in err
        assert err.count("\n") == 1

    def test_results_without_any_limit_are_told(self, run):
        result = write(Path("r.json"), document([Planted(MEASURED, 2e-3)]))
        Path("l.json").write_bytes(dataclasses.replace(LIMITS, entries=[]).document())
        status, _, err = run("--limits=l.json", str(result))
        assert status == 2 and "no case has limits here" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--timeout=0"], "--timeout is 0; give seconds above 0"),
            (["--limits=none.json"], "none.json: cannot be read"),
            (["--output=missing/a.json"], "its parent missing does not exist"),
            (["--grid=none_such"], "none_such"),
        ],
    )
    def test_bad_input_is_one_sentence(self, run, arguments, message):
        status, out, err = run(*arguments)
        assert status == 2 and out == ""
        assert message in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rnnbench_limits": 99}'])
def test_what_holds_no_limits_is_refused(tmp_path, content):
    file = tmp_path / "l.json"
    file.write_text(content)
    with pytest.raises(UserError, match="holds no limits of a machine"):
        read_limits(file)


class TestDefects:
    BOUND = Bound(products=1.0, bytes=0.1, steps=0.2, interval=(0.9, 1.1))

    def test_a_case_that_is_faster_than_the_interval_is_a_defect(self):
        share = Share(Case(), 0.8, self.BOUND)
        assert share.is_defect and share.share == pytest.approx(1.25)
        (said,) = defects([share, Share(Case(), 2.0, self.BOUND)])
        assert said.startswith("1 of 2 cases are faster than their limit")
        assert said.endswith("by 25 %.")

    def test_within_the_interval_there_is_none(self):
        assert list(defects([Share(Case(), 0.95, self.BOUND)])) == []
