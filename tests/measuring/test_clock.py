"""A clock that is set while a run goes on, as by a network's time server or after a suspend."""

from rnnbench.validation import validate

JUMP = 1e6

JUMPING = f"""
import os, pathlib, sys, time
told, jumps = time.time, iter(range(10**9))
time.time = lambda: told() + (-{JUMP}, 0, {JUMP})[next(jumps) % 3]
who = "worker" if "bootstrap.py" in " ".join(sys.orig_argv) else "coordinator"
(pathlib.Path(os.environ["JUMPED"]) / who).touch()
"""


def test_a_clock_that_jumps_by_days_changes_no_time_and_ends_no_case(suite, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    done = suite(variables={"PYTHONPATH": str(tmp_path), "JUMPED": str(tmp_path)})
    assert done.status == 0, done.said
    assert (tmp_path / "worker").exists()
    assert (tmp_path / "coordinator").exists()
    assert validate(done.json) == []
    assert done.not_measured() == {}
    blocks = [record for record in done.journal() if record["type"] == "block"]
    assert {block["case"]["implementation"] for block in blocks} == {"nn_rnn", "python_loop"}
    assert all(0 < block["seconds"] < JUMP / 10 for block in blocks)
    data = [entry["stats"]["data"] for entry in done.document()["benchmarks"]]
    assert all(0 < seconds < JUMP / 10 for rounds in data for seconds in rounds)
    load = done.document()["rnnbench"]["load"]
    assert 0 < load["seconds"] < JUMP / 10
    assert 0 < load["timed_share"] <= 1
