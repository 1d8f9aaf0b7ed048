"""Validation of result files: what is right passes, each fault is one sentence with its field."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cases import Case
from rnnbench.schema import SCHEMA_VERSION
from rnnbench.validation import examine, validate

OURS = "benchmarks[0].extra_info.rnnbench"


def benchmark(case: Case) -> dict[str, Any]:
    """A measured case with two blocks of two rounds and one."""
    return {
        "name": case.id,
        "stats": {"data": [0.011, 0.012, 0.013], "rounds": 3, "iterations": 1},
        "extra_info": {
            "rnnbench": {
                "case": case.columns(),
                "verification": {
                    "oracle": "float64",
                    "tolerance": {"output": 1e-5},
                    "error": {"output": 1e-7, "h_n": 0.0},
                },
                "ran": {"backend": "eager"},
                "compile": None,
                "blocks": [
                    {
                        "replicate": 0,
                        "turn": 3,
                        "start": 12.5,
                        "rounds": [0, 2],
                        "cores": [1],
                        "warmup": [0.02],
                    },
                    {
                        "replicate": 1,
                        "turn": 7,
                        "start": 13.5,
                        "rounds": [2, 3],
                        "cores": [1],
                        "warmup": [],
                        "device_rounds": [0.01],
                    },
                ],
                "work": {"flops": 10, "bytes": 20, "tokens": 2, "valid_tokens": 2},
                "iterations": 1,
                "clock": {"rounds": "perf_counter", "device_rounds": None},
                "stopped": "precise",
            }
        },
    }


def result_file(*benchmarks: dict[str, Any]) -> dict[str, Any]:
    """A result file of these benchmarks, and of one case that was not measured."""
    return {
        "benchmarks": list(benchmarks),
        "rnnbench": {
            "schema": SCHEMA_VERSION,
            "grid": {"name": "quick"},
            "options": {"seconds": 1.0},
            "environments": {"default": {"torch": "2.13.0"}},
            "load": {},
            "not_measured": [
                {
                    "case": Case(batch=3).columns(),
                    "status": "unsupported",
                    "reason": "needs a GPU",
                }
            ],
        },
    }


@pytest.fixture
def document() -> dict[str, Any]:
    return result_file(benchmark(Case(batch=1)), benchmark(Case(batch=2)))


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """Write a document to run.json and return what is wrong with it, without the file's name."""
    monkeypatch.chdir(tmp_path)

    def check(document: Any) -> list[str]:
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
        found = validate("run.json")
        assert all(problem.startswith("run.json: ") for problem in found)
        assert not any("\n" in problem for problem in found)
        return [problem.removeprefix("run.json: ") for problem in found]

    return check


def ours(document: dict[str, Any]) -> dict[str, Any]:
    return document["benchmarks"][0]["extra_info"]["rnnbench"]


