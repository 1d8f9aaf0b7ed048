"""Grids: what a file or an option may say, what it becomes, and each sentence about a mistake."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cases import Case, builtin_implementations
from rnnbench.errors import UserError
from rnnbench.grids import AXES, Grid, grid_names, load_grid, parse_axis
from rnnbench.schema import CASE_COLUMNS, DTYPES, LENGTHS

SIZES = st.lists(st.integers(1, 1000), min_size=1, max_size=4)
PRESETS = {
    "appleyard",
    "cudnn_sample",
    "deepbench",
    "deepbench_device",
    "dispatch_edges",
    "fastrnns",
    "flashrnn",
    "lesson",
    "low_batch",
}


@pytest.fixture
def write_grid(tmp_path, monkeypatch):
    """Write a grid file in the working folder, so that sentences name it as a user would."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "mine.toml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


def product(text: str) -> str:
    return f'description = "a test"\n[[product]]\n{text}\n'


def sentence(call, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)


def grid_of(*products, **fields) -> Grid:
    return Grid(name="test", description="a test", products=products, **fields)


class TestExpansion:
    def test_a_product_holds_every_combination_of_its_axes(self, write_grid):
        grid = load_grid(
            write_grid(product("batch = [1, 32]\nseq_len = [10, 20]\nhidden_size = 8"))
        )
        shapes = {(case.batch, case.seq_len, case.hidden_size) for case in grid.cases()}
        assert shapes == {(1, 10, 8), (1, 20, 8), (32, 10, 8), (32, 20, 8)}

    def test_an_axis_that_is_not_given_has_the_default_of_case(self, write_grid):
        assert load_grid(write_grid(product(""))).cases() == [Case()]

    def test_products_are_united_and_what_they_share_stands_once(self, write_grid):
        text = product("batch = [1, 2]") + "[[product]]\nbatch = [2, 3]\n"
        assert [case.batch for case in load_grid(write_grid(text)).cases()] == [1, 2, 3]

    def test_a_value_given_twice_counts_once(self, write_grid):
        assert len(load_grid(write_grid(product("batch = [4, 4, 4]"))).cases()) == 1

    def test_input_size_hidden_follows_each_hidden_size(self, write_grid):
        text = product('input_size = ["hidden", 16]\nhidden_size = [16, 32]')
        shapes = [
            (case.input_size, case.hidden_size) for case in load_grid(write_grid(text)).cases()
        ]
        assert sorted(shapes) == [(16, 16), (16, 32), (32, 32)]

    def test_threads_all_are_the_cores_and_stand_once(self, write_grid):
        grid = load_grid(write_grid(product('threads = [1, "all"]')))
        assert [case.threads for case in grid.cases(cores=6)] == [1, 6]
        assert [case.threads for case in grid.cases(cores=1)] == [1]

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
    def test_threads_all_without_a_number_are_the_cores_of_this_process(self, write_grid):
        grid = load_grid(write_grid(product('threads = "all"')))
        assert [case.threads for case in grid.cases()] == [len(os.sched_getaffinity(0))]

    def test_implementation_all_is_every_built_in_one_and_those_of_plugins(self, write_grid):
        grid = load_grid(write_grid(product('implementation = "all"')))
        found = {case.implementation for case in grid.cases(plugins=("my_cell",))}
        assert found == {*builtin_implementations(), "my_cell"}

    def test_every_environment_has_every_case(self, write_grid):
        grid = load_grid(write_grid(product("batch = [1, 2]")))
        cases = grid.cases(environments=("old", "new"))
        assert {(case.batch, case.environment) for case in cases} == set(
            itertools.product((1, 2), ("old", "new"))
        )

    @given(batch=SIZES, seq_len=SIZES, hidden_size=SIZES)
    def test_the_cases_are_the_sorted_set_of_the_cross_product(self, batch, seq_len, hidden_size):
        grid = grid_of(
            {
                "pass": ("forward", "backward"),
                "batch": tuple(batch),
                "seq_len": tuple(seq_len),
                "hidden_size": tuple(hidden_size),
            }
        )
        expected = {
            Case(pass_=p, batch=b, seq_len=t, hidden_size=h)
            for p, b, t, h in itertools.product(
                ("forward", "backward"), batch, seq_len, hidden_size
            )
        }
        assert grid.cases() == sorted(expected)

    def test_passes_of_one_setting_come_together(self):
        cases = load_grid("quick").cases()
        settings = [setting for setting, _ in itertools.groupby(case.setting for case in cases)]
        assert len(settings) == len(set(settings))

    def test_ten_thousand_cases_expand_without_making_any_twice(self):
        axes = {"batch": tuple(range(1, 101)), "seq_len": tuple(range(1, 101))}
        cases = grid_of(axes, axes).cases()
        assert len(cases) == len(set(cases)) == 10_000

    def test_a_slip_that_makes_millions_of_cases_is_refused_before_they_are_made(self):
        axes = {name: tuple(range(1, 1001)) for name in ("batch", "seq_len", "hidden_size")}
        assert sentence(grid_of(axes).cases) == (
            'grid "test" has a product of 1,000,000,000 cases, and 1,000,000 are more than could '
            "be run; shorten its axes"
        )


