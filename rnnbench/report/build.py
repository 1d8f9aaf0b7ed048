"""Puts a report together: which sentences, tables and pictures stand in which section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnbench.report.content import Picture, Report, Section, Table
from rnnbench.report.crossover import devices
from rnnbench.report.escaping import clean
from rnnbench.report.figures import pictures
from rnnbench.report.limits import limits
from rnnbench.report.ratios import check_baseline
from rnnbench.report.tables import all_tables
from rnnbench.report.verdict import verdict
from rnnbench.results import Results

__all__ = ["DEFAULT_BASELINE", "build_report"]

DEFAULT_BASELINE = "nn_rnn"
_MOST_FILES_IN_TITLE = 3


@dataclass(frozen=True)
class _Plan:
    """A section: what it answers, what stands in it, and what it says where there is nothing."""

    name: str
    title: str
    tables: Sequence[str] = ()
    pictures: Sequence[str] = ()
    otherwise: str = ""


_PLANS = (
    _Plan(
        "fastest",
        "What is fastest here",
        (
            "fastest",
            "comparison",
            "passes",
            "layouts",
            "variants",
            "classifier",
            "epoch",
            "latency",
            "lengths",
            "packing",
        ),
        (
            "overview",
            "winners",
            "speedups",
            "passes",
            "time_seq_len",
            "time_batch",
            "time_hidden_size",
        ),
        "No case was measured.",
    ),
    _Plan(
        "devices",
        "Is a GPU worth it, and from where on",
        ("devices", "crossover"),
        ("devices_seq_len", "devices_batch", "devices_hidden_size"),
        "These results are from one kind of device, so they cannot say. Measure both with "
        "`pytest suites --rnn-grid gpu_cpu`, or give the files of several machines.",
    ),
    _Plan(
        "compilation",
        "What compilation costs, and when it has paid off",
        ("compilation",),
        ("break_even",),
        "No compiled implementation was measured.",
    ),
    _Plan(
        "not_measured",
        "What could not be measured",
        ("not_measured",),
        otherwise="Nothing: every case has a time.",
    ),
    _Plan(
        "scaling",
        "How time grows, and what the machine gives",
        ("scaling", "exponents", "rates", "limits"),
        ("roofline",),
        "No size was measured in three values, which a line needs.",
    ),
    _Plan(
        "trust",
        "How far to trust these numbers",
        ("what_ran", "environments"),
        ("rounds_noisiest", "rounds_noisiest_share", "rounds_typical"),
    ),
)


def build_report(
    results: Results, *, baseline: str = DEFAULT_BASELINE, title: str | None = None
) -> Report:
    """Compute and draw everything that a report of these results holds.

    Raises:
        UserError: no measured case is of the baseline's implementation.
    """
    check_baseline(results, baseline)
    tables = all_tables(results, baseline)
    drawn = {picture.name: picture for picture in pictures(results, baseline)}
    sections = [_section(plan, tables, drawn) for plan in _PLANS]
    sections[1] = _with_transfers(sections[1], results)
    sections[-1] = _with_notes(sections[-1], results)
    sections += [
        Section("limits", "What these numbers do not say", limits(results)),
        Section(
            "all_cases",
            "All cases",
            ("Each row has the command that measures just that case again.",),
            _named(tables, ("cases",)),
        ),
    ]
    return Report(
        title=clean(title) if title else _title(results),
        verdict=verdict(results, baseline),
        sections=sections,
    )


def _section(plan: _Plan, tables: Mapping[str, Table], drawn: Mapping[str, Picture]) -> Section:
    shown = _named(tables, plan.tables)
    pictured = tuple(drawn[name] for name in plan.pictures if name in drawn)
    empty = not shown and not pictured
    sentences = (plan.otherwise,) if empty and plan.otherwise else ()
    return Section(plan.name, plan.title, sentences, shown, pictured)


def _named(tables: Mapping[str, Table], names: Sequence[str]) -> tuple[Table, ...]:
    return tuple(tables[name] for name in names if name in tables)


def _with_transfers(section: Section, results: Results) -> Section:
    if len(devices(results)) < 2 or not section.tables:
        return section
    said = (
        "Inputs, weights and outputs stay on the device that computes: copying a batch to the GPU "
        "and its result back is not in these times, and neither is what overlaps with it. Where "
        "the device's own time is a small share of the time, launching the work is what takes "
        "long, not the work.",
    )
    return Section(section.name, section.title, said, section.tables, section.pictures)


def _with_notes(section: Section, results: Results) -> Section:
    notes = [
        f"{clean(run.label)}: {clean(note)}" for run in results.runs.values() for note in run.notes
    ]
    said = (
        "Each time is a median over rounds, blocks and fresh processes; its interval is over the "
        "processes, at 95 %. Ratios compare blocks that took turns, unless their row says that "
        "they are from separate turns or runs.",
        *notes,
    )
    return Section(section.name, section.title, said, section.tables, section.pictures)


def _title(results: Results) -> str:
    labels = [clean(label) for label in results.runs]
    shown = ", ".join(labels[:_MOST_FILES_IN_TITLE])
    more = len(labels) - _MOST_FILES_IN_TITLE
    return f"Recurrent layers: {shown}" + (f" and {more} more" if more > 0 else "")
