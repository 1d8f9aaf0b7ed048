"""``rnnbench recommend``: what to use for a shape, printed; heavy imports wait until it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rnnbench.report.recommendation import Candidate, Neighbour, Recommendation
    from rnnbench.results import Results

__all__ = ["recommendation_lines", "register"]

_SHOWN = 4  # neighbours that are printed one by one; the others are counted
_LINE = 200  # characters of a setting in words
_UNSAID = ("implementation", "environment", "workload", "seed")
_LETTERS = {"seq_len": "T", "batch": "B", "input_size": "I", "hidden_size": "H"}


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("recommend")(_recommend)


def _recommend(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Result files.")],
    batch: Annotated[int, typer.Option(metavar="N", help="B, the batch size.")],
    seq_len: Annotated[int, typer.Option(metavar="N", help="T, the length of the sequence.")],
    hidden: Annotated[int, typer.Option(metavar="N", help="H, the width of the hidden state.")],
    input_size: Annotated[
        int | None, typer.Option("--input", metavar="N", help="I, the width of the input.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, …")] = None,
    pass_: Annotated[
        str | None, typer.Option("--pass", metavar="NAME", help="training_step, inference, …")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(metavar="NAME", help="time_major, batch_first, …")
    ] = None,
    dtype: Annotated[str | None, typer.Option(metavar="NAME", help="float32, …")] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads on the CPU.")] = None,
    cell: Annotated[str | None, typer.Option(metavar="NAME", help="rnn_tanh, lstm, …")] = None,
    layers: Annotated[int | None, typer.Option(metavar="N", help="L, stacked layers.")] = None,
    bidirectional: Annotated[
        bool | None,
        typer.Option("--bidirectional/--one-direction", help="Whether it also runs in reverse."),
    ] = None,
    bias: Annotated[
        bool | None, typer.Option("--bias/--no-bias", help="Whether each step adds biases.")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(metavar="SHARE", help="What training drops between layers.")
    ] = None,
    initial_state: Annotated[
        str | None, typer.Option(metavar="NAME", help="given or zero.")
    ] = None,
    lengths: Annotated[
        str | None, typer.Option(metavar="NAME", help="full, or how lengths are distributed.")
    ] = None,
) -> None:
    """Name what is fastest for a shape, from measured shapes.

    Shapes are compared as they were measured: nothing is interpolated, and a shape outside of what
    was measured is refused with the command that measures it (exit status 2).
    """
    from rnnbench.report.recommend import recommend
    from rnnbench.results import read

    results = read(files)
    found = recommend(
        results,
        batch=batch,
        seq_len=seq_len,
        hidden_size=hidden,
        input_size=input_size,
        device=device,
        pass_=pass_,
        layout=layout,
        dtype=dtype,
        threads=threads,
        cell=cell,
        num_layers=layers,
        bidirectional=bidirectional,
        bias=bias,
        dropout=dropout,
        initial_state=initial_state,
        lengths=lengths,
    )
    for line in recommendation_lines(results, found):
        typer.echo(line)


def recommendation_lines(results: Results, found: Recommendation) -> Iterator[str]:
    """A recommendation in lines for a terminal; texts of files are made harmless."""
    from rnnbench.report._words import name
    from rnnbench.report.groups import CASE_NAMES, setting_text

    said = [column for column in CASE_NAMES if column not in _UNSAID]
    yield f"Wanted: {name(setting_text({**found.setting, **found.wish}, said), _LINE)}."
    for column, values in found.assumed.items():
        yield f"  {_assumption(found, column, values)}"
    if found.exact:
        yield "This shape was measured."
    else:
        others = len(found.neighbours) - 1
        beside = f" It lies between {others + 1} measured shapes." if others else ""
        yield f"This shape was not measured, and nothing is interpolated.{beside}"
    several_runs = len({neighbour.run for neighbour in found.neighbours}) > 1
    for neighbour in found.neighbours[:_SHOWN]:
        yield ""
        yield from _neighbour(results, found, neighbour, several_runs)
    hidden = len(found.neighbours) - _SHOWN
    if hidden > 0:
        yield ""
        yield f"{hidden} more of the neighbouring shapes lie further away."
    if len(found.neighbours) > 1:
        yield ""
        yield _agreement(found)
    if found.command:
        yield ""
        yield "To measure this very shape:"
        yield f"  {found.command}"
    yield ""
    best = found.nearest.candidates[0]
    yield f"{name(best.implementation)} for the wanted shape:"
    yield ""
    yield from (f"    {line}" for line in found.snippet.text.splitlines())


def _sizes(sizes: object) -> str:
    assert isinstance(sizes, dict)
    return " ".join(f"{_LETTERS[axis]}={sizes[axis]}" for axis in _LETTERS if axis in sizes)


def _assumption(found: Recommendation, column: str, values: tuple[object, ...]) -> str:
    from rnnbench.grids.axes import AXES
    from rnnbench.report._words import joined

    known = joined([_value(value) for value in values], "or")
    if column == "input_size":
        taken = f"{found.nearest.sizes['input_size']} at the nearest shape"
    else:
        taken = _value(found.setting[column])
    return f"--{AXES[column].option} was not given: {taken} is taken; measured are {known}."


def _value(value: object) -> str:
    """A value as its option takes it."""
    from rnnbench.report._words import name

    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else name(value)


def _neighbour(
    results: Results, found: Recommendation, neighbour: Neighbour, several_runs: bool
) -> Iterator[str]:
    from rnnbench.report._words import counted, name

    nearest = neighbour is found.nearest
    kind = "Measured" if neighbour.distance == 0 else ("Nearest" if nearest else "Also near")
    run = f" in {name(neighbour.run)}" if several_runs else ""
    yield f"{kind}: {_sizes(neighbour.sizes)}{run}{_how_far(neighbour)}"
    if neighbour.fastest is not None:
        yield f"  {name(neighbour.fastest.implementation)} is the fastest."
    else:
        alike = len(neighbour.candidates)
        yield f"  No winner: {neighbour.winners.reason}; {counted(alike, 'candidate')}."
    environments = len(set(results.measured["environment"].tolist())) > 1
    for candidate in neighbour.candidates:
        yield from _candidate(results, candidate, environments)
    behind = [standing for standing in neighbour.winners.standings if standing.behind]
    if behind:
        first = behind[0]
        assert first.ratio is not None
        from rnnbench.report._words import ratio

        other = name(results.frame.at[first.row, "implementation"])
        shown = ratio(first.ratio.value, first.ratio.low, first.ratio.high)
        yield f"  the next, {other}: {shown} times its time"
    if neighbour.not_measured:
        missing = ", ".join(
            f"{name(who)} ({name(status.replace('_', ' '))})"
            for who, status in neighbour.not_measured[:_SHOWN]
        )
        more = len(neighbour.not_measured) - _SHOWN
        yield f"  not measured here: {missing}{f' and {more} more' if more > 0 else ''}"


def _how_far(neighbour: Neighbour) -> str:
    """Factors by axis, and the distance in logarithms."""
    if neighbour.distance == 0:
        return ""
    factors = [
        f"{_LETTERS[axis]} × {factor:.3g}"
        for axis, factor in neighbour.factors.items()
        if factor != 1
    ]
    return f" ({', '.join(factors)} of what is wanted; distance {neighbour.distance:.2f})"


def _candidate(results: Results, candidate: Candidate, environments: bool) -> Iterator[str]:
    from rnnbench.numbers import format_interval, format_seconds
    from rnnbench.report._words import name, ratio

    bounds = (candidate.time, candidate.low, candidate.high)
    place = f" @ {name(candidate.environment)}" if environments else ""
    time = f"{format_seconds(*bounds)} {format_interval(*bounds)}"
    versus = ""
    if candidate.ratio is not None:
        shown = ratio(candidate.ratio.value, candidate.ratio.low, candidate.ratio.high)
        versus = f", {shown} times the best"
    yield f"  {name(candidate.implementation)}{place}: {time}{versus}"
    yield f"    {candidate.needs}"
    if candidate.compilation is not None:
        yield f"    {_compilation(results, candidate)}"


def _compilation(results: Results, candidate: Candidate) -> str:
    from rnnbench.report._words import count, name, seconds_range

    cost = candidate.compilation
    assert cost is not None
    parts = [
        f"{seconds_range([seconds])} {when}"
        for seconds, when in ((cost.cold, "with nothing cached"), (cost.warm, "with a warm cache"))
        if seconds is not None
    ]
    text = f"Compiling takes {' and '.join(parts)}" if parts else "What compiling takes is unknown"
    if cost.against is None or cost.state is None:
        return f"{text}; nothing without compilation was measured beside it."
    against = f"against {name(results.frame.at[cost.against, 'implementation'])}"
    if cost.state == "pays" and cost.calls is not None:
        ends = ["open" if x is None else count(x) for x in (cost.calls_low, cost.calls_high)]
        return f"{text}; {against} it has paid after {count(cost.calls)} [{', '.join(ends)}] calls."
    if cost.state == "never":
        return f"{text}; {against} it never pays: a call is not faster."
    return f"{text}; whether it pays {against} cannot be told."


def _agreement(found: Recommendation) -> str:
    from rnnbench.report._words import all_of, joined, name

    shapes = all_of(len(found.neighbours), "shape")
    named = {n.fastest.implementation if n.fastest else None for n in found.neighbours}
    if len(named) == 1 and None not in named:
        return f"{name(named.pop())} is the fastest at {shapes}."
    if found.agreed:
        who = joined([name(x) for x in found.agreed[:_SHOWN]], "and")
        return f"At {shapes} {who} can be the fastest: the intervals cannot tell otherwise."
    firsts = list(dict.fromkeys(n.candidates[0].implementation for n in found.neighbours))
    who = joined([name(x) for x in firsts[:_SHOWN]])
    return (
        f"The best is not the same at {shapes} ({who}): somewhere between them it changes, so "
        "measure this very shape before you rely on it."
    )
