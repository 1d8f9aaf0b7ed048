"""Tables of sequences of different lengths, on files with a known truth."""

import dataclasses

import pytest

from rnnbench.cases import Case
from rnnbench.report import tables
from rnnbench.results import read
from rnnbench.work import work_of
from tests.synthetic import Noise, Planted, document, write

QUIET = Noise(process=0.01, luck=0.001, drift=0.001, block=0.001, round=0.001)
CASE = Case(seq_len=16, batch=8, input_size=3, hidden_size=5)
LENGTHS = ("long_tail", "uniform", "bucketed", "constant")
SHARES = [work_of(dataclasses.replace(CASE, lengths=x))["valid_tokens"] / 128 for x in LENGTHS]


def of(lengths, layout, **changes):
    return dataclasses.replace(CASE, lengths=lengths, layout=layout, **changes)


def made(tmp_path, planted, **options):
    options = {"noise": QUIET, **options}
    return read(write(tmp_path / "made.json", document(planted, **options)))


def curve(tmp_path, packed, lengths=LENGTHS, **options):
    """nn_rnn padded at 1 ms, and packed at a function of the share of valid tokens."""
    planted = []
    for name in lengths:
        case = of(name, "padded")
        share = work_of(case)["valid_tokens"] / work_of(case)["tokens"]
        planted += [Planted(case, 1e-3), Planted(of(name, "packed"), 1e-3 * packed(share))]
    return made(tmp_path, planted, **options)


def column(table, heading):
    index = next(i for i, c in enumerate(table.columns) if c.heading.startswith(heading))
    return [row[index].text for row in table.rows]


class TestLengths:
    @pytest.fixture
    def table(self, tmp_path):
        planted = [
            Planted(of("uniform", "padded"), 1.44e-3),
            Planted(of("uniform", "packed"), 0.72e-3),
            Planted(of("uniform", "masked", implementation="python_loop"), 2.88e-3),
            Planted(of("constant", "padded"), 1.28e-3),
            Planted(CASE, 1e-3),
        ]
        return tables.lengths(made(tmp_path, planted))

    def test_the_cost_of_a_valid_token_is_that_of_a_call_over_their_number(self, table):
        assert column(table, "lengths") == ["constant", "uniform", "uniform", "uniform"]
        assert column(table, "valid") == ["100 %", "56 %", "56 %", "56 %"]
        assert column(table, "layout") == ["padded", "packed", "padded", "masked"]
        data = table.data
        assert data["per_token"].tolist() == pytest.approx([1e-5, 1e-5, 2e-5, 4e-5], rel=0.02)
        assert (data["per_token_low"] < data["per_token"]).all()
        assert (data["per_token"] < data["per_token_high"]).all()
        assert column(table, "a valid token, µs")[1].startswith("10.")

    def test_ratios_are_to_the_padded_batch_of_the_same_implementation(self, table):
        data = table.data
        assert data["ratio"].dropna().tolist() == pytest.approx([0.5], rel=0.01)
        assert data["base"].tolist()[:3] == [3, 0, 0]
        texts = column(table, "time / padded")
        assert texts[0] == texts[2] == "1"
        assert texts[1].endswith("]")
        assert texts[3] == "no padded one"
        assert "same process" in table.description

    def test_without_such_sequences_there_is_none(self, tmp_path):
        results = made(tmp_path, [Planted(CASE, 1e-3)])
        assert tables.lengths(results) is None
        assert tables.packing(results) is None


class TestPacking:
    def test_a_known_crossing_is_found_between_the_measured_shares(self, tmp_path):
        # In proportion to the share, and as long as padding at 0.7 of it.
        row = tables.packing(curve(tmp_path, lambda share: share / 0.7)).data.iloc[0]
        assert row["state"] == "crosses"
        assert row["size"] == pytest.approx(0.7, rel=0.01)
        assert row["size_low"] < row["size"] < row["size_high"]
        assert not row["faster_above"]
        assert (row["smallest"], row["largest"]) == pytest.approx((SHARES[0], 1.0))
        assert row["ratio_smallest"] == pytest.approx(SHARES[0] / 0.7, rel=0.01)
        assert row["ratio_largest"] == pytest.approx(1 / 0.7, rel=0.01)
        assert row["distributions"] == 4

    @pytest.mark.parametrize(
        ("packed", "said", "crosses"),
        [
            (lambda share: share / 0.7, "pays below", "70 % ["),
            (lambda share: 1.4 - share, "pays above", "39 % ["),
            (lambda share: 0.9 * share, "pays at all", "none"),
            (lambda share: 1 + share, "pays at none", "none"),
        ],
    )
    def test_it_says_where_packing_pays(self, tmp_path, packed, said, crosses):
        table = tables.packing(curve(tmp_path, packed))
        assert column(table, "packing") == [said]
        assert column(table, "crosses 1")[0].startswith(crosses)
        assert column(table, "order") == ["unsorted"]
        assert "4 distributions" in column(table, "valid")[0]

    def test_nothing_is_said_beyond_what_was_measured(self, tmp_path):
        results = curve(tmp_path, lambda share: share / 0.95, noise=Noise(luck=0.03))
        table = tables.packing(results)
        assert column(table, "packing") == ["cannot tell"]
        assert column(table, "crosses 1")[0].endswith(", above 100 %]")
        assert table.data["above_largest"].tolist() == [True]
        assert table.data["size_high"].isna().all()

    def test_sorted_and_unsorted_are_curves_of_their_own(self, tmp_path):
        names = (*LENGTHS, *(f"{name}_sorted" for name in LENGTHS))
        table = tables.packing(curve(tmp_path, lambda share: share / 0.7, names))
        assert column(table, "order") == ["unsorted", "sorted"]
        assert table.data["distributions"].tolist() == [4, 4]

    def test_a_share_that_was_measured_twice_has_one_place(self, tmp_path):
        names = ("16+16+8+8+8+8+4+4", "16+16+8+8+8+4+8+4", "constant")
        table = tables.packing(curve(tmp_path, lambda share: share / 0.8, names))
        assert table.data["distributions"].tolist() == [2]

    def test_one_share_makes_no_curve(self, tmp_path):
        assert tables.packing(curve(tmp_path, lambda share: 1.0, ("uniform",))) is None
