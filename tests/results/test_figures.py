"""The study of a process's figure, on runs whose truth is planted."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnbench.regressions.noise import size_classes, study
from rnnbench.results import read
from tests.regressions.test_noise import make

FOLDER = Path(__file__).parents[2] / "results" / "noise"


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    import figures

    return figures


def write(path, *, slow_share, luck=0.0, seed=3):
    """Two sides of eight processes that meet the slow speed at the same turns.

    Each process has luck of its own, of that standard deviation.
    """
    rng = np.random.default_rng(seed)
    cases = {}
    for case in range(6):
        speed = np.where(rng.random((8, 5)) < slow_share, 1.75, 1.0)
        cases[str(case)] = {}
        for side in ("same", "again"):
            own = luck * rng.standard_normal(8) if luck else np.zeros(8)
            cases[str(case)][side] = [
                [p, 5 * p + b, float(speed[p, b] * 1e-3 * np.exp(own[p] + scatter)), 1]
                for p in range(8)
                for b in range(5)
                for scatter in [0.003 * rng.standard_normal()]
            ]
    path.write_bytes(gzip.compress(json.dumps({"cases": cases}).encode()))
    return path


OF_EACH = "median of its steady blocks"
OF_BOTH = "**the first or the fourth, whichever lies closer**"


@pytest.mark.parametrize(("slow_share", "better"), [(0.5, OF_EACH), (0.85, OF_BOTH)])
def test_of_two_speeds_steady_blocks_tell(figures, tmp_path, slow_share, better):
    cases = figures.load(write(tmp_path / "blocks-x.json.gz", slow_share=slow_share))
    shares = {name: figures.row([cases], figure) for name, figure in figures.FIGURES.items()}
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


def test_two_runs_find_more_than_each_of_them(figures, tmp_path, monkeypatch, capsys):
    names = ("2026-01-01-threads2", "2026-01-02-threads2")
    for seed, name in enumerate(names):
        write(tmp_path / f"blocks-{name}.json.gz", slow_share=0.0, luck=0.03, seed=seed)
    for other in ("2026-01-02", "2026-01-02-threads2-unbound"):
        write(tmp_path / f"blocks-{other}.json.gz", slow_share=0.0)
    monkeypatch.delitem(sys.modules, "sessions", raising=False)
    import sessions

    monkeypatch.setattr(sessions, "__file__", str(tmp_path / "sessions.py"))
    sessions.main()
    _, _, *rows = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows]
    assert [row[0] for row in cells] == [*names, " + ".join(names)]
    found = [[float(share) for share in row[-2:]] for row in cells]
    assert all(both > max(alone) for *alone, both in zip(*found, strict=True))


def test_a_run_is_judged_at_both_margins(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import judged

    judged.main(str(make(tmp_path / "noise.json")), "5%")
    said, empty, head, *rows = capsys.readouterr().out.splitlines()
    assert "Of 6 cases with 5.0 % more time, 6 were called slower" in said
    assert "At a margin of 5% 6 of the 6 unchanged cases were called the same" in said
    assert not empty and head.startswith("| time of a call") and len(rows) == 1 + 3 + 1


def kept(source, target):
    import blocks

    blocks.main(str(source), str(target))
    return target


@pytest.mark.parametrize("sessions", [1, 2])
def test_kept_blocks_say_what_the_run_itself_says(figures, tmp_path, monkeypatch, capsys, sessions):
    monkeypatch.delitem(sys.modules, "whole", raising=False)
    import whole

    names = ["-first", "-second"][:sessions] if sessions > 1 else [""]
    files = [
        kept(make(tmp_path / "noise.json", seed=seed), tmp_path / f"blocks-day{name}.json.gz")
        for seed, name in enumerate(names)
    ]
    monkeypatch.setattr(sys, "argv", ["whole.py", *map(str, files)])
    capsys.readouterr()
    whole.main()
    head, line, row, empty, said = capsys.readouterr().out.splitlines()
    assert not empty and said.startswith(
        "In 1 run 0 of 6 unchanged cases were called slower or faster"
    )
    assert head.count("|") == line.count("|") == row.count("|")
    cells = dict(zip(*([c.strip() for c in x.strip("|").split("|")] for x in (head, row))))
    assert cells["run"] == "day" and cells["3 % found"] == cells["10 % found"] == "—"
    if sessions > 1:
        assert cells["processes a side"] == "16 in 2 sessions"
        assert cells["5 % found"] == "6/6"
        return
    results = read([tmp_path / "noise.json"])
    found, wide = size_classes(study(results, [0.05]))[-1], study(results, [], margin=0.05)
    assert cells["processes a side"] == "8"
    for name, share in {
        "false verdicts": found.false_alarms,
        "holds 1": found.covered,
        "`same` at 2 %": found.same,
        "`same` at 5 %": size_classes(wide)[-1].same,
        "5 % found": found.power[0.05],
    }.items():
        assert cells[name] == f"{share.found}/{share.of}"


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
    none, always, *_, kept, closer = (float(cell) for cell in row.strip("| ").split(" | ")[3:])
    assert always < 92 < min(none, kept, closer)
    assert steady._CLEAR == chosen == scatter.FACTORS[-1]
