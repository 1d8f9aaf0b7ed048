"""Plots: functions that take a frame and return a figure, drawn without any global state."""

from rnnbench.report.plots.bars import pass_split, ratio_forest
from rnnbench.report.plots.compiling import compile_growth
from rnnbench.report.plots.curves import break_even, roofline
from rnnbench.report.plots.export import on_paper, png_bytes, svg_text
from rnnbench.report.plots.gradients import gradient_flow
from rnnbench.report.plots.learning import learning_curves
from rnnbench.report.plots.lines import device_comparison, time_against
from rnnbench.report.plots.maps import speedup_heatmap, winner_map
from rnnbench.report.plots.raw import rounds_distribution, rounds_over_time
from rnnbench.report.plots.streams import concurrent_streams
from rnnbench.report.plots.style import look_of
from rnnbench.report.plots.timeline import timeline

__all__ = [
    "break_even",
    "compile_growth",
    "concurrent_streams",
    "device_comparison",
    "gradient_flow",
    "learning_curves",
    "look_of",
    "on_paper",
    "pass_split",
    "png_bytes",
    "ratio_forest",
    "roofline",
    "rounds_distribution",
    "rounds_over_time",
    "speedup_heatmap",
    "svg_text",
    "time_against",
    "timeline",
    "winner_map",
]