class TestOverrides:
    def test_an_override_replaces_its_axis_in_every_product(self):
        grid = grid_of({"batch": (1, 2)}, {"batch": (3,), "seq_len": (5,)})
        cases = grid.override({"batch": (7,)}).cases()
        assert {(case.batch, case.seq_len) for case in cases} == {(7, 20), (7, 5)}

    def test_a_later_override_wins_and_the_others_stay(self):
        grid = grid_of({}).override({"batch": (7,), "seed": (1,)}).override({"batch": (8,)})
        assert [(case.batch, case.seed) for case in grid.cases()] == [(8, 1)]

    def test_an_override_leaves_the_grid_as_it_was(self):
        grid = grid_of({"batch": (1,)})
        grid.override({"batch": (2,)})
        assert [case.batch for case in grid.cases()] == [1]

    def test_an_unknown_axis_is_refused(self):
        assert sentence(grid_of({}).override, {"btach": (1,)}).startswith(
            'there is no axis "btach"; did you mean "batch"? known: implementation, cell,'
        )

    def test_an_override_is_checked_like_a_file(self):
        assert sentence(grid_of({}).override, {"batch": (-1,)}) == (
            "--rnn-batch holds -1; it takes whole numbers of 1 or more, such as --rnn-batch 1,32"
        )

    def test_an_unknown_implementation_of_an_override_names_the_option(self):
        grid = grid_of({}).override({"implementation": ("nn_rn",)})
        assert sentence(grid.cases).startswith(
            '--rnn-implementation holds "nn_rn", which is no implementation; did you mean '
            '"nn_rnn"? known: '
        )

    def test_the_sentence_names_the_option_by_the_prefix_it_was_given_with(self):
        grid = grid_of({}).override({"implementation": ("nn_rn",)}, prefix="--")
        assert sentence(grid.cases).startswith("--implementation holds")

    def test_a_plugin_makes_its_implementation_known(self):
        grid = grid_of({}).override({"implementation": ("my_cell",)})
        assert [case.implementation for case in grid.cases(plugins=("my_cell",))] == ["my_cell"]


