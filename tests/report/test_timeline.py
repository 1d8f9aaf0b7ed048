"""The plot of a timeline: points, levels, steps and rings where the frame has them."""

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from rnnbench.errors import UserError
from rnnbench.report import plots


def frame(runs=20, **changes):
    step = runs // 2
    times = [1e-3 if at < step else 1.2e-3 for at in range(runs)]
    rows = {
        "implementation": "nn_rnn",
        "place": [f"2026-01-{1 + at % 28:02d}" for at in range(runs)],
        "time": times,
        "time_low": [time * 0.98 for time in times],
        "time_high": [time * 1.03 for time in times],
        "level": times,
        "step": [1.2 if at == step else math.nan for at in range(runs)],
        "spike": [at == 3 for at in range(runs)],
        **changes,
    }
    return pd.DataFrame(rows)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]


def lines(axes):
    """The lines of the axes by how many points they have."""
    return {len(line.get_xdata()): line for line in axes.lines if len(line.get_xdata()) > 2}


def test_each_run_is_a_point_with_its_interval():
    figure = plots.timeline(frame())
    (axes,) = figure.axes
    points = lines(axes)[20]
    assert list(points.get_ydata()) == frame()["time"].tolist()
    (bars,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends[0] == pytest.approx([0.98e-3, 1.03e-3])
    assert len(ends) == 20


def test_levels_break_at_the_step_and_its_ratio_is_said():
    (axes,) = plots.timeline(frame()).axes
    # Ten runs on each side, drawn from half a run before to half a run after them.
    levels = [line for line in axes.lines if len(line.get_xdata()) == 12]
    ends = [(line.get_xdata()[0], line.get_xdata()[-1]) for line in levels]
    assert ends == [(-0.5, 9.5), (9.5, 19.5)]
    assert "× 1.20" in texts(axes.figure)


def test_a_run_that_is_off_has_a_ring():
    (axes,) = plots.timeline(frame()).axes
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [list(ring.get_xdata()) for ring in rings] == [[3]]


def test_without_levels_steps_and_intervals_there_are_the_points():
    plain = frame()[["implementation", "place", "time"]].assign(time_low=None, time_high=None)
    (axes,) = plots.timeline(plain).axes
    assert len(axes.lines) == 1
    assert len(plots.png_bytes(axes.figure)) > 1000


def test_ticks_do_not_run_into_each_other():
    figure = plots.timeline(frame(200, place=[f"version {at:03d}" for at in range(200)]))
    (axes,) = figure.axes
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 5
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_place_that_repeats_is_said_once():
    (axes,) = plots.timeline(frame(place=["2.8.0"] * 10 + ["2.13.0"] * 10)).axes
    shown = dict(zip(axes.get_xticks(), [t.get_text() for t in axes.get_xticklabels()]))
    assert shown == {0: "2.8.0", 10: "2.13.0"}


def test_hostile_places_and_titles_stay_text():
    text = '<script>alert("x")</script> $\\frac{1}{2}$ \u202e\x07'
    figure = plots.timeline(frame(place=text), title=text, order=text)
    drawn = plots.svg_text(figure, "timeline_1")
    ET.fromstring(drawn)
    assert "<script" not in drawn
    assert "\u202e" not in drawn


@pytest.mark.parametrize("column", ["implementation", "place", "time", "time_low"])
def test_a_frame_without_a_column_is_refused(column):
    with pytest.raises(UserError, match=f"timeline: the frame has no column '{column}'"):
        plots.timeline(frame().drop(columns=column))


def test_runs_without_a_time_are_refused():
    with pytest.raises(UserError, match="a row has no time"):
        plots.timeline(frame(time=[None] + [1e-3] * 19))
    with pytest.raises(UserError, match="no rows to draw"):
        plots.timeline(frame().iloc[:0])
