"""Plots: what is drawn, in which units, in colours that all tell apart, and as inert text."""

import itertools
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from rnnbench.cases import builtin_implementations
from rnnbench.errors import UserError
from rnnbench.report import plots
from rnnbench.report.plots import canvas, curves, raw, style

HOSTILE = '<script>alert("x")</script> $\\frac{1}{2}$ \u202egnp\x07 id="a" #222223'


def frame(**changes):
    rows = [
        {
            "implementation": name,
            "pass": step,
            "seq_len": size,
            "batch": 32,
            "time": size * seconds * factor,
            "time_low": size * seconds * factor * 0.97,
            "time_high": size * seconds * factor * 1.04,
        }
        for (name, factor), (step, seconds), size in itertools.product(
            [("nn_rnn", 1.0), ("python_loop", 1.4), ("my_cell", 1.41)],
            [("forward", 1e-5), ("backward", 2e-5), ("forward_backward", 3e-5)],
            (10, 50, 200),
        )
    ]
    return pd.DataFrame(rows).assign(**changes)


def ratios():
    return pd.DataFrame(
        {
            "implementation": ["python_loop", "python_loop", "scan", "scan"],
            "setting": ["a", "b", "a", "b"],
            "seq_len": [10, 50, 10, 10],
            "batch": [1, 32, 1, 32],
            "ratio": [0.5, 1.01, 2.0, 1.2],
            "low": [0.4, 0.98, 1.9, np.nan],
            "high": [0.6, 1.03, 2.1, np.nan],
        }
    )


def paid(**changes):
    row = {
        "implementation": "compiled_loop",
        "time": 1e-3,
        "compile_cold": 10.0,
        "base_implementation": "nn_rnn",
        "base_time": 2e-3,
        "calls": 1e4,
        "calls_low": 8e3,
        "calls_high": 1.3e4,
        "state": "pays",
    }
    return pd.DataFrame([{**row, **changes}])


