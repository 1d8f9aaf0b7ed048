"""Draw README's pictures and table from the committed results.

    python results/gallery.py

Writes `results/gallery/*.png` and the part of README between the marks; nothing is typed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

from marks import ROOT, fill
from matplotlib.figure import Figure

from rnnbench.diagnosis.growth import growth_figure, growth_said, growths_of
from rnnbench.report.figures import pictures
from rnnbench.report.plots import png_bytes
from rnnbench.report.render import to_markdown
from rnnbench.report.tables import fastest
from rnnbench.results import Results, read

RESULT = ROOT / "results" / "cpu-standard" / "standard.json.gz"
GROWTH = ROOT / "results" / "compile-growth" / "growth.json"
GALLERY = ROOT / "results" / "gallery"
PICTURES = ("time_seq_len", "winners", "overview")
ROWS = 8
"""Rows of the table that README shows; the whole table is one command away."""


def drawn(name: str, figure: Figure, alternative: str, caption: str) -> str:
    """Write a picture; returns its Markdown."""
    path = GALLERY / f"{name}.png"
    path.write_bytes(png_bytes(figure, 150))
    alternative = alternative.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"![{alternative}]({path.relative_to(ROOT).as_posix()})\n\n{caption}\n"


def of_times(results: Results) -> str:
    """The pictures of the report."""
    found = {picture.name: picture for picture in pictures(results)}
    return "\n".join(
        drawn(name, found[name].figure, found[name].alternative, found[name].caption)
        for name in PICTURES
    )


def of_growth() -> str:
    """How compile time grows with the sequence length."""
    growths = growths_of(json.loads(GROWTH.read_text(encoding="utf-8")))
    said = " ".join(growth_said(growths))
    return drawn("compile_growth", growth_figure(growths), said, f"Compile time. {said}")


def table(results: Results) -> str:
    """The first rows of the table of winners, as `rnnbench table fastest` prints it."""
    found = fastest(results)
    assert found is not None
    lines = to_markdown(found).strip().splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("| "))
    left = len(lines) - (head + 2 + ROWS)
    more = f"\n\n{left} rows more: `rnnbench table fastest {RESULT.relative_to(ROOT)}`."
    return "\n".join(lines[head : head + 2 + ROWS]) + more


def main() -> None:
    """Draw all and rewrite README."""
    results = read(Path(RESULT))
    GALLERY.mkdir(exist_ok=True)
    readme = ROOT / "README.md"
    content = "\n".join((of_times(results), table(results), "", of_growth())).rstrip()
    readme.write_text(fill(readme.read_text(encoding="utf-8"), "gallery", content))


if __name__ == "__main__":
    main()
