"""Grids: which cases to run, as data in TOML files, and the loader that expands them."""

from rnnbench.grids.axes import AXES, OPTION_PREFIX, Axis, Value, parse_axis
from rnnbench.grids.loader import (
    DEFAULT_GRID,
    Figures,
    Grid,
    Source,
    grid_names,
    load_grid,
)

__all__ = [
    "AXES",
    "DEFAULT_GRID",
    "OPTION_PREFIX",
    "Axis",
    "Figures",
    "Grid",
    "Source",
    "Value",
    "grid_names",
    "load_grid",
    "parse_axis",
]