def rounds(replicates=2, blocks=3, per_block=20):
    rng = np.random.default_rng(0)
    rows = [
        {
            "row": 0, "block": block * replicates + r, "replicate": r,
            "start": float(block * replicates + r), "round": i, "warmup": i < 2,
        }
        for block in range(blocks) for r in range(replicates) for i in range(per_block)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(seconds=1e-3 * (1 + 0.1 * rng.random(len(rows))))


def learning(seeds=2, epochs=4):
    rows = [
        {
            "seed": seed,
            "epoch": epoch,
            "loss": 1 / (epoch + seed),
            "accuracy": 1 - 0.5 / epoch,
            "training_accuracy": 1 - 0.4 / epoch,
            "held_out_accuracy": 1 - 0.45 / epoch,
        }
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


def streams(workers=(1, 2, 4)):
    rows = [
        {
            "implementation": name,
            "workers": count,
            "steps_per_second": rate * count**0.8,
            "steps_per_second_low": 0.9 * rate * count**0.8,
            "steps_per_second_high": 1.1 * rate * count**0.8,
            **{
                f"{column}{suffix}": factor * share * count**0.2 / rate
                for column, factor in (("p50", 1.0), ("p99", 2.0))
                for suffix, share in (("", 1.0), ("_low", 0.95), ("_high", 1.05))
            },
        }
        for name, rate in (("nn_rnn", 2e4), ("python_loop", 3e4))
        for count in workers
    ]
    return pd.DataFrame(rows)


def roof(**changes):
    return pd.DataFrame(
        {
            "implementation": ["nn_rnn", "python_loop"],
            "flops": [10**9, 10**8],
            "bytes": [10**7, 10**8],
            "flops_per_second": [5e10, 2e10],
        }
    ).assign(**changes)


def growths():
    laws = (("compiled_loop", 1.1, 0.9), ("compiled_cell", 15.0, 0.03))
    return pd.DataFrame(
        {
            "implementation": name,
            "label": name,
            "seq_len": size,
            "seconds": 1.02 * factor * size**exponent,
            "factor": factor,
            "exponent": exponent,
        }
        for name, factor, exponent in laws
        for size in (80, 5, 20)
    )


FIGURES = {
    "time_against": lambda: plots.time_against(frame(), "seq_len"),
    "device_comparison": lambda: plots.device_comparison(
        pd.concat([frame(device="cpu"), frame(device="cuda").assign(device_time=1e-4)]), "seq_len"
    ),
    "speedup_heatmap": lambda: plots.speedup_heatmap(ratios()),
    "winner_map": lambda: plots.winner_map(frame()),
    "pass_split": lambda: plots.pass_split(frame()[frame()["seq_len"] == 10]),
    "ratio_forest": lambda: plots.ratio_forest(ratios(), baseline="nn_rnn"),
    "break_even": lambda: plots.break_even(paid()),
    "roofline": lambda: plots.roofline(roof()),
    "compile_growth": lambda: plots.compile_growth(growths(), title="Compile time", note="Cold."),
    "learning_curves": lambda: plots.learning_curves(learning(), target=0.99),
    "concurrent_streams": lambda: plots.concurrent_streams(streams()),
    "rounds_over_time": lambda: plots.rounds_over_time(rounds()),
    "rounds_distribution": lambda: plots.rounds_distribution(rounds()),
}


def texts(figure):
    """All texts that the figure shows."""
    root = ET.fromstring(plots.svg_text(figure))
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", FIGURES)
class TestEveryPlot:
    def test_is_as_wide_as_a_readme_and_its_text_no_smaller_than_nine_points(self, name):
        figure = FIGURES[name]()
        assert figure.get_figwidth() == 8.3
        sizes = re.findall(r"font-size: ([\d.]+)px", plots.svg_text(figure))
        assert sizes and min(map(float, sizes)) >= 9

    def test_axes_say_what_they_show(self, name):
        figure = FIGURES[name]()
        for axes in figure.axes:
            assert axes.get_xlabel()
        assert any(axes.get_ylabel() for axes in figure.axes) or name in (
            "pass_split",
            "ratio_forest",
        )

    def test_svg_is_the_same_each_time_and_refers_to_nothing_outside(self, name):
        first, second = plots.svg_text(FIGURES[name]()), plots.svg_text(FIGURES[name]())
        assert first == second
        ET.fromstring(first)
        links = re.findall(r'(?:href|src)="([^"]*)"', first)
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        assert "<style" not in first and "<script" not in first and "DOCTYPE" not in first
        assert "var(--plot-ink, #222)" in first
        assert style.INK not in first and style.PAPER not in first

    def test_a_file_gets_paper_behind_the_same_drawing(self, name):
        svg = plots.svg_text(FIGURES[name]())
        on_paper = plots.on_paper(svg)
        first = ET.fromstring(on_paper)[0]
        assert first.tag.endswith("rect")
        assert (first.get("width"), first.get("height")) == ("100%", "100%")
        assert first.get("style") == "fill: #fff"
        root, rest = svg.split(">", 1)
        assert on_paper.startswith(root)
        assert on_paper.endswith(rest)

    def test_ids_have_the_prefix_and_all_that_is_referred_to_is_there(self, name):
        svg = plots.svg_text(FIGURES[name](), "p7")
        ids = re.findall(r'\sid="([^"]*)"', svg)
        assert len(ids) == len(set(ids))
        assert all(i.startswith("p7-") for i in ids)
        wanted = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
        assert {a or b for a, b in wanted} == set(ids)

    def test_png_is_the_same_each_time(self, name):
        one = plots.png_bytes(FIGURES[name](), 50)
        assert one.startswith(b"\x89PNG") and one == plots.png_bytes(FIGURES[name](), 50)

    def test_a_programs_own_settings_neither_reach_it_nor_change(self, name):
        usual = plots.svg_text(FIGURES[name]())
        with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "lines.linewidth": 9}):
            assert plots.svg_text(FIGURES[name]()) == usual
            assert matplotlib.rcParams["font.size"] == 30

    def test_no_text_reaches_beyond_the_figure(self, name):
        figure = FIGURES[name]()
        figure.set_dpi(72)
        canvas_ = FigureCanvasAgg(figure)
        canvas_.draw()
        renderer = canvas_.get_renderer()
        whole = figure.bbox
        for text in figure.findobj(matplotlib.text.Text):
            if text.get_text() and text.get_visible():
                box = text.get_window_extent(renderer)
                assert box.x0 >= whole.x0 - 1 and box.x1 <= whole.x1 + 1, text.get_text()
                assert box.y0 >= whole.y0 - 1 and box.y1 <= whole.y1 + 1, text.get_text()