class TestOptionText:
    @pytest.mark.parametrize(
        ("axis", "text", "expected"),
        [
            ("batch", "1,32", (1, 32)),
            ("batch", " 1 , 32 ", (1, 32)),
            ("layout", "time_major,batch_first", ("time_major", "batch_first")),
            ("implementation", "all", ("all",)),
            ("threads", "1,all", (1, "all")),
            ("input_size", "hidden,64", ("hidden", 64)),
            ("bidirectional", "true,False", (True, False)),
            ("device", "cpu,cuda:0", ("cpu", "cuda:0")),
            ("seed", "0", (0,)),
        ],
    )
    def test_it_is_split_at_commas_and_typed(self, axis, text, expected):
        assert parse_axis(axis, text) == expected

    @given(sizes=SIZES)
    def test_what_is_printed_reads_back(self, sizes):
        assert parse_axis("hidden_size", ",".join(map(str, sizes))) == tuple(dict.fromkeys(sizes))

    @given(axis=st.sampled_from(sorted(AXES)), text=st.text())
    def test_any_text_gives_values_that_make_a_case_or_one_sentence(self, axis, text):
        said, values = "", ()
        try:
            values = parse_axis(axis, text)
        except UserError as error:
            said = str(error)
        if said:
            assert said.startswith(f"--rnn-{AXES[axis].option} ")
        elif axis not in ("implementation", "lengths"):  # one's own lengths must suit T and B
            assert grid_of({}).override({axis: values}).cases(cores=2)

    @pytest.mark.parametrize(
        ("axis", "text", "expected"),
        [
            (
                "batch",
                "",
                "--rnn-batch is empty; give at least one size, such as --rnn-batch 1,32",
            ),
            (
                "batch",
                "1,,32",
                '--rnn-batch "1,,32" has nothing between two commas or at an end; write it like '
                "--rnn-batch 1,32",
            ),
            (
                "seq_len",
                "ten",
                '--rnn-seq-len holds "ten"; it takes whole numbers of 1 or more, such as '
                "--rnn-seq-len 10,100",
            ),
            (
                "hidden_size",
                "0",
                "--rnn-hidden holds 0; it takes whole numbers of 1 or more, such as "
                "--rnn-hidden 128,256",
            ),
            (
                "input_size",
                "1.5",
                '--rnn-input holds "1.5"; it takes whole numbers of 1 or more or "hidden", such '
                "as --rnn-input 64,256",
            ),
            (
                "seed",
                "-1",
                "--rnn-seed holds -1; it takes whole numbers of 0 or more, such as --rnn-seed 0,1",
            ),
            (
                "bidirectional",
                "yes",
                '--rnn-bidirectional holds "yes"; it takes true or false, such as '
                "--rnn-bidirectional false,true",
            ),
            (
                "pass",
                "forwards",
                '--rnn-pass holds "forwards", which is no pass; did you mean "forward"? known: '
                "inference, forward, backward, forward_backward, training_step",
            ),
            (
                "dtype",
                "int8",
                '--rnn-dtype holds "int8", which is no dtype; known: float32, float64, bfloat16, '
                "float16, autocast_bfloat16, autocast_float16",
            ),
            (
                "device",
                "GPU 0",
                '--rnn-device holds "GPU 0", which is no torch device; give one such as cpu or '
                "cuda:0",
            ),
        ],
    )
    def test_each_mistake_has_its_sentence(self, axis, text, expected):
        assert sentence(parse_axis, axis, text) == expected

    def test_every_axis_is_a_column_and_every_column_but_the_environment_an_axis(self):
        columns = {column.name: column.type for column in CASE_COLUMNS}
        del columns["environment"]
        assert {name: axis.type for name, axis in AXES.items()} == columns

    def test_every_example_is_right(self):
        for name, axis in AXES.items():
            text = ",".join(str(value) for value in axis.example)
            assert parse_axis(name, text) == axis.example

    def test_options_are_those_that_the_documentation_names(self):
        assert {axis.option for axis in AXES.values()} == {
            "implementation",
            "cell",
            "workload",
            "pass",
            "seq-len",
            "batch",
            "input",
            "hidden",
            "layers",
            "bidirectional",
            "bias",
            "dropout",
            "initial-state",
            "lengths",
            "layout",
            "dtype",
            "device",
            "threads",
            "seed",
        }


