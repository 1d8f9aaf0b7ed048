"""Bisecting a case over a chain of environments: where a planted slowdown lies, and bad input."""

import dataclasses
import itertools
import sys

import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.regressions import bisect as module
from rnnbench.regressions.bisect import Effort, bisect
from rnnbench.regressions.environments import Environment
from tests.regressions.made import QUIET, case
from tests.synthetic import Planted, document, environment, write

CHAIN = [f"v{number}" for number in range(9)]


def make(version):
    return Environment(version, sys.executable, version)


@pytest.fixture
def measured(monkeypatch):
    """Stand-in runs: times by version; returns the list of (versions, replicates) that were run."""
    runs = []

    def install(seconds, *, cannot=(), noise=QUIET):
        def measure(result, arguments, *, resume):
            names = [a.split("=")[1] for a in arguments if a.startswith("--rnn-python=")]
            (replicates,) = (
                int(a.split("=")[1]) for a in arguments if a.startswith("--rnn-replicates=")
            )
            runs.append((names, replicates))
            entries = [
                Planted(case(environment=name), seconds[name])
                for name in names
                if name not in cannot
            ]
            missing = [
                (case(environment=name), "unsupported", "too old")
                for name in names
                if name in cannot
            ]
            write(
                result,
                document(
                    entries,
                    noise=noise,
                    replicates=replicates,
                    environments={name: environment() for name in names},
                    not_measured=missing,
                    seed=len(runs),
                ),
            )

        monkeypatch.setattr(module, "measure", measure)
        return runs

    return install


def times(place, ratio=1.1, second=None):
    found = {version: 1e-3 * (ratio if at >= place else 1.0) for at, version in enumerate(CHAIN)}
    if second is not None:
        found = {v: s * (1.03 if CHAIN.index(v) >= second else 1.0) for v, s in found.items()}
    return found


def run(folder, **changes):
    effort = dataclasses.replace(Effort(), **changes)
    return bisect(case(), CHAIN, make, folder, effort, lambda text: None)


class TestBisect:
    @pytest.mark.parametrize("place", [1, 3, 6, 8])
    @pytest.mark.parametrize("ratio", [1.1, 0.9])
    def test_the_place_is_found(self, tmp_path, measured, place, ratio):
        runs = measured(times(place, ratio))
        found = run(tmp_path).found
        assert (found.good, found.bad) == (CHAIN[place - 1], CHAIN[place])
        assert len(runs) == 1 + 3, "the ends, and three halvings of eight"
        assert all(names[0] == "v0" and names[-1] == "v8" for names, _ in runs)

    def test_without_a_change_nothing_is_looked_for(self, tmp_path, measured):
        runs = measured(times(9))
        found = run(tmp_path)
        assert found.found is None and found.ends.verdict == "same"
        assert len(runs) == 1

    def test_a_version_that_cannot_run_the_case_is_left_out_and_named(self, tmp_path, measured):
        measured(times(4), cannot={"v4", "v3"})
        found = run(tmp_path).found
        assert (found.good, found.bad, set(found.untold)) == ("v2", "v5", {"v3", "v4"})
        assert {s.reason for s in found.steps if s.answer == "cannot tell"} == {
            "unsupported: too old"
        }

    def test_an_end_that_cannot_is_refused_with_its_reason(self, tmp_path, measured):
        measured(times(4), cannot={"v0"})
        with pytest.raises(UserError, match=r"cannot be measured in both v0 and v8 \(unsupported"):
            run(tmp_path)

    def test_the_largest_of_two_changes_is_followed_and_it_is_said(self, tmp_path, measured):
        measured(times(3, 1.2, second=6))
        found = run(tmp_path).found
        assert (found.good, found.bad, found.several) == ("v2", "v3", True)

    def test_what_tells_nothing_is_measured_with_more_processes(self, tmp_path, measured):
        noise = dataclasses.replace(QUIET, luck=0.3)
        runs = measured(times(9), noise=noise)
        assert run(tmp_path).ends.verdict == "inconclusive"
        assert [replicates for _, replicates in runs] == [8, 16, 32]

    def test_steps_of_the_folder_are_used_again(self, tmp_path, measured):
        runs = measured(times(6))
        first = run(tmp_path)
        count = len(runs)
        assert run(tmp_path, resume=True).found == first.found
        assert len(runs) == count

    @pytest.mark.slow
    @pytest.mark.minutes
    @pytest.mark.usefixtures("unwatched")
    def test_a_slowdown_planted_in_a_chain_of_environments_is_found(self, tmp_path):
        chain = CHAIN[:4]
        tiny = case(seq_len=20, batch=1, input_size=4, hidden_size=4)
        effort = Effort(
            replicates=3,
            seconds=0.8,
            rate=0.2,
            planted=dict.fromkeys(chain[2:], 1.0),
        )
        made = bisect(tiny, chain, make, tmp_path, effort, print)
        assert (made.found.good, made.found.bad) == ("v1", "v2")
        assert made.ends.finding.ratio == pytest.approx(2.0, rel=0.3)


class TestCommand:
    @pytest.fixture
    def command(self, capsys, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "100")

        def command(*arguments):
            with pytest.raises(SystemExit) as ended:
                main(["bisect", *map(str, arguments)])
            said = capsys.readouterr()
            assert "Traceback" not in said.err
            return ended.value.code, " ".join(said.out.split()), said.err

        return command

    NAME = "nn_rnn-rnn_tanh-inference-T10-B32-I64-H128-L1-time_major"

    def test_says_where_the_change_lies_and_how_sure_that_is(self, command, measured, monkeypatch):
        from rnnbench.regressions import environments

        measured(times(5))
        monkeypatch.setattr(
            environments, "prepare_environments", lambda texts, say: [make(text) for text in texts]
        )
        between = itertools.chain.from_iterable(("--through", v) for v in CHAIN[1:-1])
        status, out, err = command(self.NAME, "--good", "v0", "--bad", "v8", *between)
        assert status == 0, err
        assert "the change lies after v4 and not after v5." in out
        assert "v4 is as good: v4 / v0" in out and "v6 is as bad: v6 / v0" in out
        assert "right with a probability of at least 95 %" in out

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["nothing"], "no case of the grid quick has this in their name, such as"),
            (["nn_rnn-rnn_tanh"], "several cases have this in their name, such as"),
            ([NAME, "--margin", "0"], "--margin '0' is no share"),
            ([NAME, "--through", "v0"], "v0 is named twice"),
        ],
    )
    def test_bad_input_is_one_sentence(self, command, arguments, says):
        status, _, err = command(*arguments, "--good", "v0", "--bad", "v8")
        assert status == 2 and says in err and len(err.splitlines()) == 1

    @pytest.mark.parametrize("bad", ["abc", "2.8.0"])
    def test_ends_that_are_no_two_versions(self, command, bad):
        status, _, err = command(self.NAME, "--good", "2.8.0", "--bad", bad)
        assert status == 2 and "--bad" in err