class TestLines:
    def test_a_panel_a_pass_a_line_an_implementation_and_logarithmic_axes(self):
        figure = plots.time_against(frame(), "seq_len")
        assert [a.get_title(loc="left") for a in figure.axes] == [
            "forward", "backward", "forward_backward",
        ]  # fmt: skip
        for axes in figure.axes:
            assert len(axes.lines) == 3
            assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
            assert [t.get_text() for t in axes.get_xticklabels()] == ["10", "50", "200"]

    def test_ticks_are_times_in_units(self):
        axes = plots.time_against(frame(), "seq_len").axes[0]
        words = [label.get_text() for label in axes.get_yticklabels()]
        assert len(words) >= 2
        assert all(re.fullmatch(r"[\d.]+ (ns|µs|ms|s)", word) for word in words)

    def test_bands_are_the_intervals(self):
        axes = plots.time_against(frame(), "seq_len").axes[0]
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(10e-5 * 0.97)
        assert heights.max() == pytest.approx(200e-5 * 1.04)

    def test_without_intervals_there_is_no_band(self):
        bare = frame(time_low=np.nan, time_high=np.nan)
        axes = plots.time_against(bare, "seq_len").axes[0]
        assert len(axes.collections) == 1  # the lines to the labels

    def test_labels_of_lines_that_end_together_do_not_overlap(self):
        figure = plots.time_against(frame(), "seq_len")
        axes = figure.axes[0]
        inches = axes.get_position().height * figure.get_figheight()
        places = sorted(text.get_position()[1] * inches for text in axes.texts)
        assert len(places) == 3
        assert np.diff(places).min() >= canvas.LINE - 1e-9

    def test_an_axis_that_is_no_size_is_refused(self):
        with pytest.raises(UserError, match="axis 'layout' is no size"):
            plots.time_against(frame(), "layout")

    def test_the_crossover_is_marked_with_its_interval(self):
        both = pd.concat([frame(device="cpu"), frame(device="cuda")])
        crossing = pd.DataFrame(
            {
                "implementation": ["nn_rnn"],
                "size": [40.0],
                "size_low": [30.0],
                "size_high": [np.nan],
            }
        )
        axes = plots.device_comparison(both, "seq_len", crossing).axes[0]
        assert axes.get_title(loc="left") == "nn_rnn: crosses at 40 [30, open]"
        (band,) = [p for p in axes.patches if isinstance(p, Rectangle)]
        assert band.get_x() == 30.0
        assert band.get_x() + band.get_width() == pytest.approx(axes.get_xlim()[1])

    def test_the_devices_own_time_is_dashed(self):
        both = pd.concat([frame(device="cpu"), frame(device="cuda").assign(device_time=1e-4)])
        axes = plots.device_comparison(both, "seq_len").axes[0]
        assert len(axes.lines) == 3
        own = [line for line in axes.lines if line.get_marker() == "None"]
        assert len(own) == 1 and set(own[0].get_ydata()) == {1e-4}
        dashes = re.findall(r"stroke-dasharray: ([\d.]+)", plots.svg_text(axes.figure))
        assert len(dashes) == 3  # one in each panel


