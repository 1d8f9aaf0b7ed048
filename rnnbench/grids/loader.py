"""Reads grids from TOML, checks every word of them, and expands them into cases."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rnnbench.cases import DEFAULT_ENVIRONMENT, Case, builtin_implementations
from rnnbench.cores import usable_cores
from rnnbench.errors import UserError
from rnnbench.grids.axes import (
    ALL,
    AXES,
    HIDDEN,
    OPTION_PREFIX,
    Place,
    Value,
    check_known,
    check_values,
    did_you_mean,
    quoted,
)

__all__ = ["DEFAULT_GRID", "Figures", "Grid", "Source", "grid_names", "load_grid"]

DEFAULT_GRID = "quick"

_FOLDER = Path(__file__).parent
_RIGHT_EXAMPLE = 'see "rnnbench/grids/quick.toml" for one that is right'
_MOST_CASES = 1_000_000

# The fields of Case in its own order, by the names of their columns: rows of values in this order
# sort as the cases do, without comparing one case with another.
_COLUMNS = tuple("pass" if f.name == "pass_" else f.name for f in dataclasses.fields(Case))
_INPUT, _HIDDEN = _COLUMNS.index("input_size"), _COLUMNS.index("hidden_size")


@dataclass(frozen=True)
class Figures:
    """Published figures as a table: ``rows`` under ``columns``, in ``unit``.

    ``cell`` is what was measured there, ``lstm`` among it, and not what the grid runs.
    """

    cell: str
    quantity: str
    unit: str
    measured_on: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def records(self) -> list[dict[str, Any]]:
        """Each row as a dictionary of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Source:
    """Where the shapes of a cited grid were published, and what was measured with them there.

    ``checked`` says against what the facts in the file were checked, and which could not be.
    """

    title: str
    url: str = ""
    reference: str = ""
    checked: str = ""
    figures: tuple[Figures, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A union of products of axes, with the run options that suit it.

    ``overrides`` replace their axis in every product; they came from options that begin with
    ``prefix``. An axis that neither holds has the default of `Case`. ``plugins`` is whether
    implementations of plug-ins join every product, or only those that name them.
    """

    name: str
    description: str
    products: tuple[Mapping[str, tuple[Value, ...]], ...]
    source: Source | None = None
    options: Mapping[str, float] = field(default_factory=dict)
    overrides: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    prefix: str = OPTION_PREFIX
    plugins: bool = True

    def override(
        self, values: Mapping[str, Iterable[Value]], *, prefix: str = OPTION_PREFIX
    ) -> Grid:
        """Return this grid with other values for some axes, in every product.

        Raises:
            UserError: an axis is not known, is empty or has a wrong value.
        """
        checked = {}
        for name, given in values.items():
            if name not in AXES:
                raise UserError(
                    f"there is no axis {quoted(name)}; {did_you_mean(name, AXES)}"
                    f"known: {', '.join(AXES)}"
                )
            checked[name] = check_values(AXES[name], given, Place.option(prefix, AXES[name]))
        return dataclasses.replace(self, overrides={**self.overrides, **checked}, prefix=prefix)

    def cases(
        self,
        environments: Sequence[str] = (DEFAULT_ENVIRONMENT,),
        plugins: Sequence[str] = (),
        cores: int | None = None,
    ) -> list[Case]:
        """Every case of the grid, once, in the order in which cases run.

        ``plugins`` are the names of implementations that plug-ins register, ``cores`` is the number
        of threads that ``"all"`` stands for: that of the cores which this process may use.

        Raises:
            UserError: an implementation is not known, or there are more cases than could ever run.
        """
        implementations = tuple(dict.fromkeys((*builtin_implementations(), *plugins)))
        cores = len(usable_cores()) if cores is None else cores
        rows: set[tuple[Any, ...]] = set()
        for number, product in enumerate(self.products, start=1):
            axes = self._resolved(product, number, implementations, cores)
            axes["environment"] = tuple(environments)
            self._refuse_too_many(axes.values())
            rows.update(map(_with_input, itertools.product(*(axes[name] for name in _COLUMNS))))
        return [Case(*row) for row in sorted(rows)]

    def with_implementations(self, names: Sequence[str]) -> Grid:
        """The grid with those of a user's plug-ins in every product, unless it takes none."""
        if not self.plugins:
            return self
        axis = "implementation"
        products = tuple(
            {**product, axis: (*product.get(axis, (AXES[axis].default,)), *names)}
            for product in self.products
        )
        return dataclasses.replace(self, products=products)

    def as_dict(self) -> dict[str, Any]:
        """The grid as a result file holds it."""
        return {
            "name": self.name,
            "description": self.description,
            "source": None if self.source is None else dataclasses.asdict(self.source),
            "options": dict(self.options),
            "products": [_lists(product) for product in self.products],
            "overrides": _lists(self.overrides),
        }

    def _resolved(
        self,
        product: Mapping[str, tuple[Value, ...]],
        number: int,
        implementations: Sequence[str],
        cores: int,
    ) -> dict[str, tuple[Value, ...]]:
        defaults = {name: (axis.default,) for name, axis in AXES.items()}
        axes = {**defaults, **product, **self.overrides}
        names = axes["implementation"]
        for name in names:
            if name != ALL:
                place = self._place("implementation", number)
                check_known(str(name), implementations, "implementation", place)
        axes["implementation"] = tuple(implementations) if ALL in names else names
        axes["threads"] = tuple(cores if value == ALL else value for value in axes["threads"])
        return axes

    def _place(self, axis: str, number: int) -> Place:
        if axis in self.overrides:
            return Place.option(self.prefix, AXES[axis])
        return Place.in_file(f"grid {quoted(self.name)}, product {number}", AXES[axis])

    def _refuse_too_many(self, axes: Iterable[Sequence[Any]]) -> None:
        # Before they are made: a slip in a file would otherwise fill the memory.
        cases = math.prod(len(values) for values in axes)
        if cases > _MOST_CASES:
            raise UserError(
                f"grid {quoted(self.name)} has a product of {cases:,} cases, and {_MOST_CASES:,} "
                "are more than could be run; shorten its axes"
            )


def _with_input(row: tuple[Any, ...]) -> tuple[Any, ...]:
    if row[_INPUT] != HIDDEN:
        return row
    return (*row[:_INPUT], row[_HIDDEN], *row[_INPUT + 1 :])


def _lists(axes: Mapping[str, tuple[Value, ...]]) -> dict[str, list[Value]]:
    return {name: list(values) for name, values in axes.items()}


def grid_names() -> tuple[str, ...]:
    """Names of the grids that come with rnnbench."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load_grid(name_or_path: str | os.PathLike[str]) -> Grid:
    """Load a grid that comes with rnnbench by its name, or any other by its file.

    A name may be written with hyphens, as options are.

    Raises:
        UserError: there is no such grid, it cannot be read, or what it holds is no grid.
    """
    given = os.fspath(name_or_path)
    ours = given.replace("-", "_")
    if ours in grid_names():
        return _parse(ours, _read(_FOLDER / f"{ours}.toml", ours))
    if not (given.endswith(".toml") or os.sep in given or Path(given).exists()):
        raise UserError(
            f"there is no grid {quoted(given)}; {did_you_mean(given, grid_names())}"
            f"known: {', '.join(grid_names())}, or give the path of a TOML file"
        )
    return _parse(given, _read(Path(given), given))


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise UserError(
            f"grid {quoted(name)}: there is no such file; give the path of a TOML file, or one of "
            f"{', '.join(grid_names())}"
        ) from None
    except OSError as error:
        raise UserError(
            f"grid {quoted(name)} cannot be read: {error.strerror}; give the path of a TOML file "
            "that you may read"
        ) from None
    except (ValueError, RecursionError) as error:
        # ValueError: no TOML, no UTF-8, or a number too long for Python.
        reason = str(error).splitlines()[0]
        raise UserError(f"grid {quoted(name)} is no TOML: {reason}; {_RIGHT_EXAMPLE}") from None


class _Table:
    """A table of the file with its place, which gives up its keys one by one, checked."""

    def __init__(self, table: Any, where: str, known: Sequence[str]) -> None:
        if not isinstance(table, dict):
            raise UserError(f"{where} is {quoted(table)}; it must be a table; {_RIGHT_EXAMPLE}")
        for key in table:
            if key not in known:
                raise UserError(
                    f"{where}: there is no key {quoted(key)}; {did_you_mean(key, known)}"
                    f"known: {', '.join(known)}"
                )
        self.table = table
        self.where = where

    def text(self, key: str, *, required: bool = False) -> str:
        value: Any = self.table.get(key, "")
        if not isinstance(value, str):
            self.refuse(key, "it must be text in quotes")
        if required and not value.strip():
            raise UserError(
                f"{self.where}: {quoted(key)} is missing; say it in words, such as "
                f'{key} = "what it is"'
            )
        return value

    def tables(self, key: str) -> list[Any]:
        value = self.table.get(key, [])
        if not isinstance(value, list):
            self.refuse(key, f"write each as a table of its own, under [[{key}]]")
        return list(value)

    def refuse(self, key: str, what: str) -> NoReturn:
        raise UserError(f"{self.where}: {quoted(key)} is {quoted(self.table[key])}; {what}")


def _parse(name: str, document: dict[str, Any]) -> Grid:
    where = f"grid {quoted(name)}"
    table = _Table(document, where, ("description", "source", "options", "plugins", "product"))
    products = table.tables("product")
    if not products:
        raise UserError(
            f"{where} has no product; give at least one under [[product]], with axes such as "
            "batch = [1, 32]"
        )
    plugins = table.table.get("plugins", True)
    if not isinstance(plugins, bool):
        table.refuse("plugins", "it takes true or false: whether they join every product")
    return Grid(
        name=name,
        description=table.text("description", required=True),
        products=tuple(
            _parse_product(product, f"{where}, product {number}")
            for number, product in enumerate(products, start=1)
        ),
        source=_parse_source(document["source"], where) if "source" in document else None,
        options=_parse_options(document.get("options", {}), where),
        plugins=plugins,
    )


def _parse_product(product: Any, where: str) -> dict[str, tuple[Value, ...]]:
    table = _Table(product, where, tuple(AXES)).table
    axes = {}
    for name, given in table.items():
        values = given if isinstance(given, list) else [given]
        axes[name] = check_values(AXES[name], values, Place.in_file(where, AXES[name]))
    return axes


def _parse_options(options: Any, where: str) -> dict[str, float]:
    table = _Table(options, f"{where}, options", ("seconds", "replicates"))
    seconds, replicates = table.table.get("seconds", 1), table.table.get("replicates", 1)
    if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
        table.refuse("seconds", "it takes the seconds for one case, above 0, such as seconds = 1.5")
    if type(replicates) is not int or replicates < 1:
        table.refuse("replicates", "it takes a whole number of 1 or more, such as replicates = 3")
    return dict(table.table)


def _parse_source(source: Any, where: str) -> Source:
    where = f"{where}, source"
    table = _Table(source, where, tuple(f.name for f in dataclasses.fields(Source)))
    if not (table.text("url") or table.text("reference")):
        raise UserError(f'{where}: give a "url" or a "reference", so that a reader finds it')
    return Source(
        title=table.text("title", required=True),
        url=table.text("url"),
        reference=table.text("reference"),
        checked=table.text("checked"),
        figures=tuple(
            _parse_figures(figures, f"{where}, figures {number}")
            for number, figures in enumerate(table.tables("figures"), start=1)
        ),
    )


def _parse_figures(figures: Any, where: str) -> Figures:
    table = _Table(figures, where, tuple(f.name for f in dataclasses.fields(Figures)))
    columns, rows = table.tables("columns"), table.tables("rows")
    if not columns or not all(isinstance(column, str) for column in columns):
        raise UserError(f'{where}: "columns" must be names, such as columns = ["batch", "forward"]')
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(columns):
            raise UserError(
                f"{where}: row {number} is {quoted(row)}; give one value for each of the "
                f"{len(columns)} columns"
            )
    return Figures(
        cell=table.text("cell", required=True),
        quantity=table.text("quantity", required=True),
        unit=table.text("unit", required=True),
        measured_on=table.text("measured_on", required=True),
        columns=tuple(columns),
        rows=tuple(map(tuple, rows)),
        note=table.text("note"),
    )