def every_place(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    below = [place for key, item in inner for place in every_place(item, (*path, key))]
    return [path, *below]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with something else at one place."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


class TestWhatIsRight:
    def test_a_result_file_has_no_problems(self, document, problems):
        assert problems(document) == []

    def test_its_counts_are_told(self, document, problems, tmp_path):
        problems(document)
        found = examine(tmp_path / "run.json")
        assert (found.benchmarks, found.not_measured) == (2, 1)

    def test_a_file_in_which_nothing_could_be_measured_is_valid(self, document, problems):
        document["benchmarks"] = []
        assert problems(document) == []

    def test_fields_that_a_later_version_adds_are_no_problem(self, document, problems):
        document["later"] = 1
        ours(document)["later"] = 1
        ours(document)["blocks"][0]["later"] = 1
        assert problems(document) == []

    def test_a_compiled_case_has_its_compilation(self, document, problems):
        ours(document)["compile"] = {"cold": {"seconds": 3.0}}
        assert problems(document) == []


class TestFiles:
    def test_a_missing_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert validate("absent.json") == [
            "absent.json: there is no such file; give the path of a result file"
        ]

    def test_a_folder(self, tmp_path):
        assert validate(tmp_path) == [
            f"{tmp_path}: cannot be read: Is a directory; give the path of a result file"
        ]

    def test_a_path_that_cannot_be_one(self):
        assert len(validate("a\0b")) == 1

    @pytest.mark.parametrize("text", ["", "  \n"])
    def test_an_empty_file(self, problems, text):
        assert problems(text) == ["the file is empty; run the benchmarks again to write it"]

    @given(share=st.floats(0.01, 0.99))
    def test_a_file_that_was_cut_off(self, tmp_path_factory, share):
        text = json.dumps(result_file(benchmark(Case())))
        file = tmp_path_factory.getbasetemp() / "cut.json"
        file.write_text(text[: int(len(text) * share) or 1])
        (problem,) = validate(file)
        assert "is no JSON, or was cut off: " in problem

    def test_a_file_that_is_no_text(self, tmp_path):
        (tmp_path / "run.json").write_bytes(b"\x80\x81\xff")
        (problem,) = validate(tmp_path / "run.json")
        assert "is no JSON, or was cut off: " in problem

    def test_a_nesting_without_end(self, problems):
        assert problems("[" * 200_000) == ["is nested too deeply to be a result file"]

    def test_a_number_of_too_many_digits(self, problems):
        (problem,) = problems('{"rnnbench": ' + "9" * 10_000 + "}")
        assert problem.startswith("is no JSON, or was cut off: ")

    def test_json_that_is_no_object(self, problems):
        assert problems([1]) == ["the document is [1]; it must be an object"]

    def test_a_file_of_pytest_benchmark_alone(self, problems):
        assert problems({"benchmarks": []}) == [
            "rnnbench is missing; this file was not written by `pytest suites`"
        ]


class TestSchemaVersion:
    def test_a_newer_one_asks_for_an_upgrade_and_says_nothing_else(self, document, problems):
        document["rnnbench"]["schema"] = SCHEMA_VERSION + 1
        document["rnnbench"]["not_measured"] = "is another thing there"
        assert problems(document) == [
            f"rnnbench.schema is {SCHEMA_VERSION + 1}, and this rnnbench reads schemas up to "
            f"{SCHEMA_VERSION}; upgrade rnnbench"
        ]

    @pytest.mark.parametrize("schema", [0, "1", 1.0, True, None])
    def test_what_is_no_version_is_a_problem(self, document, problems, schema):
        document["rnnbench"]["schema"] = schema
        assert problems(document) == [
            f"rnnbench.schema is {json.dumps(schema)}; it must be a whole number of 1 or more"
        ]


class TestNonFinite:
    @pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
    def test_a_constant_that_json_does_not_have_is_named_with_its_field(
        self, document, problems, constant
    ):
        ours(document)["verification"]["error"]["output"] = "HERE"
        text = json.dumps(document).replace('"HERE"', constant)
        assert problems(text) == [
            f"{OURS}.verification.error.output is {constant}, which JSON does not have; a number "
            "must be finite"
        ]

    def test_one_in_a_list_of_times_is_named_once(self, document, problems):
        document["benchmarks"][0]["stats"]["data"][1] = float("nan")
        (problem,) = problems(document)
        assert problem.startswith("benchmarks[0].stats.data[1] is NaN")

    def test_a_number_too_large_to_be_finite_is_no_time(self, document, problems):
        text = json.dumps(document).replace("0.013", "1e999", 1)
        (problem,) = problems(text)
        assert problem.startswith("benchmarks[0].stats.data[2] is Infinity; it must be finite")

    def test_a_whole_number_beyond_all_floats_is_no_time(self, document, problems):
        document["benchmarks"][0]["stats"]["data"][2] = 10**400
        (problem,) = problems(document)
        assert "must be finite seconds above 0" in problem


class TestCases:
    def test_a_missing_column(self, document, problems):
        del ours(document)["case"]["layout"]
        (problem,) = problems(document)
        assert problem == (
            f"{OURS}.case is no case: a case has the wrong columns: unknown none, missing "
            "['layout']"
        )

    def test_an_unknown_column(self, document, problems):
        ours(document)["case"]["colour"] = "red"
        (problem,) = problems(document)
        assert "unknown ['colour']" in problem

    def test_a_value_of_another_type(self, document, problems):
        ours(document)["case"]["batch"] = "1"
        (problem,) = problems(document)
        assert problem.startswith(f"{OURS}.case is no case: column 'batch' is '1'")

    def test_an_environment_that_is_not_described(self, document, problems):
        ours(document)["case"]["environment"] = "nightly"
        assert problems(document) == [
            f'{OURS}.case.environment is "nightly", which rnnbench.environments does not describe'
        ]

    def test_a_case_that_was_measured_twice(self, document, problems):
        document["benchmarks"][1] = copy.deepcopy(document["benchmarks"][0])
        assert problems(document) == [
            "benchmarks[1].extra_info.rnnbench.case is the same case as "
            "benchmarks[0].extra_info.rnnbench.case; each stands once"
        ]

    def test_a_case_that_was_measured_and_not_measured(self, document, problems):
        document["rnnbench"]["not_measured"][0]["case"] = Case(batch=1).columns()
        assert problems(document) == [
            f"rnnbench.not_measured[0].case is the same case as {OURS}.case; each stands once"
        ]


class TestNotMeasured:
    def test_an_unknown_status(self, document, problems):
        document["rnnbench"]["not_measured"][0]["status"] = "lazy"
        assert problems(document) == [
            'rnnbench.not_measured[0].status is "lazy"; it must be one of unsupported, incorrect, '
            "failed, out_of_memory, timed_out, crashed"
        ]

    @pytest.mark.parametrize("reason", ["", " ", None, 3])
    def test_a_reason_that_says_nothing(self, document, problems, reason):
        document["rnnbench"]["not_measured"][0]["reason"] = reason
        (problem,) = problems(document)
        assert problem.endswith("it must be text that says something")


class TestTimes:
    @pytest.mark.parametrize("time", [0, -0.1, "0.1", None, True])
    def test_each_is_a_finite_number_above_0(self, document, problems, time):
        document["benchmarks"][0]["stats"]["data"][1] = time
        assert problems(document) == [
            f"benchmarks[0].stats.data[1] is {json.dumps(time)}; it must be finite seconds above 0"
        ]

    def test_many_wrong_ones_are_one_sentence(self, document, problems):
        document["benchmarks"][0]["stats"]["data"] = [-1, -2, -3]
        assert problems(document) == [
            "benchmarks[0].stats.data[0] is -1; it must be finite seconds above 0 (2 more are not)"
        ]

    def test_the_number_of_rounds_is_that_of_the_times(self, document, problems):
        document["benchmarks"][0]["stats"]["rounds"] = 4
        assert problems(document) == ["benchmarks[0].stats.rounds is 4, but data holds 3"]

    def test_a_case_without_rounds_is_no_measured_one(self, document, problems):
        document["benchmarks"][0]["stats"].update(data=[], rounds=0)
        ours(document)["blocks"] = []
        assert problems(document) == [
            "benchmarks[0].stats.data is empty; a case without rounds stands in not_measured"
        ]

    def test_iterations_are_those_of_pytest_benchmark(self, document, problems):
        ours(document)["iterations"] = 5
        assert problems(document) == [f"{OURS}.iterations is 5, but stats has 1"]

    def test_a_warm_up_round_is_a_time_too(self, document, problems):
        ours(document)["blocks"][0]["warmup"] = [0.02, -0.02]
        assert problems(document) == [
            f"{OURS}.blocks[0].warmup[1] is -0.02; it must be finite seconds above 0"
        ]


class TestBlocks:
    def test_a_gap_between_two(self, document, problems):
        ours(document)["blocks"][0]["rounds"] = [0, 1]
        assert problems(document) == [
            f"{OURS}.blocks[1].rounds is [2, 3], but the rounds before it end at 1; blocks follow "
            "each other without a gap or an overlap"
        ]

    def test_an_overlap_of_two(self, document, problems):
        ours(document)["blocks"][1]["rounds"] = [1, 3]
        (problem,) = [p for p in problems(document) if "overlap" in p]
        assert problem.startswith(f"{OURS}.blocks[1].rounds is [1, 3], but the rounds before it")

    def test_two_in_the_wrong_order(self, document, problems):
        ours(document)["blocks"].reverse()
        assert any("without a gap" in problem for problem in problems(document))

    def test_rounds_that_no_block_has(self, document, problems):
        del ours(document)["blocks"][1]
        assert problems(document) == [
            f"{OURS}.blocks cover 2 rounds, but stats.data holds 3",
        ]

    @pytest.mark.parametrize("rounds", [[0], [2, 0], [1, 1], [-1, 2], [0, 2.0], [True, 2], "02"])
    def test_what_is_no_range(self, document, problems, rounds):
        ours(document)["blocks"][0]["rounds"] = rounds
        assert problems(document) == [
            f"{OURS}.blocks[0].rounds is {json.dumps(rounds)}; it must be two whole numbers [from, "
            "to), the first the smaller"
        ]

    def test_device_times_are_one_for_each_round(self, document, problems):
        ours(document)["blocks"][1]["device_rounds"] = [0.01, 0.01]
        assert problems(document) == [
            f"{OURS}.blocks[1].device_rounds holds 2 times for 1 rounds; give one for each"
        ]

    def test_parts_have_a_time_for_each_round_which_may_be_none(self, document, problems):
        block = ours(document)["blocks"][1]
        block["parts"] = {"copy": [0.0]}
        assert problems(document) == []
        block["parts"] = {"copy": [0.01, 0.01], "loss": [-1.0], "data": 3}
        here = f"{OURS}.blocks[1].parts"
        assert problems(document) == [
            f"{here}.copy holds 2 times for 1 rounds; give one for each",
            f"{here}.loss[0] is -1.0; it must be a finite number of 0 or more",
            f"{here}.data is 3; it must be a list",
        ]
        block["parts"] = [1]
        assert problems(document) == [f"{here} is [1]; it must be an object"]

    @given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6))
    def test_blocks_that_tile_the_rounds_are_right(self, tmp_path_factory, sizes):
        result = benchmark(Case())
        template = result["extra_info"]["rnnbench"]["blocks"][0]
        ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
        result["extra_info"]["rnnbench"]["blocks"] = [
            {**template, "rounds": [end - size, end]} for size, end in zip(sizes, ends, strict=True)
        ]
        result["stats"].update(data=[0.1] * sum(sizes), rounds=sum(sizes))
        file = tmp_path_factory.getbasetemp() / "tiles.json"
        file.write_text(json.dumps(result_file(result)))
        assert validate(file) == []