class TestMistakesInFiles:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                product("batch = []"),
                'grid "mine.toml", product 1: axis "batch" is empty; give at least one size, '
                "such as batch = [1, 32]",
            ),
            (
                product("batch = 1") + "[[product]]\nseq_len = -3\n",
                'grid "mine.toml", product 2: axis "seq_len" holds -3; it takes whole numbers of '
                "1 or more, such as seq_len = [10, 100]",
            ),
            (
                product("hidden_size = [0]"),
                'grid "mine.toml", product 1: axis "hidden_size" holds 0; it takes whole numbers '
                "of 1 or more, such as hidden_size = [128, 256]",
            ),
            (
                product("batch = [1, 2.5]"),
                'grid "mine.toml", product 1: axis "batch" holds 2.5; it takes whole numbers of 1 '
                "or more, such as batch = [1, 32]",
            ),
            (
                product("batch = true"),
                'grid "mine.toml", product 1: axis "batch" holds true; it takes whole numbers of '
                "1 or more, such as batch = [1, 32]",
            ),
            (
                product("bidirectional = 1"),
                'grid "mine.toml", product 1: axis "bidirectional" holds 1; it takes true or '
                "false, such as bidirectional = [false, true]",
            ),
            (
                product("batch = [[1, 2]]"),
                'grid "mine.toml", product 1: axis "batch" holds [1, 2]; it takes whole numbers '
                "of 1 or more, such as batch = [1, 32]",
            ),
            (
                product("implementation = [1]"),
                'grid "mine.toml", product 1: axis "implementation" holds 1; it takes names, such '
                'as implementation = ["nn_rnn", "python_loop"]',
            ),
            (
                product('cell = "rnn_tan"'),
                'grid "mine.toml", product 1: axis "cell" holds "rnn_tan", which is no cell; did '
                'you mean "rnn_tanh"? known: rnn_tanh, rnn_relu, lstm, '
                "gru",
            ),
            (
                product('layout = "batchfirst"'),
                'grid "mine.toml", product 1: axis "layout" holds "batchfirst", which is no '
                'layout; did you mean "batch_first"? known: time_major, batch_first, '
                "batch_first_view, packed, padded, masked",
            ),
            (
                product('threads = "some"'),
                'grid "mine.toml", product 1: axis "threads" holds "some"; it takes whole numbers '
                'of 1 or more or "all", such as threads = [1, 2]',
            ),
            (
                product("hiden_size = 4"),
                'grid "mine.toml", product 1: there is no key "hiden_size"; did you mean '
                '"hidden_size"? known: ' + ", ".join(AXES),
            ),
            (
                'descripton = "a"\n[[product]]\n',
                'grid "mine.toml": there is no key "descripton"; did you mean "description"? '
                "known: description, source, options, plugins, product",
            ),
            (
                "plugins = 0\n" + product(""),
                'grid "mine.toml": "plugins" is 0; it takes true or false: whether they join every '
                "product",
            ),
            (
                "[[product]]\nbatch = 1\n",
                'grid "mine.toml": "description" is missing; say it in words, such as '
                'description = "what it is"',
            ),
            (
                "description = 4\n[[product]]\n",
                'grid "mine.toml": "description" is 4; it must be text in quotes',
            ),
            (
                'description = "a"\n',
                'grid "mine.toml" has no product; give at least one under [[product]], with axes '
                "such as batch = [1, 32]",
            ),
            (
                'description = "a"\n[product]\nbatch = 1\n',
                'grid "mine.toml": "product" is {"batch": 1}; write each as a table of its own, '
                "under [[product]]",
            ),
            (
                'description = "a"\nproduct = [1]\n',
                'grid "mine.toml", product 1 is 1; it must be a table; see '
                '"rnnbench/grids/quick.toml" for one that is right',
            ),
            (
                product("") + "[options]\nsecond = 1\n",
                'grid "mine.toml", options: there is no key "second"; did you mean "seconds"? '
                "known: seconds, replicates",
            ),
            (
                product("") + "[options]\nseconds = 0\n",
                'grid "mine.toml", options: "seconds" is 0; it takes the seconds for one case, '
                "above 0, such as seconds = 1.5",
            ),
            (
                product("") + "[options]\nreplicates = 1.5\n",
                'grid "mine.toml", options: "replicates" is 1.5; it takes a whole number of 1 or '
                "more, such as replicates = 3",
            ),
            (
                product("") + '[source]\ntitle = "a paper"\n',
                'grid "mine.toml", source: give a "url" or a "reference", so that a reader finds '
                "it",
            ),
            (
                product("") + '[source]\ntitle = "a"\nurl = "b"\n[[source.figures]]\n'
                'columns = ["x", "y"]\nrows = [[1, 2], [3]]\n',
                'grid "mine.toml", source, figures 1: row 2 is [3]; give one value for each of '
                "the 2 columns",
            ),
            (
                product("") + '[source]\ntitle = "a"\nurl = "b"\n[[source.figures]]\nrows = []\n',
                'grid "mine.toml", source, figures 1: "columns" must be names, such as columns = '
                '["batch", "forward"]',
            ),
        ],
    )
    def test_each_mistake_has_its_sentence(self, write_grid, text, expected):
        assert sentence(load_grid, write_grid(text)) == expected

    def test_figures_without_a_unit_are_refused(self, write_grid):
        text = product("") + (
            '[source]\ntitle = "a"\nurl = "b"\n[[source.figures]]\ncell = "lstm"\n'
            'quantity = "time"\nmeasured_on = "a GPU"\ncolumns = ["x"]\nrows = [[1]]\n'
        )
        assert '"unit" is missing' in sentence(load_grid, write_grid(text))

    def test_an_unknown_implementation_is_found_when_plugins_are_known(self, write_grid):
        grid = load_grid(write_grid(product('implementation = ["nn_rnn", "python_lop"]')))
        assert sentence(grid.cases).startswith(
            'grid "mine.toml", product 1: axis "implementation" holds "python_lop", which is no '
            'implementation; did you mean "python_loop"? known: '
        )

    def test_what_is_no_toml_says_where(self, write_grid):
        said = sentence(load_grid, write_grid("this is no toml"))
        assert re.match(r'grid "mine\.toml" is no TOML: .*line 1.*; see ".*quick\.toml"', said)

    def test_what_is_no_text_is_no_toml(self, write_grid):
        name = write_grid("")
        Path(name).write_bytes(b"\xff\xfe\x00")
        assert sentence(load_grid, name).startswith('grid "mine.toml" is no TOML: ')

    def test_a_nesting_without_end_is_no_toml(self, write_grid):
        name = write_grid("a = " + "[" * 100_000)
        assert sentence(load_grid, name).startswith('grid "mine.toml" is no TOML: ')

    def test_an_unknown_name_lists_those_that_are_known(self, write_grid):
        assert sentence(load_grid, "quik") == (
            'there is no grid "quik"; did you mean "quick"? known: '
            + ", ".join(grid_names())
            + ", or give the path of a TOML file"
        )

    def test_a_missing_file_is_said_to_be_missing(self, write_grid):
        assert sentence(load_grid, "absent.toml").startswith(
            'grid "absent.toml": there is no such file; give the path of a TOML file, or one of '
        )

    def test_a_folder_cannot_be_read(self, tmp_path):
        assert sentence(load_grid, str(tmp_path)) == (
            f'grid "{tmp_path}" cannot be read: Is a directory; give the path of a TOML file that '
            "you may read"
        )

    @given(text=st.text(max_size=200))
    def test_any_text_is_a_grid_or_one_sentence(self, tmp_path_factory, text):
        file = tmp_path_factory.getbasetemp() / "any.toml"
        file.write_text(text, encoding="utf-8", errors="replace")
        assert sentence(load_grid, file).startswith(f'grid "{file}"')


