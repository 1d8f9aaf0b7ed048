"""The tables of a report: what stands in them, on files with a known truth and on the real one."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from rnnbench.cases import Case
from rnnbench.report import tables
from rnnbench.report.render import clean, to_csv, to_html, to_markdown, to_rich, to_text
from rnnbench.results import read
from tests import synthetic
from tests.synthetic import Noise, Planted, document, write

REAL = Path(__file__).parents[2] / "results" / "cpu-quick" / "quick.json.gz"
CASE = Case(seq_len=10, batch=4, input_size=3, hidden_size=5)
LOOP = dataclasses.replace(CASE, implementation="python_loop")
SCAN = dataclasses.replace(CASE, implementation="scan")
QUIET = Noise(process=0.01, luck=0.001, drift=0.001, block=0.001, round=0.001)


def having(case=CASE, **changes):
    return dataclasses.replace(case, **changes)


def made(tmp_path, planted, name="made.json", noise=QUIET, **options):
    return read(write(tmp_path / name, document(planted, noise=noise, **options)))


def column(table, heading):
    """Texts of the column whose heading begins so."""
    index = next(i for i, c in enumerate(table.columns) if c.heading.startswith(heading))
    return [row[index].text for row in table.rows]


def best(table, heading):
    index = next(i for i, c in enumerate(table.columns) if c.heading.startswith(heading))
    return [row[index].best for row in table.rows]


@pytest.fixture(scope="module")
def real():
    return read(REAL)


class TestComparison:
    @pytest.fixture
    def table(self, tmp_path):
        planted = [
            Planted(SCAN, 1e-3),
            Planted(CASE, 2e-3),
            Planted(LOOP, 1e-3 * 1.0001),
            Planted(having(batch=8), 3e-3),
        ]
        return tables.comparison(made(tmp_path, planted))

    def test_competitors_stand_in_the_order_of_their_times(self, table):
        assert column(table, "B") == ["4", "4", "4", "8"]
        assert set(column(table, "competitor")[:2]) == {"scan", "python_loop"}
        assert column(table, "competitor")[2:] == ["nn_rnn", "nn_rnn"]
        assert table.data["time"].tolist()[:3] == sorted(table.data["time"].tolist()[:3])

    def test_all_that_cannot_be_told_from_the_best_are_marked(self, table):
        assert best(table, "time,") == [True, True, False, False]
        assert table.data["best"].tolist() == [True, True, False, False]

    def test_ratios_are_to_the_baseline_with_their_interval(self, table):
        ratios = table.data["ratio"].tolist()
        assert ratios[:2] == pytest.approx([0.5, 0.5], rel=0.01)
        assert table.data["ratio_low"][0] < ratios[0] < table.data["ratio_high"][0]
        assert column(table, "time / nn_rnn")[2:] == ["1", "1"]
        assert column(table, "time / nn_rnn")[0].startswith(f"{ratios[0]:.3f}")
        assert "same process" in table.description

    def test_what_is_alike_in_all_rows_is_said_once(self, table):
        headings = [c.heading for c in table.columns]
        assert headings == ["B", "competitor", *headings[2:]]
        assert "T=10 I=3 H=5" in table.description
        assert "footing" not in headings

    def test_another_baseline_gives_other_ratios(self, tmp_path):
        table = tables.comparison(
            made(tmp_path, [Planted(CASE, 2e-3), Planted(LOOP, 1e-3)]), "scan"
        )
        assert column(table, "time / scan") == ["no baseline", "no baseline"]
        assert table.data["ratio"].isna().all()

    def test_runs_are_not_compared_with_each_other(self, tmp_path):
        first = write(tmp_path / "a.json", document([Planted(CASE, 1e-3), Planted(LOOP, 2e-3)]))
        second = write(tmp_path / "b.json", document([Planted(CASE, 3e-3), Planted(LOOP, 9e-3)]))
        table = tables.comparison(read([first, second]))
        assert column(table, "run") == ["a", "a", "b", "b"]
        assert best(table, "time,") == [True, False, True, False]
        assert table.data["ratio"].dropna().tolist() == pytest.approx([2, 3], rel=0.05)

    def test_environments_are_competitors_with_a_footing_of_their_own(self, tmp_path):
        new = having(environment="new")
        names = {name: synthetic.environment() for name in ("default", "new")}
        planted = [Planted(CASE, 1e-3), Planted(LOOP, 2e-3), Planted(new, 3e-3)]
        planted.append(Planted(having(LOOP, environment="new"), 6e-3))
        table = tables.comparison(made(tmp_path, planted, environments=names))
        assert "nn_rnn @ new" in column(table, "competitor")
        # Each environment has a baseline of its own.
        assert table.data["ratio"].dropna().tolist() == pytest.approx([2, 2], rel=0.05)

    def test_one_process_alone_has_no_interval(self, tmp_path):
        results = made(tmp_path, [Planted(CASE, 1e-3), Planted(LOOP, 2e-3)], replicates=1)
        table = tables.comparison(results)
        assert all(text.endswith("[no replicates]") for text in column(table, "time,"))
        assert column(table, "time / nn_rnn")[1].endswith("[no replicates]")


class TestFastest:
    def test_names_the_fastest_its_lead_and_ties(self, tmp_path):
        planted = [
            Planted(CASE, 2e-3),
            Planted(LOOP, 1e-3),
            Planted(SCAN, 1.5e-3),
            Planted(having(batch=8), 3e-3),
        ]
        table = tables.fastest(made(tmp_path, planted))
        assert column(table, "fastest") == ["python_loop", "nn_rnn"]
        following = column(table, "next")
        name, ratio, *_ = following[0].split(" ")
        assert (name, float(ratio)) == ("scan", pytest.approx(1.5, rel=0.02))
        assert following[1] == "nothing else measured"
        assert column(table, "nn_rnn / fastest")[1] == "is nn_rnn"
        data = table.data.iloc[0]
        assert data["baseline_ratio"] == pytest.approx(2, rel=0.02)
        assert (data["best"], data["next"], data["baseline"], data["named"]) == (1, 2, 0, True)

    def test_ties_are_all_named(self, tmp_path):
        table = tables.fastest(made(tmp_path, [Planted(CASE, 1e-3), Planted(LOOP, 1e-3)]))
        assert set(column(table, "fastest")[0].split(", ")) == {"nn_rnn", "python_loop"}
        assert column(table, "next") == ["none told apart"]
        assert not table.data["named"][0]


class TestOptionsOfALayer:
    @pytest.fixture
    def results(self, tmp_path):
        deep = having(num_layers=2)
        cases = [
            deep,
            having(deep, bias=False),
            having(deep, dropout=0.25),
            having(deep, initial_state="zero"),
            having(deep, cell="lstm", dtype="autocast_bfloat16"),
        ]
        missing = [
            (having(SCAN, bias=bias, dropout=share, initial_state=state), "unsupported", "no")
            for bias, share, state in ((True, 0.0, "zero"), (False, 0.25, "given"))
        ]
        return made(tmp_path, [Planted(case, 1e-3) for case in cases], not_measured=missing)

    def test_they_are_said_in_words(self, results):
        table = tables.fastest(results)
        assert sorted(column(table, "biases")) == ["no", "yes", "yes", "yes", "yes"]
        assert sorted(column(table, "dropout")) == ["0.25", "none", "none", "none", "none"]
        assert sorted(column(table, "initial state")) == 4 * ["given"] + ["zero"]
        assert sorted(set(column(table, "dtype"))) == ["autocast_bfloat16", "float32"]

    def test_what_was_not_measured_names_them(self, results):
        (which,) = column(tables.not_measured(results), "which")
        assert "biases or no biases" in which or "no biases or biases" in which
        assert "no dropout or dropout 0.25" in which
        assert "initial state given or zero" in which


class TestPassesAndLayouts:
    def test_passes_stand_beside_each_other(self, tmp_path):
        factors = {"forward": 1, "backward": 2, "forward_backward": 3.1}
        planted = [
            Planted(having(case, pass_=name), seconds * factor)
            for name, factor in factors.items()
            for case, seconds in ((CASE, 1e-3), (LOOP, 2e-3))
        ]
        table = tables.passes(made(tmp_path, planted))
        assert [c.heading for c in table.columns][1:4] == list(factors)
        assert column(table, "competitor") == ["nn_rnn", "python_loop"]
        assert best(table, "forward_backward") == [True, False]
        assert table.data["backward_over_forward"].tolist() == pytest.approx([2, 2], rel=0.02)
        assert table.data["backward"].tolist() == pytest.approx([2e-3, 4e-3], rel=0.05)
        assert set(table.data["backward_over_forward_pairing"]) == {"same run"}

    def test_a_pass_that_was_not_measured_is_said(self, tmp_path):
        planted = [
            Planted(CASE, 1e-3),
            Planted(having(pass_="backward"), 2e-3),
            Planted(LOOP, 1e-3),
        ]
        table = tables.passes(made(tmp_path, planted))
        assert column(table, "backward")[1] == "none"
        assert column(table, "backward / forward")[1] == "none"

    def test_a_layout_is_compared_with_time_major(self, tmp_path):
        planted = [Planted(CASE, 1e-3), Planted(having(layout="batch_first"), 1.2e-3)]
        table = tables.layouts(made(tmp_path, planted))
        assert table.data["ratio"].tolist() == pytest.approx([1.2], rel=0.02)
        assert (table.data["base"][0], table.data["row"][0]) == (0, 1)
        assert "same run" in table.description
        # Each row is of both.
        assert "batch_first" not in table.description
        shown = column(table, "batch_first / time_major")[0]
        assert float(shown.split(" ")[0]) == pytest.approx(1.2, rel=0.02)


class TestDevices:
    @pytest.fixture
    def results(self, tmp_path):
        planted = []
        for batch in (1, 4, 16, 64):
            cpu, gpu = having(batch=batch), having(batch=batch, device="cuda:0")
            planted.append(Planted(cpu, 1e-4 * batch**0.5))
            planted.append(Planted(gpu, 4e-4, device_seconds=1e-4))
        return made(
            tmp_path,
            planted,
            environments={"default": synthetic.environment(devices=synthetic.GPU)},
        )

    def test_speedups_have_both_times_and_the_device_clock_beside_the_wall_clock(self, results):
        table = tables.devices(results)
        alike = table.data[table.data["implementation"] == "nn_rnn"]
        assert alike["speedup"].tolist() == pytest.approx([0.25, 0.5, 1, 2], rel=0.03)
        assert "In all rows, device busy: 25 %." in table.description
        assert "no transfer" in table.description
        assert "In all rows, from: cpu." in table.description

    def test_the_crossover_is_where_it_was_planted(self, results):
        table = tables.crossover(results)
        row = table.data[table.data["implementation"] == "nn_rnn"].iloc[0]
        assert row["size"] == pytest.approx(16, rel=0.1)
        assert row["size_low"] <= 16 <= row["size_high"]
        texts = column(table, "crosses 1 at")
        assert texts[0].startswith(f"{row['size']:.0f} [")
        assert column(table, "state")[0] == "crosses: faster above"
        assert column(table, "measured")[0] == "1 to 64 (4 sizes)"

    def test_several_axes_share_a_table(self, tmp_path):
        planted = [
            Planted(having(batch=b, hidden_size=h, device=d), seconds)
            for b, h in itertools.product((1, 4), (8, 16))
            for d, seconds in (("cpu", 1e-3), ("cuda:0", 5e-4))
        ]
        table = tables.crossover(made(tmp_path, planted))
        assert set(column(table, "axis")) == {"B", "H"}
        assert set(column(table, "H")) == {"8", "16", "varied"}
        assert set(column(table, "crosses 1 at")) == {"none"}
        assert set(column(table, "state")) == {"faster everywhere"}


class TestCosts:
    def test_compilation_pays_after_what_it_cost_over_what_it_gains(self, tmp_path):
        ran = {"graphs": 1, "breaks": {"why": 2}, "recompilations": 0}
        compiled = Planted(
            having(implementation="compiled_loop"),
            1e-3,
            compile_cold=10.0,
            compile_warm=1.0,
            ran=ran,
        )
        slower = Planted(having(implementation="compiled_cell"), 5e-3, compile_cold=3.0)
        results = made(tmp_path, [Planted(CASE, 2e-3), compiled, slower])
        table = tables.compilation(results)
        assert column(table, "competitor") == ["compiled_loop", "compiled_cell"]
        row = table.data.iloc[0]
        assert row["base_calls"] == pytest.approx(10_000, rel=0.05)
        calls = column(table, "calls to pay, over nn_rnn")
        assert float(calls[0].split(" ")[0].replace(",", "")) == pytest.approx(
            row["base_calls"], rel=0.005
        )
        assert calls[1] == "never"
        assert column(table, "warm")[1] == "not recorded"
        assert column(table, "torch.compile")[0] == "1 graph, 2 breaks"

    def test_a_fixed_cost_and_a_cost_for_each_step_are_recovered(self, tmp_path):
        planted = [Planted(having(seq_len=t), 5e-5 + 2e-5 * t) for t in (5, 20, 80)]
        table = tables.scaling(made(tmp_path, planted))
        row = table.data.iloc[0]
        assert row["fixed_low"] <= 5e-5 <= row["fixed_high"]
        assert row["per_step"] == pytest.approx(2e-5, rel=0.05)
        assert column(table, "fit") == ["good"]

    def test_a_bad_fit_is_called_one(self, tmp_path):
        planted = [Planted(having(batch=b), 1e-4 if b < 64 else 1e-3) for b in (1, 8, 64)]
        planted += [Planted(having(LOOP, batch=b), 1e-4 * b**0.5) for b in (1, 8, 64)]
        table = tables.exponents(made(tmp_path, planted))
        assert dict(zip(column(table, "competitor"), column(table, "fit"))) == {
            "nn_rnn": "bad",
            "python_loop": "good",
        }
        assert table.data["exponent"].tolist()[1] == pytest.approx(0.5, abs=0.02)


class TestRates:
    def test_limits_that_are_not_known_are_said_once(self, tmp_path):
        table = tables.rates(made(tmp_path, [Planted(CASE, 1e-3), Planted(LOOP, 2e-3)]))
        assert "limits were not measured" in table.description
        assert [c.heading for c in table.columns][-1] == "FLOP/s"
        assert table.data["tokens_per_second"].tolist() == pytest.approx([4e4, 2e4], rel=0.05)

    def test_limits_of_the_machine_become_shares(self, tmp_path):
        limits = [{"device": "cpu", "dtype": "float32", "threads": 1, "flops_per_second": 6.4e6}]
        environments = {"default": synthetic.environment(limits=limits)}
        planted = [Planted(CASE, 1e-3), Planted(LOOP, 2e-3)]
        table = tables.rates(made(tmp_path, planted, environments=environments))
        flops = 2 * 10 * 4 * 5 * (3 + 5)
        shares = table.data["flops_share"].tolist()
        assert shares == pytest.approx([flops / 6.4e3, flops / 1.28e4], rel=0.05)
        assert column(table, "share of FLOP/s")[0] == f"{100 * shares[0]:.0f} %"
        assert "limit not measured" in table.description


class TestRan:
    def test_what_ran_is_in_words(self, tmp_path):
        ran = {"backend": "inductor", "graphs": 3, "breaks": {"data-dependent": 1}}
        results = made(tmp_path, [Planted(CASE, 1e-3), Planted(LOOP, 2e-3, ran=ran)])
        table = tables.what_ran(results)
        assert column(table, "competitor") == ["nn_rnn", "python_loop"]
        assert column(table, "backend") == ["eager", "inductor"]
        assert column(table, "torch.compile") == ["not used", "3 graphs, 1 break"]
        assert column(table, "error") == ["25 %", "25 %"]
        assert "Why graphs broke: data-dependent." in table.description
        assert table.data["launches"].tolist() == [40, 40]

    def test_reasons_that_differ_have_a_column(self, tmp_path):
        planted = [
            Planted(case, 1e-3, ran={"graphs": 1, "breaks": {reason: 1}})
            for case, reason in ((CASE, "first"), (LOOP, "second"))
        ]
        table = tables.what_ran(made(tmp_path, planted))
        assert column(table, "why the graph broke") == ["first", "second"]

    def test_versions_stand_in_the_order_in_which_they_were_given(self, tmp_path):
        versions = ("torch-2.8.0", "torch-2.13.0")
        planted = [
            Planted(having(case, environment=version), 1e-3)
            for case in (CASE, LOOP)
            for version in sorted(versions)
        ]
        environments = {version: synthetic.environment() for version in versions}
        table = tables.what_ran(made(tmp_path, planted, environments=environments))
        assert column(table, "competitor") == [
            f"{name} @ {version}" for name in ("nn_rnn", "python_loop") for version in versions
        ]


class TestNotMeasured:
    def test_every_case_is_counted_under_its_reason(self, tmp_path):
        missing = [
            (having(SCAN, batch=1), "unsupported", "no scan"),
            (having(SCAN, batch=2), "unsupported", "no scan"),
            (having(LOOP, batch=1), "timed_out", "300 s were over"),
        ]
        table = tables.not_measured(made(tmp_path, [Planted(CASE, 1e-3)], not_measured=missing))
        assert column(table, "status") == ["timed_out", "unsupported"]
        assert column(table, "cases") == ["1", "2"]
        assert column(table, "which") == ["B=1", "B=1, 2"]
        assert column(table, "reason") == ["300 s were over", "no scan"]
        assert len(table.data) == 3
        assert table.description == "3 of 4 cases have no time."

    def test_a_file_without_any_time_has_only_what_is_missing(self, tmp_path):
        results = made(tmp_path, [], not_measured=[(CASE, "failed", "no memory")])
        found = tables.all_tables(results)
        assert set(found) == {"not_measured", "environments", "cases"}
        assert column(found["cases"], "time,") == ["not measured"]
        assert column(found["cases"], "status") == ["failed: no memory"]


class TestEnvironments:
    def test_one_file_has_facts_as_rows(self, real):
        table = tables.environments(real)
        facts = dict(zip(column(table, "what"), column(table, "default")))
        assert facts["torch"] == "2.13.0+cpu"
        assert facts["CPU"] == "AMD EPYC"
        assert facts["virtual machine"] == "yes"
        assert facts["load by others"] == "0.4 %"
        assert facts["variables"] == "TORCHINDUCTOR_COMPILE_THREADS=1"
        assert "GPU" not in facts

    def test_stages_are_those_that_ran_of_those_that_were_planned(self, tmp_path):
        made = document([Planted(CASE, 1e-3)])
        made["rnnbench"] |= {
            "stages": {"planned": 3, "run": 2},
            "sessions": [{"replicates": [0, 2]}, {"replicates": [2, 3]}],
        }
        table = tables.environments(read(write(tmp_path / "staged.json", made)))
        facts = dict(zip(column(table, "what"), column(table, "default")))
        assert facts["stages"] == "2 of 3"

    def test_what_differs_between_files_is_marked(self, tmp_path):
        paths = [
            write(
                tmp_path / f"{torch}.json",
                document(
                    [Planted(CASE, 1e-3)],
                    environments={"default": synthetic.environment(torch=torch)},
                ),
            )
            for torch in ("one", "two")
        ]
        table = tables.environments(read(paths))
        differing = dict(zip(column(table, "what"), column(table, "difference")))
        assert differing["torch"] == "differs"
        assert differing["Python"] == "same"
        assert [c.heading for c in table.columns][1:3] == ["one: default", "two: default"]
        assert table.data["torch"].tolist() == ["one", "two"]

    def test_many_environments_are_rows_with_what_differs(self, tmp_path):
        names = {f"e{i}": synthetic.environment(torch=f"2.{i}") for i in range(6)}
        planted = [Planted(having(environment=name), 1e-3) for name in names]
        table = tables.environments(made(tmp_path, planted, environments=names))
        assert [c.heading for c in table.columns] == ["environment", "torch"]
        assert "In all rows, Python: 3.11.7." in table.description

    def test_a_gpu_has_its_driver_and_libraries(self, tmp_path):
        names = {"default": synthetic.environment(devices=synthetic.GPU)}
        table = tables.environments(made(tmp_path, [Planted(CASE, 1e-3)], environments=names))
        facts = dict(zip(column(table, "what"), column(table, "default")))
        assert facts["GPU"] == "cuda: Synthetic GPU"
        assert (facts["cuDNN"], facts["CUDA or HIP"], facts["GPU driver"]) == (
            "91300",
            "13.0",
            "580.1",
        )

    @pytest.mark.parametrize("odd", [None, 7, "text", [], {"a": []}, [None, {"name": 3}]])
    def test_parts_of_an_odd_type_are_unknown(self, tmp_path, odd):
        parts = ("cpu", "devices", "container", "variables", "memory", "torch")
        names = {"default": synthetic.environment(**dict.fromkeys(parts, odd))}
        results = made(tmp_path, [Planted(CASE, 1e-3)], environments=names)
        table = tables.environments(results)
        assert column(table, "what")[:2] == (
            ["torch", "Python"] if isinstance(odd, int | str) else ["Python", "system"]
        )


class TestCases:
    def test_rows_are_those_of_the_frame(self, tmp_path):
        missing = [(SCAN, "unsupported", "no scan")]
        planted = [Planted(LOOP, 2e-3), Planted(CASE, 1e-3)]
        results = made(tmp_path, planted, not_measured=missing)
        table = tables.cases(results)
        assert column(table, "competitor") == results.frame["implementation"].tolist()
        assert column(table, "status") == ["measured", "measured", "unsupported: no scan"]
        assert column(table, "time / nn_rnn")[1:] == ["1", "not measured"]
        assert best(table, "time,") == [False, True, False]
        assert list(table.data)[: len(results.frame.columns)] == list(results.frame)


class TestReal:
    def test_it_has_all_tables_that_one_device_can_have(self, real):
        assert list(tables.all_tables(real)) == [
            "fastest",
            "comparison",
            "passes",
            "layouts",
            "compilation",
            "rates",
            "what_ran",
            "environments",
            "cases",
        ]

    def test_tables_fit_a_terminal_of_100_columns(self, real):
        for table in tables.all_tables(real).values():
            lines = to_text(table, 100).splitlines()
            assert max(map(len, lines)) <= 100, table.name
            # Headings stand above columns, not beside each cell.
            assert not any(line.startswith(f"{table.columns[0].heading}: ") for line in lines)

    def test_nothing_is_printed_as_nan_or_none(self, real):
        for table in tables.all_tables(real).values():
            texts = {cell.text for row in table.rows for cell in row}
            assert not texts & {"nan", "None", "<NA>", "NaN", ""}, table.name

    def test_no_column_holds_one_value_alone_but_those_that_were_compared(self, real):
        for name in ("comparison", "fastest", "passes", "layouts", "rates", "cases"):
            table = tables.all_tables(real)[name]
            for index, heading in enumerate(table.columns):
                assert len({row[index].text for row in table.rows}) > 1, (name, heading)

    def test_data_has_the_rows_of_the_table(self, real):
        found = tables.all_tables(real)
        for name in ("fastest", "comparison", "passes", "layouts", "compilation", "rates", "cases"):
            assert len(found[name].data) == len(found[name].rows), name


HOSTILE = [
    "<script>alert(1)</script>",
    "=1+1|`x`",
    "\u202eright\x00\x1b[31m",
    "@you #1 [a](b)",
    "x" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=["tag", "formula", "control", "mention", "long"])
def test_hostile_strings_in_every_place_are_only_read(tmp_path, text):
    environment = synthetic.environment(
        torch=text,
        python=text,
        system=text,
        cpu={"model": text, "count": 2, "governor": text},
        variables={text: text},
        container={text: True},
        devices={
            text: {
                "toolkit": text,
                "cudnn": text,
                "devices": [{"name": text}],
                "driver": [{"driver_version": text}],
            }
        },
    )
    ran = {"backend": text, "graphs": 1, "breaks": {text: 1}}
    planted = [Planted(CASE, 1e-3), Planted(LOOP, 2e-3, ran=ran, compile_cold=1.0, compiler=text)]
    content = document(
        planted,
        environments={"default": environment},
        notes=[text],
        not_measured=[(SCAN, "failed", text)],
    )
    content["datetime"] = text
    content["rnnbench"]["version"] = text
    content["rnnbench"]["grid"]["name"] = text
    found = tables.all_tables(read(write(tmp_path / "made.json", content)))
    assert set(found) >= {"environments", "not_measured", "what_ran", "cases", "compilation"}
    shown = clean(text)
    assert shown in column(found["environments"], "default")
    assert any(clean(reason) == shown for reason in column(found["not_measured"], "reason"))
    for table in found.values():
        page, marked = str(to_html(table)), to_markdown(table)
        plain = to_text(table)
        assert "<script" not in page + marked
        assert not set(page + marked + plain) & {"\u202e", "\x00", "\x1b"}
        assert "@you" not in marked
        assert not any(f",{text}" in line for line in to_csv(table).splitlines() if "=" in text)
        assert to_rich(table).row_count == len(table.rows)
        assert max(len(cell.text) for row in table.rows for cell in row) < 10_100


class TestVariants:
    def made(self, tmp_path, **ran):
        planted = [
            Planted(having(case, workload=name, **{"pass_": "training_step"}), seconds, ran=memory)
            for case, factor in ((CASE, 1.0), (LOOP, 2.0))
            for name, seconds, memory in (
                ("training", 1e-3 * factor, {"peak_bytes": 2**20} if ran else {}),
                ("training.checkpointed", 1.5e-3 * factor, {"peak_bytes": 2**18} if ran else {}),
                ("many_to_many", 9e-3, {}),
            )
        ]
        return made(tmp_path, planted)

    def test_each_is_over_the_plain_one_of_its_implementation(self, tmp_path):
        table = tables.variants(self.made(tmp_path, memory=True))
        assert column(table, "workload") == ["training.checkpointed"] * 2
        assert column(table, "competitor") == ["nn_rnn", "python_loop"]
        assert table.data["ratio"].tolist() == pytest.approx([1.5, 1.5], rel=0.01)
        assert (table.data["ratio_low"] < table.data["ratio"]).all()
        assert table.data["ratio_pairing"].tolist() == ["same process"] * 2
        assert table.data["base_time"].tolist() == pytest.approx([1e-3, 2e-3], rel=0.05)

    def test_memory_stands_beside_time_where_it_was_recorded(self, tmp_path):
        table = tables.variants(self.made(tmp_path, memory=True))
        assert column(table, "peak memory, plain") == ["1.00 MiB"] * 2
        assert column(table, "memory / plain") == ["0.25"] * 2
        assert table.data["peak_bytes"].tolist() == [2**18] * 2
        without = tables.variants(self.made(tmp_path))
        assert not [c for c in without.columns if "memory" in c.heading]
        assert "memory" not in without.description

    def test_without_a_plain_one_beside_it_there_is_none(self, tmp_path):
        planted = [
            Planted(having(workload="training.tbptt", pass_="training_step"), 1e-3),
            Planted(having(workload="training", pass_="training_step", batch=9), 1e-3),
        ]
        assert tables.variants(made(tmp_path, planted)) is None

    def test_other_tables_never_mix_workloads(self, tmp_path):
        results = self.made(tmp_path, memory=True)
        compared = tables.comparison(results)
        frame = results.frame
        for row, base in zip(compared.data["row"], compared.data["base"]):
            assert frame.at[row, "workload"] == frame.at[base, "workload"]
        assert len(column(tables.fastest(results), "workload")) == 3
        ran = tables.what_ran(results)
        assert sorted(set(column(ran, "workload"))) == sorted(set(frame["workload"]))
        assert column(ran, "cases") == ["1"] * 6


class TestClassifier:
    EPOCH = having(workload="classifier", pass_="training_step")

    def made(self, tmp_path, *more, plain=True):
        seconds = {"": 1e-2, ".per_sample": 2e-2, ".item_every_step": 1.1e-2, ".split": 1.2e-2}
        planted = [
            Planted(having(self.EPOCH, workload=f"classifier{name}"), time)
            for name, time in seconds.items()
            if name or plain
        ]
        return made(tmp_path, [*planted, *more])

    def test_variants_and_implementations_stand_over_the_plain_epoch(self, tmp_path):
        loop = Planted(having(self.EPOCH, implementation="python_loop"), 0.5e-2)
        table = tables.classifier(self.made(tmp_path, loop))
        assert column(table, "variant")[0] == "plain"
        found = {(row["variant"], row["implementation"]): row for _, row in table.data.iterrows()}
        for which, ratio in (
            (("per_sample", "nn_rnn"), 2.0),
            (("item_every_step", "nn_rnn"), 1.1),
            (("", "python_loop"), 0.5),
        ):
            assert found[which]["ratio"] == pytest.approx(ratio, rel=0.01)
            assert found[which]["ratio_low"] < found[which]["ratio"] < found[which]["ratio_high"]
            assert found[which]["ratio_pairing"] == "same process"
        assert found["per_sample", "nn_rnn"]["verdict"] == "slower"
        assert column(table, "time / plain nn_rnn")[0] == "1"
        assert "per_sample: a dataset that makes each sample's tensors" in table.description

    def test_lengths_have_a_plain_epoch_each(self, tmp_path):
        longer = having(self.EPOCH, seq_len=100)
        both = [
            Planted(longer, 5e-2),
            Planted(having(longer, workload="classifier.per_sample"), 6e-2),
        ]
        table = tables.classifier(self.made(tmp_path, *both))
        assert column(table, "T") == ["10"] * 4 + ["100"] * 2
        ratio = table.data[table.data["seq_len"] == 100]["ratio"].dropna()
        assert ratio.tolist() == pytest.approx([1.2], rel=0.01)

    def test_without_a_plain_epoch_there_is_no_ratio(self, tmp_path):
        table = tables.classifier(self.made(tmp_path, plain=False))
        assert set(column(table, "time / plain nn_rnn")) == {"no plain one"}
        assert table.data["ratio"].isna().all()

    def test_other_workloads_have_neither_table(self, tmp_path):
        results = made(tmp_path, [Planted(CASE, 1e-3)])
        assert tables.classifier(results) is None
        assert tables.epoch(results) is None
        assert tables.latency(results) is None

    def test_neither_have_results_without_a_time(self, tmp_path):
        missing = [(having(self.EPOCH), "failed", "it raised")]
        results = read(write(tmp_path / "none.json", document([], not_measured=missing)))
        for table in (tables.classifier, tables.epoch, tables.latency):
            assert table(results) is None

    def test_parts_stand_with_their_share_and_what_they_cover(self, tmp_path):
        parts = {"data": 0.25, "forward": 0.5, "metrics": 0.2}
        split = having(self.EPOCH, workload="classifier.split")
        table = tables.epoch(made(tmp_path, [Planted(split, 1e-2, parts=parts)]))
        assert column(table, "part") == ["data", "forward", "metrics", "all parts"]
        assert table.data["share"].tolist() == pytest.approx([0.25, 0.5, 0.2, 0.95])
        times = table.data["time"].tolist()
        assert times == pytest.approx([2.5e-3, 5e-3, 2e-3, 1e-2], rel=0.05)
        assert (table.data["time_low"] < table.data["time"]).all()
        assert column(table, "of the epoch")[-1] == "95 %"

    def test_a_part_that_the_clock_cannot_see_has_no_time(self, tmp_path):
        split = having(self.EPOCH, workload="classifier.split")
        planted = [Planted(split, 1e-2, parts={"data": 1.0, "copy": 0.0})]
        table = tables.epoch(made(tmp_path, planted))
        assert column(table, "time")[1] == "too short for the clock"

    def test_an_epoch_that_is_not_split_has_no_parts(self, tmp_path):
        assert tables.epoch(self.made(tmp_path)) is None


class TestLatency:
    STREAM = having(workload="streaming", pass_="inference")

    def test_percentiles_are_over_all_rounds_of_a_process(self, tmp_path):
        noise = Noise(process=0.02, luck=0.01, drift=0.0, block=0.0, round=0.3)
        planted = [
            Planted(self.STREAM, 3e-5),
            Planted(having(self.STREAM, implementation="python_loop"), 2e-5),
        ]
        results = made(tmp_path, planted, noise=noise, rounds=200)
        table = tables.latency(results)
        assert column(table, "competitor") == ["python_loop", "nn_rnn"]
        for _, row in table.data.iterrows():
            per_process = [
                np.concatenate(blocks)
                for blocks in results.samples[row["row"]].by_replicate().values()
            ]
            for name, quantile in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                wanted = np.median([np.quantile(times, quantile) for times in per_process])
                assert row[name] == pytest.approx(wanted)
                assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
            assert row["p50"] < row["p95"] < row["p99"]
        assert column(table, "rounds of a process") == ["1,000"] * 2
        assert "Left out are the first rounds of each turn" in table.description
        assert "Each round is one step." in table.description

    def test_it_says_where_percentiles_are_those_of_means(self, tmp_path):
        content = document([Planted(self.STREAM, 3e-5)], noise=QUIET)
        (benchmark,) = content["benchmarks"]
        benchmark["extra_info"]["rnnbench"]["iterations"] = 4
        benchmark["stats"]["iterations"] = 4
        table = tables.latency(read(write(tmp_path / "means.json", content)))
        assert column(table, "steps of a round") == ["4"]
        assert "shows only their mean" in table.description
        assert "Each round is one step" not in table.description
