"""Bisecting a case over a chain of environments: where a planted slowdown lies, and bad input."""

import dataclasses
import itertools
import json
import math
import signal
import sys

import pytest

from rnnbench.cli import main
from rnnbench.errors import UserError
from rnnbench.regressions import bisect as module
from rnnbench.regressions.bisect import Effort, bisect
from rnnbench.regressions.environments import Environment
from rnnbench.regressions.processes import Interrupted
from tests.regressions.made import QUIET, case
from tests.synthetic import Planted, document, environment, write

CHAIN = [f"v{number}" for number in range(9)]


def make(version):
    return Environment(version, sys.executable, version)


@pytest.fixture
def measured(monkeypatch):
    """Stand-in runs: times by version; returns the list of (versions, replicates) that were run."""
    runs = []

    def install(seconds, *, cannot=(), noise=QUIET, interrupted_in=None):
        def measure(result, arguments, *, resume):
            names = [a.split("=")[1] for a in arguments if a.startswith("--rnn-python=")]
            (replicates,) = (
                int(a.split("=")[1]) for a in arguments if a.startswith("--rnn-replicates=")
            )
            runs.append((names, replicates))
            if len(runs) == interrupted_in:
                # An interrupted run may have left a result of what it had.
                result.write_text("{}")
                raise Interrupted(signal.SIGINT)
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

    def test_a_chain_that_tells_nothing_spends_the_whole_rate_and_no_more(
        self, tmp_path, measured, monkeypatch
    ):
        chain = [f"v{number}" for number in range(12)]
        spent = []

        def compare(sides, *, margin, rate):
            """As it is, but only the ends are told apart."""
            spent.append(rate)
            found = plain(sides, margin=margin, rate=rate)
            if (sides.base.environment, sides.new.environment) == ("v0", "v11"):
                return found
            (one,) = found.cases
            finding = dataclasses.replace(one.finding, verdict="inconclusive")
            return dataclasses.replace(found, cases=[dataclasses.replace(one, finding=finding)])

        plain = module.compare
        monkeypatch.setattr(module, "compare", compare)
        runs = measured(dict.fromkeys(chain[:-1], 1e-3) | {"v11": 1.1e-3})
        found = bisect(case(), chain, make, tmp_path, Effort(rate=0.05), lambda text: None).found
        assert [step.answer for step in found.steps] == ["cannot tell"] * 10
        assert len(runs) == 1 + 10 * 3
        ends, between = spent[0], spent[1:]
        assert between[::2] == between[1::2], "both intervals of a step have its level"
        worst = 3 * ends + math.fsum(between[::2])
        assert worst == pytest.approx(0.05) and worst < 0.05 * (1 + 1e-9)

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


