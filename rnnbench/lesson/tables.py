"""What `rnnbench classifier` prints: tables of epochs, parts, seeds and variants, and sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from rnnbench.classifier.settings import Settings
from rnnbench.lesson.curves import TARGET, Curve
from rnnbench.lesson.variants import BASELINE, Outcome
from rnnbench.numbers import (
    column_unit,
    format_count,
    format_in_unit,
    format_ratio,
    format_seconds,
    format_share,
)
from rnnbench.report.content import Align, Cell, Table, TableColumn

__all__ = [
    "about",
    "curve_sentences",
    "epochs_table",
    "not_compiled",
    "parts_table",
    "remarks",
    "seeds_sentences",
    "seeds_table",
    "variants_table",
]

_RIGHT: Align = "right"


def about(settings: Settings, environment: Mapping[str, Any]) -> str:
    """What is trained, on what, where."""
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    compiled = ", the whole model with torch.compile" if settings.compile else ""
    return (
        f"Binary sequences of length {settings.seq_len}, label 1 where more than half are ones: "
        f"{format_count(settings.samples)} to train on in batches of {settings.batch}, "
        f"{format_count(settings.held_out)} fresh ones held out. {settings.implementation} from 1 "
        f"to {settings.hidden} features with tanh ({settings.layout}), a linear layer to two "
        f"classes{compiled}, cross-entropy, Adam with {settings.learning_rate:g}; data "
        f"{settings.data}, metrics read every {settings.metrics}; seed {settings.seed}. On "
        f"{settings.device} with {threads}, PyTorch {environment['torch']}."
    )


def epochs_table(curve: Curve) -> Table:
    """Loss, accuracies and time of each epoch."""
    scale, unit = column_unit(record.seconds for record in curve.epochs)
    rows = [
        [
            Cell(str(r.epoch)),
            Cell(f"{r.loss:.4f}"),
            _accuracy(r.accuracy),
            _accuracy(r.training_accuracy),
            _accuracy(r.held_out_accuracy),
            Cell(f"{r.seconds / scale:.1f}"),
        ]
        for r in curve.epochs
    ]
    headings = ("epoch", "loss", "accuracy", "after it", "held out", f"time, {unit}")
    return Table(
        "epochs",
        "Epochs",
        "Loss and accuracy are those of the steps, each before its own update; `after it` and "
        "`held out` are accuracies of the weights at the epoch's end.",
        [TableColumn(heading, _RIGHT) for heading in headings],
        rows,
        pd.DataFrame([vars(r) for r in curve.epochs]),
    )


def parts_table(curve: Curve) -> Table:
    """Where the time of an epoch goes."""
    parts = curve.parts
    whole = sum(parts.values())
    scale, unit = column_unit([whole])
    rows = [
        [Cell(part), Cell(f"{seconds / scale:.3f}"), Cell(format_share(seconds / whole))]
        for part, seconds in parts.items()
    ]
    return Table(
        "parts",
        "Parts of an epoch",
        "Medians over epochs, each part ending with the device idle.",
        [TableColumn("part"), TableColumn(f"time, {unit}", _RIGHT), TableColumn("share", _RIGHT)],
        rows,
        pd.DataFrame({"part": list(parts), "seconds": list(parts.values())}),
    )


def curve_sentences(curve: Curve) -> Iterator[str]:
    """When the target was reached, what fresh sequences say, and whether the parts add up."""
    reached = curve.reached()
    best = max(record.accuracy for record in curve.epochs)
    if reached is None:
        after = curve.reached("training_accuracy")
        yield (
            f"An epoch's accuracy did not reach {TARGET:g} in {len(curve.epochs)} epochs; the best "
            f"was {best:.4f}."
            + (
                ""
                if after is None
                else f" The weights at the end of epoch {after.epoch} did, after "
                f"{format_seconds(after.seconds)} of training."
            )
        )
    else:
        yield (
            f"An epoch's accuracy first reached {TARGET:g} in epoch {reached.epoch}, after "
            f"{format_seconds(reached.seconds)} of training."
        )
    yield from not_compiled("The model", curve.prepared)
    start = sum(curve.prepared["seconds"].values())
    yield (
        "Before the first epoch, building the model and its first steps, which were verified, took "
        f"{start:.2f} s."
    )
    last = curve.epochs[-1]
    yield (
        f"Held-out accuracy at the end: {last.held_out_accuracy:.4f} of "
        f"{format_count(curve.settings.held_out)} fresh sequences"
        + (
            f", and {last.unseen_accuracy:.4f} of the {format_count(curve.unseen_sequences)} "
            "among them that were not trained on."
            if last.unseen_accuracy is not None
            else ", all of which are among those that were trained on."
        )
    )
    if curve.covered and curve.cost_of_splitting is not None:
        low, high = min(curve.covered), max(curve.covered)
        yield (
            f"The parts add up to {100 * low:.2f} to {100 * high:.2f} % of the epoch that was "
            f"split; splitting made it {curve.cost_of_splitting:.3f} times as long as the same "
            "epoch as it is."
        )


def seeds_table(curves: Sequence[Curve]) -> Table:
    """For each epoch how many seeds have come to the target, and the accuracies' spread."""
    epochs = range(len(curves[0].epochs))
    rows = []
    for at in epochs:
        during = [curve.epochs[at].accuracy for curve in curves]
        after = [curve.epochs[at].training_accuracy for curve in curves]
        fresh = [curve.epochs[at].held_out_accuracy for curve in curves]
        rows.append(
            [
                Cell(str(at + 1)),
                *(
                    Cell(f"{min(values):.4f}, {statistics.median(values):.4f}, {max(values):.4f}")
                    for values in (during, after, fresh)
                ),
                *(
                    Cell(str(sum(_by(curve, name, at) for curve in curves)))
                    for name in ("accuracy", "training_accuracy", "held_out_accuracy")
                ),
            ]
        )
    headings = ("epoch", "accuracy", "after it", "held out")
    counts = [f"{name} ≥ {TARGET:g}" for name in headings[1:]]
    return Table(
        "seeds",
        f"{len(curves)} seeds",
        "Least, median and largest accuracy over seeds, and how many seeds have reached the target "
        "in that epoch or before.",
        [TableColumn(heading, _RIGHT) for heading in (*headings, *counts)],
        rows,
        pd.DataFrame(
            [{"seed": c.settings.seed, **vars(record)} for c in curves for record in c.epochs]
        ),
    )