class TestGrowth:
    def test_marks_are_what_was_compiled_and_the_line_is_the_law_with_its_exponent(self):
        axes = plots.compile_growth(growths()).axes[0]
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        line, marks, *_ = axes.lines
        assert line.get_xdata().tolist() == marks.get_xdata().tolist() == [5, 20, 80]
        assert line.get_ydata() == pytest.approx([1.1 * n**0.9 for n in (5, 20, 80)])
        assert marks.get_ydata() == pytest.approx(1.02 * line.get_ydata())
        words = [text.get_text() for text in axes.texts]
        assert words == ["compiled_loop: T^0.90", "compiled_cell: T^0.03"]
        assert line.get_color() == style.look_of("compiled_loop").colour

    def test_what_has_no_law_is_refused(self):
        with pytest.raises(UserError, match="the frame has no column 'exponent'"):
            plots.compile_growth(growths().drop(columns="exponent"))


class TestMaps:
    def test_numbers_stand_in_cells_and_those_that_hold_one_are_marked(self):
        found = plots.speedup_heatmap(ratios())
        assert [a.get_title(loc="left") for a in found.axes] == ["python_loop", "scan"]
        words = [text.get_text() for text in found.axes[0].texts]
        assert sorted(words) == ["0.50", "1.01\n≈ 1", "not\nmeasured", "not\nmeasured"]
        assert "1.20 ?" in [text.get_text() for text in found.axes[1].texts]

    def test_faster_is_blue_slower_orange_and_one_is_grey(self):
        assert style.diverging(-1, 1)[0] == style.FAST
        assert style.diverging(1, 1)[0] == style.SLOW
        assert style.diverging(0, 1)[0] == "#f1f1f1"

    @pytest.mark.parametrize("share", np.linspace(-1, 1, 21))
    def test_text_on_a_cell_can_be_read(self, share):
        face, ink = style.diverging(share, 1)
        assert contrast(face, ink) >= 4.5

    def test_a_winner_is_named_a_tie_is_said_and_a_lone_one_is_called_so(self):
        cells = pd.DataFrame(
            {
                "implementation": ["nn_rnn", "scan", "nn_rnn", "scan", "nn_rnn"],
                "pass": "forward", "seq_len": 10, "batch": [1, 1, 2, 2, 3],
                "time": [1.0, 2.0, 1.0, 1.1, 1.0],
                "time_low": [0.9, 1.9, 0.9, 1.0, 0.9],
                "time_high": [1.1, 2.1, 1.1, 1.2, 1.1],
            }
        )  # fmt: skip
        words = [t.get_text() for t in plots.winner_map(cells).axes[0].texts]
        assert words[0].split("\n")[0] == "nn_rnn" and "≈" not in words[0]
        assert words[1].endswith("≈ scan")
        assert words[2].startswith("only nn_rnn")
        # What the caller knows from paired ratios counts more than intervals that overlap.
        told = cells.assign(
            best=[True, True, True, False, True], first=cells["implementation"] == "nn_rnn"
        )
        words = [t.get_text() for t in plots.winner_map(told).axes[0].texts]
        assert words[0].endswith("≈ scan") and "≈" not in words[1]


class TestBars:
    def test_bars_are_forward_and_backward_shortest_first(self):
        (axes,) = plots.pass_split(frame()[frame()["seq_len"] == 10]).axes
        widths = [patch.get_width() for patch in axes.patches]
        assert widths[:3] == pytest.approx([1e-4, 1.4e-4, 1.41e-4])
        assert widths[3:] == pytest.approx([2e-4, 2.8e-4, 2.82e-4])
        assert [t.get_text() for t in axes.texts] == ["Σ 300 µs", "Σ 420 µs", "Σ 423 µs"]

    def test_an_implementation_without_both_passes_is_left_out(self):
        cut = frame()[~((frame()["implementation"] == "my_cell") & (frame()["pass"] == "backward"))]
        (axes,) = plots.pass_split(cut[cut["seq_len"] == 10]).axes
        assert [t.get_text() for t in axes.get_yticklabels()] == ["nn_rnn", "python_loop"]
        with pytest.raises(UserError, match="no rows to draw"):
            plots.pass_split(frame()[frame()["pass"] == "forward"])

    def test_forest_has_a_dot_for_each_ratio_and_a_whisker_for_each_interval(self):
        (axes,) = plots.ratio_forest(ratios(), baseline="nn_rnn", margin=0.05).axes
        dots = [
            x
            for line in axes.lines
            if line.get_marker() not in ("None", "")
            for x in line.get_xdata()
        ]
        assert sorted(dots) == [0.5, 1.01, 1.2, 2.0]
        whiskers = [c for c in axes.collections if len(c.get_segments()) == 3]
        assert len(whiskers) == 1
        assert axes.get_xscale() == "log" and "time of nn_rnn" in axes.get_xlabel()
        band = axes.patches[0]
        assert (band.get_x(), band.get_width()) == pytest.approx((0.95, 0.1))