class TestFields:
    @pytest.mark.parametrize(
        "key",
        [
            "case",
            "verification",
            "ran",
            "compile",
            "blocks",
            "work",
            "iterations",
            "clock",
            "stopped",
        ],
    )
    def test_each_of_a_measured_case_must_be_there(self, document, problems, key):
        del ours(document)[key]
        (problem,) = problems(document)
        assert problem.startswith(f"{OURS}.{key} is missing; it must be ")

    @pytest.mark.parametrize(
        "key", ["schema", "grid", "options", "environments", "load", "not_measured"]
    )
    def test_each_of_the_run_must_be_there(self, document, problems, key):
        del document["rnnbench"][key]
        assert problems(document)[0].startswith(f"rnnbench.{key} is missing; it must be ")

    def test_a_reason_to_stop_that_is_unknown(self, document, problems):
        ours(document)["stopped"] = "bored"
        assert problems(document) == [
            f'{OURS}.stopped is "bored"; it must be one of precise, time spent'
        ]

    def test_work_without_its_flops(self, document, problems):
        del ours(document)["work"]["flops"]
        assert problems(document) == [
            f"{OURS}.work.flops is missing; it must be a whole number of 0 or more"
        ]

    def test_an_error_that_is_no_number(self, document, problems):
        ours(document)["verification"]["error"]["output"] = "small"
        assert problems(document) == [
            f'{OURS}.verification.error.output is "small"; it must be a finite number of 0 or more'
        ]

    @given(data=st.data())
    def test_anything_anywhere_gives_sentences_and_never_an_exception(self, tmp_path_factory, data):
        document = result_file(benchmark(Case()))
        anything = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
            ),
            max_leaves=4,
        )
        path = data.draw(st.sampled_from(every_place(document)))
        file = tmp_path_factory.getbasetemp() / "anything.json"
        file.write_text(json.dumps(replaced(document, path, data.draw(anything))))
        assert all(problem.startswith(f"{file}: ") for problem in validate(file))