def _by(curve: Curve, column: str, at: int) -> bool:
    return any(getattr(record, column) >= TARGET for record in curve.epochs[: at + 1])


def seeds_sentences(curves: Sequence[Curve]) -> Iterator[str]:
    """How many seeds have reached the target."""
    last = len(curves[0].epochs) - 1
    during, after, fresh = (
        sum(_by(curve, column, last) for curve in curves)
        for column in ("accuracy", "training_accuracy", "held_out_accuracy")
    )
    yield (
        f"Within {last + 1} epochs, {during} of {len(curves)} seeds reached an accuracy of "
        f"{TARGET:g} during an epoch, {after} with the weights at an epoch's end, and {fresh} on "
        "fresh sequences."
    )


def variants_table(outcomes: Sequence[Outcome]) -> Table:
    """Every variant: an epoch's time, its ratio to the plain training, and the way to the target.

    `remarks` says why some have none.
    """
    base = next(outcome for outcome in outcomes if outcome.variant.name == BASELINE)
    estimates = [outcome.estimate() for outcome in outcomes]
    scale, unit = column_unit(e.value for e in estimates if e is not None)
    rows = []
    for outcome, estimate in zip(outcomes, estimates, strict=True):
        name = Cell(outcome.variant.name)
        if estimate is None:
            rows.append([name, Cell(outcome.status), *(Cell("") for _ in range(4))])
            continue
        text, interval = format_in_unit(estimate.value, estimate.low, estimate.high, scale)
        rows.append(
            [
                name,
                Cell(f"{text} {interval}", estimate.value),
                *_ratio_cells(outcome, base),
                *_target_cells(outcome),
            ]
        )
    seq_len = outcomes[0].settings.seq_len
    return Table(
        f"variants_{seq_len}",
        f"Variants, sequences of length {seq_len}",
        f"An epoch's time, its ratio to {BASELINE} in the same processes with an interval of 95 % "
        f"over {len(base.processes)} of them, and what the first process, with nothing compiled, "
        f"took to an accuracy of {TARGET:g}: the epoch, and the seconds with building and "
        "compiling.",
        [
            TableColumn("variant"),
            TableColumn(f"epoch, {unit}"),
            TableColumn(f"time / {BASELINE}", _RIGHT),
            TableColumn("verdict"),
            TableColumn("target in epoch", _RIGHT),
            TableColumn("to the target, s", _RIGHT),
        ],
        rows,
        pd.DataFrame([{"variant": o.variant.name, "status": o.status} for o in outcomes]),
    )


def not_compiled(name: str, prepared: Mapping[str, Any]) -> Iterator[str]:
    """Whether what was to be compiled ran eagerly all the same, in whole or in part."""
    graphs = prepared.get("graphs")
    if graphs is None:
        return
    why = "; ".join(graphs["breaks"])
    because = f" ({why})" if why else ""
    if not graphs["graphs"]:
        yield f"{name}: torch.compile made no graph of it{because}, so it ran as if not compiled."
    elif graphs["breaks"]:
        yield f"{name}: torch.compile broke its graph{because}, so a part ran as if not compiled."


def remarks(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Why variants have no number, and which of those to be compiled were not."""
    for outcome in outcomes:
        yield from not_compiled(outcome.variant.name, outcome.prepared)
    yield from _without_number(outcomes)


def _without_number(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Why variants have no number."""
    for outcome in outcomes:
        if outcome.status != "measured":
            yield f"{outcome.variant.name} is {outcome.status}: {outcome.reason}."


def _ratio_cells(outcome: Outcome, base: Outcome) -> list[Cell]:
    if outcome is base:
        return [Cell("1"), Cell("")]
    ratio = outcome.against(base)
    if ratio is None:
        return [Cell("no plain one"), Cell("")]
    return [Cell(" ".join(format_ratio(ratio.ratio, ratio.low, ratio.high))), Cell(ratio.verdict)]


def _target_cells(outcome: Outcome) -> list[Cell]:
    if outcome.reached is None:
        return [Cell("never"), Cell(f"best {outcome.best_accuracy:.4f}")]
    start = outcome.start_seconds or 0.0
    return [Cell(str(outcome.reached.epoch)), Cell(f"{start + outcome.reached.seconds:.2f}")]


def _accuracy(value: float) -> Cell:
    return Cell(f"{value:.4f}", value)