class TestFolder:
    def test_an_interrupted_step_is_measured_again_and_those_before_it_are_not(
        self, tmp_path, measured
    ):
        runs = measured(times(6), interrupted_in=3)
        with pytest.raises(Interrupted):
            run(tmp_path)
        assert json.loads((tmp_path / "bisection.json").read_text())["finished"] == 2
        found = run(tmp_path, resume=True).found
        assert (found.good, found.bad) == ("v5", "v6")
        assert runs[2] == runs[3] and len(runs) == 2 + 1 + 2

    def test_without_resume_no_step_is_overwritten(self, tmp_path, measured):
        runs = measured(times(6))
        run(tmp_path)
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        count = len(runs)
        with pytest.raises(UserError, match=r"give another --output, or --resume to complete"):
            run(tmp_path)
        assert len(runs) == count
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before

    @pytest.mark.parametrize(
        ("changes", "different"),
        [
            ({"replicates": 9}, "--replicates"),
            ({"seconds": 5.0}, "--seconds"),
            ({"margin": 0.03}, "--margin"),
            ({"rate": 0.1}, "--rate"),
            ({"arguments": ["--rnn-cores=0"]}, "further arguments"),
            ({"planted": {"v8": 0.1}}, "planted slowdowns"),
        ],
    )
    def test_steps_of_another_effort_are_refused(self, tmp_path, measured, changes, different):
        runs = measured(times(6))
        run(tmp_path)
        count = len(runs)
        with pytest.raises(UserError, match=rf"begun with other options; different: {different}\."):
            run(tmp_path, resume=True, **changes)
        assert len(runs) == count

    @pytest.mark.parametrize(
        ("wanted", "chain", "different"),
        [
            (case(batch=7), CHAIN, "CASE"),
            (case(), CHAIN[:-1], "the environments"),
            (case(batch=7), CHAIN[::-1], "CASE, the environments"),
        ],
    )
    def test_steps_of_another_case_or_other_versions_are_refused(
        self, tmp_path, measured, wanted, chain, different
    ):
        runs = measured(times(6))
        run(tmp_path)
        count = len(runs)
        with pytest.raises(UserError, match=f"different: {different}"):
            bisect(wanted, chain, make, tmp_path, Effort(resume=True), lambda text: None)
        assert len(runs) == count

    def test_a_run_may_go_on_without_the_lock(self, tmp_path, measured):
        runs = measured(times(6))
        run(tmp_path)
        count = len(runs)
        run(tmp_path, resume=True, arguments=["--rnn-no-lock"])
        assert len(runs) == count

    def test_steps_that_nothing_tells_of_are_refused(self, tmp_path, measured):
        runs = measured(times(6))
        run(tmp_path)
        (tmp_path / "bisection.json").unlink()
        count = len(runs)
        with pytest.raises(UserError, match="holds steps, but not what was asked of them"):
            run(tmp_path, resume=True)
        with pytest.raises(UserError, match="holds the steps of an earlier bisection"):
            run(tmp_path)
        assert len(runs) == count

    def test_a_step_that_is_missing_is_named(self, tmp_path, measured):
        measured(times(6))
        run(tmp_path)
        (tmp_path / "step-2.json").unlink()
        with pytest.raises(UserError, match=r"--resume: .*step-2\.json is missing"):
            run(tmp_path, resume=True)

    @pytest.mark.parametrize("content", ["", "[]", '{"finished": 1}', '{"finished": "1"}'])
    def test_a_state_that_is_none_is_refused(self, tmp_path, measured, content):
        measured(times(6))
        run(tmp_path)
        (tmp_path / "bisection.json").write_text(content)
        with pytest.raises(UserError, match=r"bisection\.json .*give another --output"):
            run(tmp_path, resume=True)

    def test_what_failed_before_the_first_step_leaves_nothing_behind(self, tmp_path, measured):
        measured(times(6))

        def fails(version):
            raise UserError(f"there is no {version}")

        folder = tmp_path / "case-1"
        with pytest.raises(UserError, match="there is no v0"):
            bisect(case(), CHAIN, fails, folder, Effort(), lambda text: None)
        assert not folder.exists()

    def test_a_run_that_was_refused_before_it_measured_can_be_begun_anew(
        self, tmp_path, measured, monkeypatch
    ):
        def refuses(result, arguments, *, resume):
            raise UserError("nothing was measured, for the reason that stands above")

        monkeypatch.setattr(module, "measure", refuses)
        with pytest.raises(UserError, match="nothing was measured"):
            run(tmp_path)
        measured(times(6))
        assert run(tmp_path, rate=0.1).found.good == "v5"