class TestGridsThatComeWithIt:
    def test_those_of_the_documentation_are_there(self):
        assert {"quick", "standard", "full", *PRESETS} <= set(grid_names())

    @pytest.mark.parametrize("name", grid_names())
    def test_each_expands_into_cases_of_known_implementations(self, name):
        cases = load_grid(name).cases()
        assert cases
        assert {case.implementation for case in cases} <= set(builtin_implementations())

    @pytest.mark.parametrize("name", grid_names())
    def test_each_gives_its_run_options(self, name):
        assert set(load_grid(name).options) == {"seconds", "replicates"}

    @pytest.mark.parametrize("name", grid_names())
    def test_each_can_be_written_to_a_result_file(self, name):
        grid = load_grid(name).override({"device": ("cpu", "cuda")})
        written = json.loads(json.dumps(grid.as_dict()))
        assert written["name"] == name
        assert written["overrides"] == {"device": ["cpu", "cuda"]}
        assert len(written["products"]) == len(grid.products)

    def test_quick_holds_what_the_first_table_promises(self):
        cases = load_grid("quick").cases()
        assert {case.implementation for case in cases} >= {
            "nn_rnn",
            "python_loop",
            "hoisted_loop",
            "torchscript_cell",
            "torchscript_loop",
            "compiled_cell",
            "compiled_loop",
        }
        assert {case.pass_ for case in cases} == {
            "inference",
            "forward",
            "backward",
            "forward_backward",
        }
        assert len({case.layout for case in cases}) == 2
        assert len({case.batch for case in cases}) == 2
        assert len({case.seq_len for case in cases}) == 2
        assert {(case.device, case.threads) for case in cases} == {("cpu", 1)}
        assert 70 <= len(cases) <= 90

    def test_in_quick_what_compiles_meets_every_eager_competitor(self):
        by_group: dict[Case, set[str]] = {}
        for case in load_grid("quick").cases():
            by_group.setdefault(case.group, set()).add(case.implementation)
        compiled = [names for names in by_group.values() if "compiled_loop" in names]
        assert len(compiled) == 4
        assert all("nn_rnn" in names and len(names) == 8 for names in compiled)

    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_each_preset_cites_its_source_and_says_what_was_checked(self, name):
        source = load_grid(name).source
        assert source is not None
        assert source.title
        assert source.url or source.reference
        assert source.checked

    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_every_published_figure_has_a_cell_a_unit_and_a_machine(self, name):
        for figures in load_grid(name).source.figures:
            assert figures.cell
            assert figures.unit
            assert figures.measured_on
            assert len(figures.records()) == len(figures.rows)

    def test_figures_of_lstms_are_labelled_and_run_as_rnn_cells(self):
        for name in ("fastrnns", "appleyard"):
            grid = load_grid(name)
            assert {figures.cell for figures in grid.source.figures} == {"lstm"}
            assert {case.cell for case in grid.cases()} == {"rnn_tanh"}

    def test_deepbench_has_its_published_shapes_and_their_figures(self):
        grid = load_grid("deepbench")
        shapes = {(case.hidden_size, case.batch, case.seq_len) for case in grid.cases()}
        assert shapes == set(itertools.product((1760, 2048, 2560), (16, 32, 64, 128), (50,)))
        records = grid.source.figures[0].records()
        assert {(row["hidden_size"], row["batch"], row["seq_len"]) for row in records} == shapes
        assert records[0]["forward"] == 4.201
        assert {case.cell for case in grid.cases()} == {"rnn_relu"}
        assert all(case.input_size == case.hidden_size for case in grid.cases())

    def test_dispatch_edges_lie_on_both_sides_of_each_limit(self):
        cases = load_grid("dispatch_edges").cases()
        for dtype, limit in (("float32", 256), ("float32", 384), ("float16", 1024)):
            widths = {case.hidden_size for case in cases if case.dtype == dtype}
            assert limit in widths
            assert any(width < limit for width in widths)
            assert any(width > limit for width in widths)

    def test_dtypes_holds_every_dtype_and_each_option_beside_the_plain_layer(self):
        cases = load_grid("dtypes").cases()
        assert {case.dtype for case in cases} == set(DTYPES)
        assert {case.cell for case in cases} == {"rnn_tanh", "lstm", "gru"}
        for column, unusual in (
            ("bias", False),
            ("initial_state", "zero"),
            ("bidirectional", True),
            ("dropout", 0.2),
        ):
            usual = getattr(Case(), column)
            changed = [case for case in cases if getattr(case, column) == unusual]
            assert {case.pass_ for case in changed} == {"inference", "forward_backward"}
            plain = {dataclasses.replace(case, **{column: usual}) for case in changed}
            assert plain <= set(cases)

    def test_variable_length_has_each_distribution_packed_and_padded_in_one_group(self):
        cases = load_grid("variable_length").cases()
        assert {case.lengths for case in cases} == set(LENGTHS) - {"full"}
        layouts: dict[Case, set[str]] = {}
        for case in cases:
            if case.implementation == "nn_rnn" and not case.bidirectional:
                layouts.setdefault(case.group, set()).add(case.layout)
        assert all(found >= {"packed", "padded"} for found in layouts.values())
        assert {case.cell for case in cases} == {"rnn_tanh", "lstm", "gru"}

    def test_a_name_may_be_written_with_hyphens(self):
        assert load_grid("variable-length") == load_grid("variable_length")
        assert load_grid("variable-length").name == "variable_length"

    def test_full_covers_what_a_layer_can_be(self):
        cases = load_grid("full").cases()
        assert {case.implementation for case in cases} == set(builtin_implementations())
        for column in ("cell", "pass_", "layout", "dtype"):
            known = AXES[column.rstrip("_")].known()
            assert {getattr(case, column) for case in cases} == set(known)


def test_loading_a_grid_imports_neither_torch_nor_pandas_nor_typer():
    script = (
        "import sys; from rnnbench.grids import load_grid; load_grid('standard').cases();"
        "print(sorted({'torch', 'pandas', 'numpy', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
