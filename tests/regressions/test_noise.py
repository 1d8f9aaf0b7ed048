"""The study of a machine's noise: what it counts, keeps, prints and refuses."""

import dataclasses
import json
import math

import pytest
from scipy.stats import beta

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.regressions.machine_noise import (
    MachineNoise,
    Share,
    between_sessions,
    load_noise,
    noise_path,
    save_noise,
)
from rnnbench.regressions.machines import machine_key
from rnnbench.regressions.noise import AGAIN, SAME, name_of_planted, size_classes, study
from rnnbench.results import read
from tests.regressions.made import QUIET, planted
from tests.regressions.test_compare import session
from tests.synthetic import document, environment, write

SLOWER = name_of_planted(0.05)


@pytest.fixture
def data(monkeypatch, tmp_path):
    """Where a user's data would lie."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "data"


@pytest.fixture
def result(tmp_path):
    """A run with two environments alike and one 5 % slower; six cases of three sizes."""
    return make(tmp_path / "noise.json")


def make(path, seed=0, shares=(0.05,), scale=1.0, replicates=8):
    entries = []
    for batch, seconds in ((1, 5e-5), (2, 5e-4), (4, 5e-4), (8, 5e-4), (16, 2e-2), (32, 2e-2)):
        seconds *= scale
        entries += planted({batch: 1.0}, environments=(SAME, AGAIN), seconds=seconds)
        for share in shares:
            name = name_of_planted(share)
            pair = planted({batch: 1 + share}, environments=(SAME, name), seconds=seconds)
            entries.append(pair[1])
    names = [SAME, AGAIN, *map(name_of_planted, shares)]
    environments = {name: environment() for name in names}
    for share in shares:
        environments[name_of_planted(share)]["planted"] = share
    made = document(
        entries, noise=QUIET, replicates=replicates, environments=environments, seed=seed
    )
    return write(path, made)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["noise", *map(str, arguments)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return ended.value.code, said.out, said.err


class TestStudy:
    def test_counts_verdicts_by_size_and_by_planted_share(self, result):
        found = size_classes(study(read([str(result)]), [0.05]))
        assert [(c.name, c.cases) for c in found] == [
            ("below 100 µs", 1),
            ("100 µs to 1 ms", 3),
            ("10 ms and more", 2),
            ("all", 6),
        ]
        every = found[-1]
        assert (every.false_alarms, every.same) == (Share(0, 6), Share(6, 6))
        assert every.power[0.05] == Share(6, 6)
        assert every.covered.of == 6 and every.covered.found >= 5
        assert study(read([str(result)]), [0.05]).alone == {0.05: Share(6, 6)}
        assert 0 < every.widest < 0.02

    def test_one_alone_must_be_clearer_than_all_together(self, tmp_path):
        path = make(tmp_path / "noise.json", shares=(0.004,))
        found = study(read([str(path)]), [0.004], margin=0.0001)
        together = size_classes(found)[-1].power[0.004]
        alone = found.alone[0.004]
        assert alone.of == together.of == 6
        assert 0 < alone.found < together.found

    def test_a_planted_share_that_is_not_in_the_result_is_refused(self, result):
        with pytest.raises(UserError, match="no environment 'slower-10-percent'; there is"):
            study(read([str(result)]), [0.1])

    def test_a_session_keeps_what_comparisons_need(self, result):
        kept = study(read([str(result)]), [0.05]).session()
        assert kept.torch == "2.13.0+cpu"
        assert (kept.replicates, kept.threads) == (8, (1,))
        assert kept.power == {"0.05": Share(6, 6)}
        assert sorted(kept.times.values())[0] == pytest.approx(5e-5, rel=0.02)
        assert len(kept.times) == 6
        # Of processes and of a case in one; blocks and rounds add little to a median of five.
        assert kept.process_deviation == pytest.approx(math.hypot(0.002, 0.002), rel=0.6)


class TestShare:
    @pytest.mark.parametrize(("found", "of"), [(0, 10), (3, 10), (10, 10)])
    def test_has_the_interval_of_clopper_and_pearson(self, found, of):
        low, high = Share(found, of).interval
        assert low == pytest.approx(beta.ppf(0.025, found, of - found + 1) if found else 0)
        assert high == pytest.approx(beta.ppf(0.975, found + 1, of - found) if found < of else 1)

    def test_of_nothing_says_nothing(self):
        assert math.isnan(Share(0, 0).value)
        assert Share(0, 0).interval == (0.0, 1.0)


class TestBetweenSessions:
    def test_is_the_deviation_of_a_case_over_sessions(self):
        logs = [[0.0, 0.1, -0.1], [0.0, 0.3, -0.3]]
        noise = MachineNoise(
            "m",
            tuple(
                session(str(i), times={"a": math.exp(logs[0][i]), "b": math.exp(logs[1][i])})
                for i in range(3)
            ),
        )
        deviation, freedom = between_sessions(noise)
        assert freedom == 2
        assert deviation == pytest.approx(math.sqrt((0.02 + 0.18) / 4))

    def test_sessions_of_another_pytorch_are_not_compared(self):
        sessions = (
            session("1", times={"a": 1.0}, torch="2.8"),
            session("2", times={"a": 2.0}, torch="2.9"),
        )
        assert between_sessions(MachineNoise("m", sessions)) is None

    @pytest.mark.parametrize("noise", [None, MachineNoise("m")])
    def test_is_unknown_below_two_sessions(self, noise):
        assert between_sessions(noise) is None


class TestStore:
    def test_comes_back_as_it_was(self, data):
        noise = MachineNoise("m", (session("1", times={"a": 1.0}), session("2", times={})))
        path = save_noise(noise)
        assert path == noise_path("m") and path.is_relative_to(data)
        assert load_noise("m") == noise
        assert [file.name for file in path.parent.iterdir()] == ["m.json"]

    def test_of_an_unknown_machine_there_is_none(self, data):
        assert load_noise("m") is None

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '{"format": 2}', '{"format": 1, "machine": "m", "sessions": [{}]}'],
    )
    def test_what_is_no_record_is_refused_by_name(self, data, tmp_path, text):
        path = tmp_path / "broken.json"
        path.write_text(text)
        with pytest.raises(UserError, match=r"broken\.json: is no record of noise"):
            load_noise("m", path)

    def test_a_folder_that_cannot_be_made_is_said(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match="cannot be stored"):
            save_noise(MachineNoise("m"), tmp_path / "file" / "m.json")


class TestCommand:
    def test_prints_shares_and_keeps_the_session_once(self, capsys, data, result):
        arguments = ("--from", result, "--planted", "5%")
        status, out, _ = run(capsys, *arguments)
        assert status == 0
        text = " ".join(out.split())
        assert "Of 6 unchanged cases 0 were called slower or faster (0.0 % [0.0, 45.9])" in text
        assert "Of 6 cases with 5.0 % more time, 6 were called slower" in text
        assert "Kept as session 1" in text
        kept = load_noise(machine_key(environment()))
        assert [s.measured_at for s in kept.sessions] == ["2026-01-01T00:00:00+00:00"]
        assert "already part" in run(capsys, *arguments)[1]
        assert len(load_noise(machine_key(environment())).sessions) == 1

    def test_keeps_nothing_where_that_was_asked(self, capsys, data, result):
        assert run(capsys, "--from", result, "--planted", "5%", "--no-store")[0] == 0
        assert not data.exists()

    @pytest.mark.parametrize("planted", ["0", "abc", "5%,", "100%"])
    def test_a_share_that_is_none(self, capsys, data, result, planted):
        status, _, err = run(capsys, "--from", result, "--planted", planted)
        assert status == 2 and "--planted" in err

    def test_a_result_of_another_kind(self, capsys, data, tmp_path):
        file = write(
            tmp_path / "other.json",
            document(planted({1: 1.0}), environments={"old": environment(), "new": environment()}),
        )
        status, _, err = run(capsys, "--from", file)
        assert status == 2 and "no environment 'same'" in err

    def test_sessions_are_measured_in_a_row_and_judged_together(
        self, capsys, data, tmp_path, monkeypatch
    ):
        asked = []

        def measure(file, arguments, *, resume):
            asked.append((file.name, dict(a.split("=", 1) for a in arguments), resume))
            # The machine is slower in each session than in the one before.
            make(file, seed=len(asked), scale=1.2 ** len(asked))
            content = json.loads(file.read_text())
            content["rnnbench"]["options"]["seconds"] = float(asked[-1][1]["--rnn-seconds"])
            file.write_text(json.dumps(content))

        monkeypatch.setattr("rnnbench.regressions.versions.measure", measure)
        told = (
            "--sessions",
            3,
            "--seconds",
            4.5,
            "--planted",
            "5%",
            "--output",
            tmp_path / "there",
        )
        status, out, err = run(capsys, *told)
        assert status == 0, err
        assert [name for name, *_ in asked] == [f"session-{n}.json" for n in (1, 2, 3)]
        assert {options["--rnn-seconds"] for _, options, _ in asked} == {"1.5"}
        orders = [int(options["--rnn-order-seed"]) for _, options, _ in asked]
        assert orders[0] == 0 and len(set(orders)) == 3
        text = " ".join(out.split())
        assert "Each side had 24 processes in 3 sessions and 4.5 s a case" in text
        assert "Of 6 cases with 5.0 % more time, 6 were called slower" in text
        found = study(read([str(tmp_path / "there" / "noise.json")]), [0.05])
        assert found.unchanged.sides.base.run.sessions == ((0, 8), (8, 16), (16, 24))
        assert found.session().process_deviation < 0.01

        # What has a journal goes on from it; a result without one is not measured again.
        (tmp_path / "there" / "session-2.json.journal").write_text("")
        assert run(capsys, *told, "--resume")[0] == 0
        assert [(name, resume) for name, _, resume in asked[3:]] == [("session-2.json", True)]

        # Nothing is written over by the same command without it.
        status, _, err = run(capsys, *told)
        assert status == 2 and "holds the result of an earlier run, noise.json; give another" in err
        assert len(asked) == 4

    def test_a_single_process_a_side_is_refused_and_never_kept(self, capsys, data, tmp_path):
        status, _, err = run(capsys, "--replicates", 1, "--output", tmp_path / "there")
        assert status == 2 and "a single process a side says nothing of how processes differ" in err
        assert not (tmp_path / "there").exists()
        one = make(tmp_path / "one.json", replicates=1)
        status, out, err = run(capsys, "--from", one, "--planted", "5%")
        assert status == 0, err
        assert "Not kept as this machine's noise" in " ".join(out.split())
        assert not list(data.rglob("*.json"))

    def test_no_session(self, capsys, data):
        status, _, err = run(capsys, "--sessions", 0)
        assert status == 2 and "--sessions is 0; give 1 or more" in err

    @pytest.mark.slow
    @pytest.mark.parametrize("sessions", [1, 2])
    def test_measures_and_judges(self, capsys, data, tmp_path, monkeypatch, sessions):
        monkeypatch.chdir(tmp_path)
        grid = tmp_path / "tiny.toml"
        grid.write_text(
            'description = "tiny"\n[[product]]\nimplementation = ["nn_rnn"]\npass = ["inference"]\n'
            "seq_len = [2]\nbatch = [1]\ninput_size = [2]\nhidden_size = [2]\n"
        )
        status, out, err = run(
            capsys,
            *("--grid", grid, "--implementation", "nn_rnn", "--replicates", 2),
            *("--seconds", "0.05", "--planted", "50%", "--output", "there"),
            *("--sessions", sessions),
        )
        assert status == 0, err
        content = json.loads((tmp_path / "there" / "noise.json").read_text())
        described = content["rnnbench"]["environments"]
        assert {name: e.get("planted") for name, e in described.items()} == {
            "same": None,
            "again": None,
            "slower-50-percent": 0.5,
        }
        assert any("50.0% was planted" in note for note in content["rnnbench"]["notes"])
        # Two processes of a busy machine: what is checked is that it was judged, not how.
        assert "Of 1 unchanged cases" in " ".join(out.split())
        blocks = content["benchmarks"][0]["extra_info"]["rnnbench"]["blocks"]
        assert {block["replicate"] for block in blocks} == set(range(2 * sessions))
        assert len(load_noise(machine_key(described["same"])).sessions) == 1


def test_coverage_counts_intervals_before_the_adjustment(tmp_path):
    # Of many noisy cases without a change some intervals leave 1 out; the family finds none.
    batches = dict.fromkeys(range(1, 61), 1.0)
    entries = planted(batches, environments=(SAME, AGAIN))
    noise = dataclasses.replace(QUIET, luck=0.02)
    environments = {SAME: environment(), AGAIN: environment()}
    file = write(
        tmp_path / "noise.json",
        document(entries, noise=noise, replicates=8, environments=environments, seed=3),
    )
    found = study(read([str(file)]), [])
    every = size_classes(found)[-1]
    assert every.false_alarms == Share(0, 60)
    assert 50 <= every.covered.found < 60
    low, high = every.covered.interval
    assert low < 0.95 < high