class TestEffort:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"replicates": 0}, "--replicates is 0; give 1 or more"),
            ({"replicates": -3}, "--replicates is -3; give 1 or more"),
            ({"seconds": 0.0}, "--seconds is 0; give seconds above 0"),
            ({"seconds": math.nan}, "--seconds is nan; give seconds above 0"),
            ({"seconds": math.inf}, "--seconds is inf; give seconds above 0"),
            ({"margin": 0.0}, "--margin is 0; give a share above 0 and below 1"),
            ({"rate": 1.0}, "--rate is 1; give a share above 0 and below 1"),
            ({"rate": math.nan}, "--rate is nan; give a share above 0 and below 1"),
        ],
    )
    def test_numbers_that_make_no_sense_are_refused(self, changes, says):
        with pytest.raises(UserError, match=says):
            Effort(**changes)


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

    BETWEEN = list(itertools.chain.from_iterable(("--through", v) for v in CHAIN[1:-1]))

    @pytest.fixture
    def prepared(self, monkeypatch):
        """Stand-in environments; returns the list of those that were asked for."""
        from rnnbench.regressions import environments

        asked = []

        def prepare(texts, say):
            asked.extend(texts)
            return [make(text) for text in texts]

        monkeypatch.setattr(environments, "prepare_environments", prepare)
        return asked

    @pytest.mark.usefixtures("prepared")
    def test_says_where_the_change_lies_and_how_sure_that_is(self, command, measured):
        measured(times(5))
        status, out, err = command(self.NAME, "--good", "v0", "--bad", "v8", *self.BETWEEN)
        assert status == 0, err
        assert "the change lies after v4 and not after v5." in out
        assert "v4 is as good: v4 / v0" in out and "v6 is as bad: v6 / v0" in out
        assert "right with a probability of at least 95 %." in out

    @pytest.mark.usefixtures("prepared")
    def test_which_of_two_changes_is_larger_is_no_decision(self, command, measured):
        measured(times(3, 1.2, second=6))
        status, out, err = command(self.NAME, "--good", "v0", "--bad", "v8", *self.BETWEEN)
        assert status == 0, err
        assert "at least 95 %; which part of the change is the largest is an estimate." in out

    def test_the_folder_of_another_case_is_refused_before_environments_are_made(
        self, command, measured, prepared
    ):
        runs = measured(times(5))
        versions = ["--good", "v0", "--bad", "v8", *self.BETWEEN]
        other = self.NAME.replace("B32", "B1")
        assert command(self.NAME, *versions)[0] == 0
        count = len(runs)
        prepared.clear()
        for arguments, says in (
            ([other], "rnnbench-bisect/case-1: holds the steps of an earlier bisection"),
            ([other, "--resume"], "was begun with other options; different: CASE."),
            ([self.NAME, "--resume", "--rate=1%"], "different: --rate."),
        ):
            status, _, err = command(*arguments, *versions)
            assert status == 2 and says in err and len(err.splitlines()) == 1
        assert len(runs) == count and prepared == []
        status, out, err = command(self.NAME, *versions, "--resume")
        assert status == 0, err
        assert "the change lies after v4 and not after v5." in out
        assert len(runs) == count

    @pytest.mark.usefixtures("prepared")
    @pytest.mark.parametrize("given", [[], ["--no-lock"]])
    def test_no_lock_reaches_the_suites(self, command, measured, monkeypatch, given):
        measured(times(9))
        told = []
        stand_in = module.measure

        def measure(result, arguments, *, resume):
            told.append("--rnn-no-lock" in arguments)
            stand_in(result, arguments, resume=resume)

        monkeypatch.setattr(module, "measure", measure)
        status, _, err = command(self.NAME, "--good=v0", "--bad=v8", "--through=v4", *given)
        assert status == 0, err
        assert told == [bool(given)]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["nothing"], "no case of the grid quick has this in their name, such as"),
            (["nn_rnn-rnn_tanh"], "several cases have this in their name, such as"),
            ([NAME, "--margin", "0"], "--margin '0' is no share"),
            ([NAME, "--rate", "1"], "--rate '1' is no share"),
            ([NAME, "--replicates", "0"], "--replicates is 0; give 1 or more"),
            ([NAME, "--seconds", "0"], "--seconds is 0; give seconds above 0"),
            ([NAME, "--seconds", "nan"], "--seconds is nan; give seconds above 0"),
            ([NAME, "--through", "v0"], "v0 is named twice"),
        ],
    )
    def test_bad_input_is_one_sentence(self, command, prepared, arguments, says):
        status, _, err = command(*arguments, "--good", "v0", "--bad", "v8")
        assert status == 2 and says in err and len(err.splitlines()) == 1
        assert prepared == []

    @pytest.mark.parametrize("bad", ["abc", "2.8.0"])
    def test_ends_that_are_no_two_versions(self, command, bad):
        status, _, err = command(self.NAME, "--good", "2.8.0", "--bad", bad)
        assert status == 2 and "--bad" in err
