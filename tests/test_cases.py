"""A case holds only what its columns allow, and its columns and its id tell it from every other."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case, builtin_implementations, builtin_workloads
from rnnbench.errors import UserError
from rnnbench.schema import CASE_COLUMNS, CELLS, DTYPES, LAYOUTS, PASSES, VARIANTS

SIZES = ("seq_len", "batch", "input_size", "hidden_size", "num_layers", "threads")
NAMES = ("implementation", "workload", "environment")


def with_column(name, value) -> Case:
    return dataclasses.replace(Case(), **{"pass_" if name == "pass" else name: value})


sizes = st.integers(1, 4000)
names = st.one_of(
    st.sampled_from(["nn_rnn", "layer", "default", "s7", "any"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.+]{0,8}", fullmatch=True),
)
environments = st.one_of(names, st.from_regex(r"[A-Za-z_][A-Za-z0-9_.+-]{0,8}", fullmatch=True))
cases = st.builds(
    Case,
    cell=st.sampled_from(CELLS),
    workload=st.one_of(st.sampled_from(["layer", "classifier"]), names),
    device=st.sampled_from(["cpu", "cuda", "cuda:0", "cuda:1", "mps"]),
    dtype=st.sampled_from(DTYPES),
    threads=sizes,
    num_layers=sizes,
    bidirectional=st.booleans(),
    hidden_size=sizes,
    input_size=sizes,
    batch=sizes,
    seq_len=sizes,
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 100),
    pass_=st.sampled_from(PASSES),
    implementation=names,
    environment=environments,
)


class TestValidation:
    @pytest.mark.parametrize("column", CASE_COLUMNS, ids=lambda column: column.name)
    def test_every_column_refuses_another_type_and_names_itself(self, column):
        wrong = {str: 3, int: "3", bool: 1, float: 0}[column.type]
        with pytest.raises(UserError, match=f"column '{column.name}' is {wrong!r}; it must be of"):
            with_column(column.name, wrong)

    @pytest.mark.parametrize("column", [c for c in CASE_COLUMNS if c.type is int])
    def test_a_truth_value_is_no_number(self, column):
        with pytest.raises(UserError, match=f"{column.name}.*must be of type int"):
            with_column(column.name, True)

    @pytest.mark.parametrize("value", [0, -1])
    @pytest.mark.parametrize("name", SIZES)
    def test_sizes_begin_at_one(self, name, value):
        assert getattr(with_column(name, 1), name) == 1
        with pytest.raises(UserError, match=f"column '{name}' is {value}; it must be 1 or more"):
            with_column(name, value)

    def test_the_seed_begins_at_zero(self):
        assert with_column("seed", 0).seed == 0
        with pytest.raises(UserError, match="column 'seed' is -1; it must be 0 or more"):
            with_column("seed", -1)

    @pytest.mark.parametrize(
        ("name", "known"),
        [("pass", PASSES), ("layout", LAYOUTS), ("dtype", DTYPES), ("cell", CELLS)],
    )
    def test_words_are_among_the_known_ones_which_the_refusal_lists(self, name, known):
        for word in known:
            assert with_column(name, word).columns()[name] == word
        with pytest.raises(UserError) as refused:
            with_column(name, "nonsense")
        assert str(refused.value) == (
            f"column {name!r} is 'nonsense'; it must be one of {', '.join(known)}"
        )

    @pytest.mark.parametrize("value", ["", "a b", "1a", "a\n", "-a", "a/b", "a[b]"])
    @pytest.mark.parametrize("name", NAMES)
    def test_names_are_plain(self, name, value):
        with pytest.raises(UserError, match=f"column '{name}' is"):
            with_column(name, value)

    @pytest.mark.parametrize("value", ["", "CPU", "cuda:", "cuda:x", "cuda:0 ", "cpu\n"])
    def test_devices_look_like_devices(self, value):
        with pytest.raises(UserError, match="column 'device' is .* such as cpu or cuda:0"):
            with_column("device", value)

    def test_a_case_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Case().batch = 3


class TestColumns:
    def test_they_are_the_schemas_in_its_order(self):
        assert list(Case().columns()) == [column.name for column in CASE_COLUMNS]
        assert len(dataclasses.fields(Case)) == len(CASE_COLUMNS)

    @given(cases)
    def test_a_case_comes_back_from_its_columns(self, case):
        assert Case.from_columns(case.columns()) == case

    def test_missing_and_unknown_columns_are_named(self):
        columns = Case().columns()
        del columns["batch"]
        columns["colour"] = "red"
        with pytest.raises(UserError, match=r"unknown \['colour'\], missing \['batch'\]"):
            Case.from_columns(columns)
        with pytest.raises(UserError, match=r"unknown none, missing \['batch'"):
            Case.from_columns({})


class TestId:
    @given(cases, cases)
    def test_different_cases_have_different_ids(self, one, other):
        assert (one.id == other.id) == (one == other)

    @given(cases, st.data())
    def test_each_column_alone_changes_it(self, case, data):
        name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(Case)]))
        value = getattr(data.draw(cases), name)
        other = dataclasses.replace(case, **{name: value})
        assert (other.id == case.id) == (other == case)

    def test_it_reads_as_the_case_does_and_leaves_defaults_out(self):
        case = Case(bidirectional=True, seq_len=5)
        assert case.id == (
            "nn_rnn-rnn_tanh-forward-T5-B32-I64-H128-L1-bidirectional-time_major-float32-cpu-t1"
        )
        other = dataclasses.replace(case, seed=7, environment="old", workload="classifier")
        assert other.id.startswith("nn_rnn-classifier-rnn_tanh-")
        assert other.id.endswith("-t1-s7@old")
        assert DEFAULT_ENVIRONMENT not in case.id

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"seed": 7}, {"environment": "s7"}),
            ({"implementation": "a", "workload": "b"}, {"implementation": "a.b"}),
            ({"num_layers": 1, "bidirectional": True}, {"num_layers": 1}),
        ],
    )
    def test_columns_that_look_alike_stay_apart(self, one, other):
        assert dataclasses.replace(Case(), **one).id != dataclasses.replace(Case(), **other).id

    def test_a_name_cannot_look_like_two_parts(self):
        for name in ("implementation", "workload"):
            with pytest.raises(
                UserError, match=f"'{name}' is 'a-b'; use letters, digits and _ . [+],"
            ):
                with_column(name, "a-b")
        assert with_column("environment", "torch-2.13").id.endswith("-t1@torch-2.13")


class TestRelatives:
    @given(cases)
    def test_competitors_share_a_group_and_differ_in_who_computes(self, case):
        rival = dataclasses.replace(case, implementation="another", environment="elsewhere")
        assert rival.group == case.group == case.group.group

    @given(cases, st.data())
    def test_anything_else_parts_groups(self, case, data):
        others = [f.name for f in dataclasses.fields(Case) if f.name not in NAMES]
        name = data.draw(st.sampled_from([*others, "workload"]))
        other = dataclasses.replace(case, **{name: getattr(data.draw(cases), name)})
        assert (other.group == case.group) == (other == case)

    @given(cases, st.sampled_from(PASSES))
    def test_passes_of_one_layer_share_a_setting(self, case, pass_):
        other = dataclasses.replace(case, pass_=pass_, implementation="another")
        assert other.setting == case.setting
        assert dataclasses.replace(other, seed=case.seed + 1).setting != case.setting

    def test_directions_and_batch_first_follow_from_the_columns(self):
        assert [Case(bidirectional=flag).directions for flag in (False, True)] == [1, 2]
        found = [layout for layout in LAYOUTS if Case(layout=layout).batch_first]
        assert found == ["batch_first", "batch_first_view"]

    def test_cases_that_share_weights_come_together_in_order(self):
        mixed = [
            Case(seq_len=length, pass_=pass_, implementation=name)
            for name in ("b", "a")
            for pass_ in ("inference", "forward")
            for length in (20, 10)
        ]
        ordered = [case.seq_len for case in sorted(mixed)]
        assert ordered == [10] * 4 + [20] * 4


def test_builtin_names_are_the_files_without_the_oracle():
    names = builtin_implementations()
    assert "nn_rnn" in names
    assert "reference" not in names
    assert not [name for name in names if name.startswith("_")]
    found = builtin_workloads()
    assert {"layer", "many_to_one", "one_to_many", "encoder_decoder", "training"} < set(found)
    assert found.index("many_to_one.every_step") == found.index("many_to_one") + 1
    assert {name for name in found if "." in name} == {
        f"{family}.{variant}" for family, several in VARIANTS.items() for variant in several
    }