class TestCurves:
    def test_break_even_is_marked_where_the_lines_meet(self):
        (axes,) = plots.break_even(paid()).axes
        assert axes.get_title(loc="left") == "compiled_loop: 10 k calls [8 k, 13 k]"
        assert axes.lines[0].get_xdata()[0] == 1e4
        eager, compiled = axes.lines[1], axes.lines[2]
        gap = np.interp(1e4, compiled.get_xdata(), compiled.get_ydata()) - np.interp(
            1e4, eager.get_xdata(), eager.get_ydata()
        )
        assert abs(gap) < 0.05 * 20
        assert (axes.patches[0].get_x(), axes.patches[0].get_width()) == (8e3, 5e3)

    @pytest.mark.parametrize(
        ("state", "low", "said"),
        [
            ("never", np.nan, "never"),
            ("cannot tell", np.nan, "cannot tell"),
            ("cannot tell", 5e3, "not below 5 k calls"),
        ],
    )
    def test_what_does_not_pay_is_said_and_not_marked(self, state, low, said):
        row = paid(state=state, calls=np.nan, calls_low=low, calls_high=np.nan)
        (axes,) = plots.break_even(row).axes
        assert axes.get_title(loc="left") == f"compiled_loop: {said}"
        assert len(axes.lines) == 2 and not axes.patches

    def test_limits_come_from_the_shares_or_from_the_caller(self):
        shared = roof(flops_share=[0.5, 0.2], bytes_share=[0.1, 4.0])
        found = curves.limits_of(shared)
        assert found["flops_per_second"] == pytest.approx(1e11)
        assert found["bytes_per_second"] == pytest.approx(5e10 / 1e9 * 1e7 / 0.1)
        (axes,) = plots.roofline(roof(), {"flops_per_second": 7e10}).axes
        assert 7e10 in axes.lines[-1].get_ydata()
        assert "limit of bytes/s not measured" in [t.get_text() for t in axes.texts]

    def test_without_limits_the_roofline_says_so(self):
        words = [t.get_text() for t in plots.roofline(roof()).axes[0].texts]
        assert words == ["limit of FLOP/s and bytes/s not measured"]


class TestLearning:
    def test_there_is_a_line_for_each_seed_and_accuracy_and_one_for_the_target(self):
        loss, accuracy = plots.learning_curves(learning(seeds=2), target=0.99).axes
        assert [line.get_ydata()[0] for line in loss.lines] == [1.0, 0.5]
        assert len(accuracy.lines) == 2 * 3 + 1
        assert set(accuracy.lines[-1].get_ydata()) == {0.99}
        _, accuracy = plots.learning_curves(learning(seeds=2)).axes
        assert len(accuracy.lines) == 2 * 3

    def test_markers_give_way_where_there_are_many_seeds(self):
        few, _ = plots.learning_curves(learning(seeds=1)).axes
        many, _ = plots.learning_curves(learning(seeds=8)).axes
        assert few.lines[0].get_marker() == style.LOOKS["nn_rnn"].marker
        assert {line.get_marker() for line in many.lines} == {""}

    def test_epochs_are_whole_numbers(self):
        for epochs, ticks in ((4, [1, 2, 3, 4]), (30, list(range(1, 31, 3)))):
            loss, _ = plots.learning_curves(learning(epochs=epochs)).axes
            assert loss.get_xticks().tolist() == ticks

    def test_a_frame_without_a_column_or_a_row_is_refused(self):
        with pytest.raises(UserError, match="learning_curves: the frame has no column 'loss'"):
            plots.learning_curves(learning().drop(columns="loss"))
        with pytest.raises(UserError, match="learning_curves: the frame has no rows"):
            plots.learning_curves(learning().iloc[:0])