class TestStages:
    def test_a_run_in_stages_is_right(self, document, problems):
        document["rnnbench"] |= {
            "stages": {"planned": 3, "run": 2},
            "sessions": [{"replicates": [0, 1]}, {"replicates": [1, 4]}],
        }
        assert problems(document) == []
        document["rnnbench"]["sessions"] = []
        assert problems(document) == []

    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None, 101, 10**30])
    @pytest.mark.parametrize("key", ["planned", "run"])
    def test_a_number_of_stages_that_is_none(self, document, problems, key, value):
        document["rnnbench"]["stages"] = {"planned": 1, "run": 1, key: value}
        (problem,) = problems(document)
        assert problem.startswith(f"rnnbench.stages.{key} is ")
        assert problem.endswith("; it must be a whole number from 1 to 100")

    def test_more_were_run_than_planned(self, document, problems):
        document["rnnbench"]["stages"] = {"planned": 2, "run": 3}
        assert problems(document) == ["rnnbench.stages.run is 3, but 2 were planned"]

    @pytest.mark.parametrize("stages", [[], 3, None])
    def test_stages_that_are_no_object(self, document, problems, stages):
        document["rnnbench"]["stages"] = stages
        (problem,) = problems(document)
        assert problem.startswith("rnnbench.stages is ")

    def test_sessions_lie_side_by_side(self, document, problems):
        document["rnnbench"]["sessions"] = [{"replicates": [0, 1]}, {"replicates": [2, 4]}]
        assert problems(document) == [
            "rnnbench.sessions[1].replicates is [2, 4], but the replicates before it end at 1"
        ]

    @pytest.mark.parametrize("sessions", [{}, 3, [3], [{}], [{"replicates": [1, 1]}]])
    def test_sessions_that_are_none(self, document, problems, sessions):
        document["rnnbench"]["sessions"] = sessions
        (problem,) = problems(document)
        assert problem.startswith("rnnbench.sessions")

    def test_a_replicate_of_no_session(self, document, problems):
        document["rnnbench"]["sessions"] = [{"replicates": [0, 1]}]
        found = problems(document)
        assert found[0] == (
            f"{OURS}.blocks[1].replicate is 1; it must be a replicate of one of the sessions, "
            "below 1"
        )
        assert len(found) == 2, "of both benchmarks"
