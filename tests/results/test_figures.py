"""The study of a process's figure, on runs whose truth is planted."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "results" / "noise"


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    import figures

    return figures


def write(path, *, slow_share):
    """Two sides of eight processes that meet the slow speed at the same turns."""
    rng = np.random.default_rng(3)
    cases = {}
    for case in range(6):
        speed = np.where(rng.random((8, 5)) < slow_share, 1.75, 1.0)
        cases[str(case)] = {
            side: [
                [p, 5 * p + b, float(speed[p, b] * 1e-3 * np.exp(0.003 * rng.standard_normal())), 1]
                for p in range(8)
                for b in range(5)
            ]
            for side in ("same", "again")
        }
    path.write_bytes(gzip.compress(json.dumps({"cases": cases}).encode()))
    return path


OF_EACH = "median of its steady blocks"
OF_BOTH = "**steady blocks of both, less a speed of both**"


@pytest.mark.parametrize(("slow_share", "better"), [(0.5, OF_EACH), (0.85, OF_BOTH)])
def test_of_two_speeds_steady_blocks_tell(figures, tmp_path, slow_share, better):
    cases = figures.load(write(tmp_path / "blocks-x.json.gz", slow_share=slow_share))
    shares = {name: figures.row(cases, figure) for name, figure in figures.FIGURES.items()}
    found = figures.PLANTED.index(0.05) - len(figures.PLANTED)
    assert shares[OF_BOTH][found] > 95
    worse = "median of all blocks" if better == OF_EACH else OF_EACH
    assert shares[worse][found] < shares[better][found]


def test_the_table_has_a_row_for_each_figure_of_each_run(figures, tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "blocks-one.json.gz", slow_share=0.0)
    monkeypatch.setattr(sys, "argv", ["figures.py", str(path)])
    figures.main()
    head, line, *rows = capsys.readouterr().out.splitlines()
    assert head.count("|") == line.count("|") == 8
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(figures.FIGURES)
    assert all(row.split(" | ")[1] == "one" for row in rows)


def test_scattered_processes_are_drawn_and_the_chosen_factor_comes_back(monkeypatch, capsys):
    from rnnbench import steady

    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "scatter", raising=False)
    import scatter

    chosen = steady._CLEAR
    monkeypatch.setattr(scatter, "TRIALS", 60)
    monkeypatch.setattr(scatter, "PAIRS", (8,))
    monkeypatch.setattr(scatter, "SCATTERS", ((0.1, 0.0),))
    scatter.main()
    *_, row = capsys.readouterr().out.splitlines()
    none, always, *_, kept = (float(cell) for cell in row.strip("| ").split(" | ")[3:])
    assert always < 92 < min(none, kept)
    assert steady._CLEAR == chosen == scatter.FACTORS[-1]
