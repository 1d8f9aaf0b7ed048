"""The tables of a report: each a function from results to a `Table`, or to None without content."""

from __future__ import annotations

from rnnbench.report.content import Table
from rnnbench.report.tables.cases import cases
from rnnbench.report.tables.classifier import classifier, epoch
from rnnbench.report.tables.comparison import DEFAULT_BASELINE, comparison, fastest
from rnnbench.report.tables.costs import compilation, exponents, scaling
from rnnbench.report.tables.environments import environments
from rnnbench.report.tables.latency import latency
from rnnbench.report.tables.lengths import lengths, packing
from rnnbench.report.tables.limits import limits
from rnnbench.report.tables.machines import crossover, devices
from rnnbench.report.tables.ran import not_measured, rates, what_ran
from rnnbench.report.tables.splits import layouts, passes
from rnnbench.report.tables.variants import variants
from rnnbench.results import Results

__all__ = [
    "all_tables",
    "cases",
    "classifier",
    "comparison",
    "compilation",
    "crossover",
    "devices",
    "environments",
    "epoch",
    "exponents",
    "fastest",
    "latency",
    "layouts",
    "lengths",
    "limits",
    "not_measured",
    "packing",
    "passes",
    "rates",
    "scaling",
    "variants",
    "what_ran",
]


def all_tables(results: Results, baseline: str = DEFAULT_BASELINE) -> dict[str, Table]:
    """All tables that have something to show, by name, in the order in which a report asks."""
    tables = (
        fastest(results, baseline),
        comparison(results, baseline),
        passes(results),
        layouts(results),
        variants(results),
        classifier(results, baseline),
        epoch(results),
        latency(results),
        lengths(results),
        packing(results),
        devices(results),
        crossover(results),
        compilation(results, baseline),
        scaling(results),
        exponents(results),
        rates(results),
        limits(results),
        not_measured(results),
        what_ran(results),
        environments(results),
        cases(results, baseline),
    )
    return {table.name: table for table in tables if table is not None}
