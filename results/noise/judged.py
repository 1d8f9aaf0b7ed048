"""A result of `rnnbench noise` judged again, as the pages here show it.

    python results/noise/judged.py noise.json 3% 5% 10% > results/noise/noise-DATE.md

The sentences and the table of `rnnbench noise --from noise.json --planted 3%,5%,10%`, and how many
unchanged cases are called the same at a margin of 5 %.
"""

from __future__ import annotations

import sys

from rnnbench.regressions.compare_command import parse_share
from rnnbench.regressions.noise import size_classes, study
from rnnbench.regressions.noise_output import per_cent, sentences, to_table
from rnnbench.report.render import to_markdown
from rnnbench.results import read

WIDE = 0.05


def main(file: str, *planted: str) -> None:
    """Print them."""
    results = read([file])
    found = study(results, [parse_share(share, "planted") for share in planted])
    same = size_classes(study(results, [], margin=WIDE))[-1].same
    said = [
        *sentences(found),
        f"At a margin of {WIDE:.0%} {same.found} of the {same.of} unchanged cases were called the "
        f"same ({per_cent(same)}).",
    ]
    lines = to_markdown(to_table(found)).splitlines()
    print("\n".join([" ".join(said), "", *(line for line in lines if line.startswith("|"))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
