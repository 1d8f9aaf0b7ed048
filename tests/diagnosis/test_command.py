"""`rnnbench profile` as a user runs it, small: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.profiling.compiling import PHASES
from rnnbench.validation import validate
from tests.diagnosis.made import profile as made
from tests.synthetic import document, environment, write

TINY = (
    "--no-lock",
    "--implementation=nn_rnn,python_loop",
    "--pass=forward",
    "--seq-len=8",
    "--hidden=8",
    "--input=4",
    "--batch=2",
    "--layout=time_major",
)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command in this process; profiling has its own. Returns status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["profile", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


class TestProfile:
    def test_it_prints_tables_and_writes_every_file(self, run):
        files = ("--json=a.json", "--trace=t.json", "--flame=f.html", "--plot=g.svg")
        status, out, err = run(*TINY, *files, "--turns=1")
        assert (status, err) == (0, "")
        for title in (
            "What a call's time is spent on",
            "Operators: python_loop-rnn_tanh-forward",
            "Fixed cost of a call, and cost of a step",
            "Memory",
            "Gradient flow through time",
        ):
            assert title in out
        assert validate("a.json") == []
        document = json.loads(Path("a.json").read_text())
        assert document["benchmarks"] == [] and document["rnnbench"]["not_measured"] == []
        nn_rnn, loop = document["rnnbench"]["profiles"]
        assert (nn_rnn["case"]["implementation"], loop["case"]["implementation"]) == (
            "nn_rnn",
            "python_loop",
        )
        counts = {row["name"]: row["calls_per_step"] for row in loop["operators"]["operators"]}
        assert counts["aten::addmm"] == 2 and counts["aten::tanh"] == 1
        assert loop["profiled"] is True
        assert loop["memory"]["saved"] == loop["memory"]["must_keep"] == 8 * 2 * 8 * 4
        assert loop["step_cost"]["lengths"] == [2, 4, 8]
        # Of the formula alone, so once for both.
        assert len(nn_rnn["gradient_flow"]) == 1 and loop["gradient_flow"] == []
        names = {event["name"] for event in json.loads(Path("t.json").read_text())["traceEvents"]}
        assert {"aten::addmm", "process_name"} <= names
        assert "<svg" in Path("f.html").read_text()
        assert Path("g.svg").read_text().startswith("<svg")

    def test_what_cannot_be_profiled_says_why_and_the_rest_goes_on(self, run):
        status, out, err = run(
            *TINY, "--implementation=cuda_graph,nn_rnn", "--turns=0", "--json=a.json"
        )
        assert (status, err) == (0, "")
        assert "cuda_graph-rnn_tanh-forward" in out and "is unsupported" in " ".join(out.split())
        document = json.loads(Path("a.json").read_text())
        assert [p["case"]["implementation"] for p in document["rnnbench"]["profiles"]] == ["nn_rnn"]
        (missing,) = document["rnnbench"]["not_measured"]
        assert missing["status"] == "unsupported" and missing["reason"]
        assert validate("a.json") == []

    def test_a_file_that_cannot_be_written_does_not_take_the_others_along(self, run, monkeypatch):
        from rnnbench.report import outputs

        whole = outputs.write_file

        def full(path, content):
            if path.name == "t.json":
                raise outputs.UserError(f"{path}: cannot be written: No space left on device")
            whole(path, content)

        monkeypatch.setattr(outputs, "write_file", full)
        status, _, err = run(*TINY, "--turns=0", "--trace=t.json", "--json=a.json")
        assert status == 2
        assert err == "rnnbench: --trace t.json: cannot be written: No space left on device\n"
        assert Path("a.json").exists() and not Path("t.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unwatched")
def test_a_compiled_loop_from_the_command_to_its_plot(run):
    """All that is asked about compilation alone, by real compilations."""
    status, out, err = run(
        *TINY,
        "--implementation=compiled_loop",
        "--pass=inference",
        "--turns=0",
        "--compile-lengths=1,2,3",
        "--compile-plot=growth.svg",
        "--json=a.json",
    )
    if "is unsupported" in out:
        pytest.skip(out)
    assert (status, err) == (0, "")
    assert "How compilation grows with the length" in out
    (profile,) = json.loads(Path("a.json").read_text())["rnnbench"]["profiles"]
    compiled, growth = profile["compiled"], profile["compile_growth"]
    assert compiled["kernels"] > 0 and compiled["breaks"] == []
    assert growth["lengths"] == [1, 2, 3] and min(growth["seconds"]) > 0
    for phases in (compiled["phases"], *growth["phases"]):
        assert list(phases) == list(PHASES)
        assert min(phases.values()) >= 0 and phases["compiling"] > 0
    assert growth["exponent_interval"][0] <= growth["exponent"] <= growth["exponent_interval"][1]
    counts = {row["name"]: row["calls"] for row in profile["operators"]["operators"]}
    assert counts["aten::addmm"] == 2 * 8
    assert sum(calls for name, calls in counts.items() if "cpp_fused" in name) >= 8
    assert validate("a.json") == []
    assert "compiled_loop: T^" in Path("growth.svg").read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p.pop("case"), "rnnbench.profiles[0].case is missing"),
        (lambda p: p.update(profiled=False), "rnnbench.profiles[0].profiled is false"),
        (lambda p: p.pop("operators"), "rnnbench.profiles[0].operators is missing"),
        (
            lambda p: p["operators"].update(seconds=0),
            "rnnbench.profiles[0].operators.seconds is 0",
        ),
        (
            lambda p: p["operators"]["parts"].update(copy="much"),
            'rnnbench.profiles[0].operators.parts.copy is "much"',
        ),
        (
            lambda p: p.update(
                compile_growth={"lengths": [1, 0, 3], "seconds": [1, 2, 3], "phases": []}
            ),
            "rnnbench.profiles[0].compile_growth.lengths[1] is 0",
        ),
        (
            lambda p: p.update(
                compile_growth={"lengths": [1, 2, 3], "seconds": [1, 2], "phases": []}
            ),
            "rnnbench.profiles[0].compile_growth.seconds has 2 entries",
        ),
        (
            lambda p: p.update(
                compile_growth={"lengths": [1], "seconds": [1], "phases": [None, {"tracing": -1}]}
            ),
            "rnnbench.profiles[0].compile_growth.phases[1].tracing is -1",
        ),
        (
            lambda p: p.update(compiled={"phases": {"code_generation": -10.9}}),
            "rnnbench.profiles[0].compiled.phases.code_generation is -10.9",
        ),
    ],
)
def test_a_profile_that_is_none_is_found_by_validate(tmp_path, change, problem):
    content = document([], environments={"default": environment()})
    content["rnnbench"]["profiles"] = [made().columns()]
    file = write(tmp_path / "a.json", content)
    assert validate(file) == []
    change(content["rnnbench"]["profiles"][0])
    (said,) = validate(write(file, content))
    assert problem in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--calls=0"], "--calls is 0; give 1 or more"),
        (["--turns=-1"], "--turns is -1; give 0 or more"),
        (["--compile-lengths=5,5,10"], "give 3 or more different lengths"),
        (["--compile-lengths=a"], "give 3 or more different lengths"),
        (["--compile-plot=a.png"], "--compile-plot needs lengths to compile at"),
        (["--compile-plot=a.txt", "--compile-lengths=1,2,3"], "--compile-plot a.txt: its ending"),
        (["--timeout=0"], "--timeout is 0; give seconds above 0"),
        (["--plot=a.txt"], "names no picture; give .png or .svg"),
        (["--json=missing/a.json"], "its parent missing does not exist"),
        (["--grid=standard"], "and `profile` takes up to 50"),
        (["--implementation=none_such"], "none_such"),
    ],
)
def test_bad_input_is_one_sentence(run, arguments, message):
    status, out, err = run(*arguments)
    assert status == 2 and out == ""
    assert message in err and err.count("\n") == 1 and "Traceback" not in err