class TestRounds:
    def test_every_round_is_drawn_warm_up_hollow_and_by_replicate(self):
        (axes,) = plots.rounds_over_time(rounds()).axes
        drawn = {}
        for line in axes.lines:
            hollow = line.get_markerfacecolor() == "none"
            drawn[hollow] = drawn.get(hollow, 0) + len(line.get_xdata())
        assert drawn == {False: 108, True: 12}
        assert len({line.get_markeredgecolor() for line in axes.lines}) == 2
        assert axes.get_yscale() == "log"

    def test_more_rounds_than_fit_are_thinned_and_the_figure_says_so(self):
        many = rounds(replicates=3, blocks=30, per_block=500)
        figure = plots.rounds_over_time(many)
        drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
        assert drawn == 45_000 // 3 and drawn <= raw.DRAWN_MOST
        assert "One of 3 of the 45,000 rounds is drawn." in " ".join(texts(figure))
        assert "data:image/png;base64," in plots.svg_text(figure)

    def test_distribution_has_a_line_for_each_block_and_replicate(self):
        (axes,) = plots.rounds_distribution(rounds()).axes
        assert len(axes.lines) == 2
        assert [len(c.get_segments()) for c in axes.collections] == [3, 3]
        assert axes.lines[0].get_ydata()[-1] == 1

    def test_rounds_of_two_cases_are_refused(self):
        two = rounds().assign(row=[0, 1] * 60)
        with pytest.raises(UserError, match="rounds of 2 cases"):
            plots.rounds_over_time(two)


class TestHostileText:
    @pytest.mark.parametrize("name", ["x" * 10_000, HOSTILE, "$x^2$", "مرحبا", ""])
    def test_names_stay_text(self, name):
        hostile = frame()
        hostile.loc[hostile["implementation"] == "my_cell", "implementation"] = name
        figure = plots.time_against(hostile, "seq_len", title=style.clean(name))
        svg = plots.svg_text(figure)
        ET.fromstring(svg)
        assert "<script" not in svg and len(svg) < 200_000
        assert plots.png_bytes(figure, 50)
        if name == "$x^2$":
            assert "$x^2$" in texts(figure)
        if name == HOSTILE:
            assert any('id="a" #222223' in text or "#222223" in text for text in texts(figure))

    def test_control_characters_and_marks_of_direction_are_replaced(self):
        assert style.clean("a\x00b\u202ec\ud800d\ne") == "a\ufffdb\ufffdc\ufffdd e"
        assert len(style.clean("y" * 10_000, 30)) == 30

    def test_an_empty_frame_and_a_missing_column_are_refused_in_a_sentence(self):
        with pytest.raises(UserError, match="time_against: the frame has no rows"):
            plots.time_against(frame().head(0), "seq_len")
        with pytest.raises(UserError, match="winner_map: the frame has no column 'pass'"):
            plots.winner_map(frame().drop(columns="pass"))


