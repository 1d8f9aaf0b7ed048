"""Holds limits against each other, against an independent sweep, and against measured cases.

    python check.py LIMITS LIMITS SWEEP… -- RESULT…

Two files of `rnnbench machine`: how far they agree. Files of `sweep.py`: whether the best rate is
at least 90 % of theirs, and the same for each shape that both have. Results: how many cases are
faster than their limit by more than its interval, by the limits that they hold or else by the first
file. The exit status is 1 where one of these fails.
"""

import json
import sys
from pathlib import Path

from rnnbench.limits import Product, read_limits
from rnnbench.results import read

AGREED, REACHED = 0.10, 0.90


def parts(ceiling):
    """What a ceiling has measured, by kind and name, in seconds."""
    yield "best rate", {"all": 1 / ceiling.flops_per_second}
    yield "memory", {"all": 1 / ceiling.bytes_per_second}
    yield "calls", {name: least.seconds for name, least in ceiling.calls.items()}
    yield (
        "products",
        {(shape.m, shape.k, shape.n): least.seconds for shape, least in ceiling.products.items()},
    )
    yield "bytes by amount", {size: least.seconds for size, least in ceiling.moves.items()}


def agreement(first, second):
    """Whether all that both measured agrees; prints each kind with its worst."""
    fine = True
    for one, other in zip(first.ceilings, second.ceilings, strict=True):
        for (kind, left), (_, right) in zip(parts(one), parts(other), strict=True):
            ratios = {name: right[name] / left[name] for name in left}
            worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
            beyond = sum(abs(ratio - 1) > AGREED for ratio in ratios.values())
            fine &= not beyond
            print(
                f"{one.threads} threads, {kind}: {len(ratios)}, of which {beyond} differ by more "
                f"than {AGREED:.0%}; most so {worst}, by {ratios[worst] - 1:+.1%}"
            )
    return fine


def reached(limits, sweep):
    """Whether the best rates are those of the sweep, or nearly."""
    (ceiling,) = [
        one for one in limits.ceilings if (one.dtype, one.threads) == ("float32", sweep["threads"])
    ]
    best = max(sweep["products"], key=lambda row: row["flops_per_second"])
    share = ceiling.flops_per_second / best["flops_per_second"]
    print(
        f"{ceiling.threads} threads, best rate: {ceiling.flops_per_second / 1e9:.1f} GFLOP/s, the "
        f"sweep's {best['flops_per_second'] / 1e9:.1f} at {best['shape']}: {share:.1%} of it"
    )
    shares = []
    for row in sweep["products"]:
        least = ceiling.products.get(Product(*row["shape"]))
        if least is not None:
            shares.append((row["seconds"] / least.seconds, row["shape"]))
    low, shape = min(shares)
    print(
        f"{ceiling.threads} threads, by shape: {len(shares)} shapes that both have, the lowest "
        f"rate {low:.1%} of the sweep's, at {shape}"
    )
    return share >= REACHED and low >= REACHED


def beaten(limits, files):
    """Whether no case is faster than its limit by more than the limit's interval."""
    frame = read(files, limits=limits).frame
    known = frame[frame["limit"].notna()]
    wrong = known[known["limit_defect"]]
    above = known[known["limit_share"] > 1]
    print(
        f"{len(known)} cases with a limit: {len(above)} faster than it, {len(wrong)} by more than "
        f"its interval; shares of limit {known['limit_share'].min():.1%} to "
        f"{known['limit_share'].max():.1%}, median {known['limit_share'].median():.1%}"
    )
    for name, group in known.groupby("limit_by"):
        print(f"  bound by {name}: {len(group)}, up to {group['limit_share'].max():.1%}")
    for name, group in known.groupby("implementation"):
        print(f"  {name}: {len(group)}, up to {group['limit_share'].max():.1%}")
    columns = ["implementation", "pass", "seq_len", "batch", "hidden_size", "threads"]
    columns += ["time", "limit", "limit_low", "limit_by", "limit_share"]
    print(above[columns].to_string(index=False) if len(above) else "  none is above its limit")
    return wrong.empty


def main(arguments):
    at = arguments.index("--") if "--" in arguments else len(arguments)
    first, second, *sweeps = arguments[:at]
    limits = read_limits(Path(first))
    fine = agreement(limits, read_limits(Path(second)))
    for sweep in sweeps:
        fine &= reached(limits, json.loads(Path(sweep).read_text()))
    if arguments[at + 1 :]:
        fine &= beaten(limits, arguments[at + 1 :])
    print("all of it holds" if fine else "NOT all of it holds")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