class TestPlacing:
    def test_places_keep_their_order_their_distance_and_their_bounds(self):
        rng = np.random.default_rng(3)
        for _ in range(200):
            wanted = rng.random(rng.integers(1, 12)).tolist()
            places = canvas.spread(wanted, 0.05, 0.02, 0.98)
            by_wish = [places[i] for i in np.argsort(wanted)]
            assert (np.diff(by_wish) >= 0.05 - 1e-12).all()
            assert min(places) >= 0.02 - 1e-12 and max(places) <= 0.98 + 1e-12

    def test_places_that_are_free_are_left_alone(self):
        assert canvas.spread([0.9, 0.1, 0.5], 0.1, 0, 1) == pytest.approx([0.9, 0.1, 0.5])

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(1e-3, "1 ms"), (2e-7, "200 ns"), (1.5e-5, "15 µs"), (1000.0, "1000 s"), (0.5, "500 ms")],
    )
    def test_ticks_are_in_the_unit_that_suits(self, seconds, words):
        assert canvas.time_text(seconds) == words

    @pytest.mark.parametrize("span", [1.02, 1.3, 3, 30, 1e4, 1e12])
    def test_there_are_ticks_at_round_numbers_for_any_span(self, span):
        ticks = canvas.log_ticks(1.7e-4, 1.7e-4 * span)
        assert 2 <= len(ticks) <= 8
        assert all(1.7e-4 <= tick <= 1.7e-4 * span for tick in ticks)


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15(6), 2009: severity 1.0, on linear RGB.
PROTANOPIA = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(colour, sight):
    """CIE L*a*b* (D65) of a colour as seen with a sight."""
    xyz = TO_XYZ @ np.clip(sight @ linear(colour), 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


class TestPalette:
    def test_every_implementation_has_a_look_of_its_own(self):
        assert set(style.LOOKS) == set(builtin_implementations())
        for part in ("colour", "marker"):
            assert len({getattr(look, part) for look in style.LOOKS.values()}) == 12

    @pytest.mark.parametrize(
        ("sight", "least"), [(np.eye(3), 25), (PROTANOPIA, 15), (DEUTERANOPIA, 15)]
    )
    def test_colours_stay_apart_for_the_colour_blind(self, sight, least):
        seen = [lab(look.colour, sight) for look in style.LOOKS.values()]
        apart = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
        assert min(apart) >= least

    @pytest.mark.parametrize("background", ["#ffffff", "#16181d"])
    def test_colours_stand_out_on_light_and_dark_pages(self, background):
        for colour in {look.colour for look in style.LOOKS.values()} | set(style.REPLICATES):
            assert contrast(colour, background) >= 3

    def test_a_plug_in_keeps_its_look_and_has_the_marker_of_none_that_is_known(self):
        known = {look.marker for look in style.LOOKS.values()}
        looks = [plots.look_of(f"cell_{i}") for i in range(200)]
        assert looks == [plots.look_of(f"cell_{i}") for i in range(200)]
        assert not known & {look.marker for look in looks}
        assert len(set(looks)) > 60

    def test_the_ends_of_the_ratio_map_stay_apart_for_the_colour_blind(self):
        for sight in (np.eye(3), PROTANOPIA, DEUTERANOPIA):
            assert np.linalg.norm(lab(style.FAST, sight) - lab(style.SLOW, sight)) > 40


class TestStreams:
    def test_each_implementation_has_its_rate_beside_as_many_lone_workers(self):
        rates, latencies = plots.concurrent_streams(streams()).axes
        lines = [line.get_ydata().tolist() for line in rates.lines]
        assert lines[0] == pytest.approx([2e4 * n**0.8 for n in (1, 2, 4)])
        assert lines[1] == [2e4, 4e4, 8e4]
        assert lines[3] == [3e4, 6e4, 12e4]
        assert len(latencies.lines) == 2 * 2

    def test_without_a_lone_worker_nothing_is_dashed(self):
        rates, _ = plots.concurrent_streams(streams(workers=(2, 4))).axes
        assert len(rates.lines) == 2

    def test_one_replicate_has_no_bands(self):
        lone = streams().assign(steps_per_second_low=None, steps_per_second_high=None)
        rates, _ = plots.concurrent_streams(lone).axes
        assert not rates.collections

    def test_a_frame_without_a_row_is_refused(self):
        with pytest.raises(UserError, match="concurrent_streams: the frame has no rows"):
            plots.concurrent_streams(streams().iloc[:0])
