"""Draw README's pictures and table from the committed result of the `standard` grid.

    python results/gallery.py

Writes `results/gallery/*.png` and the part of README between the marks; nothing is typed by hand.
"""

from __future__ import annotations

from pathlib import Path

from update_readme import ROOT, fill

from rnnbench.report.figures import pictures
from rnnbench.report.plots import png_bytes
from rnnbench.report.render import to_markdown
from rnnbench.report.tables import fastest
from rnnbench.results import Results, read

RESULT = ROOT / "results" / "cpu-standard" / "standard.json.gz"
GALLERY = ROOT / "results" / "gallery"
PICTURES = ("time_seq_len", "winners", "overview")
ROWS = 8
"""Rows of the table that README shows; the whole table is one command away."""


def draw(results: Results) -> str:
    """Write the pictures; returns their Markdown."""
    drawn = {picture.name: picture for picture in pictures(results)}
    lines = []
    for name in PICTURES:
        picture = drawn[name]
        path = GALLERY / f"{name}.png"
        path.write_bytes(png_bytes(picture.figure, 150))
        alternative = picture.alternative.replace("[", "(").replace("]", ")").replace("\n", " ")
        lines += [f"![{alternative}]({path.relative_to(ROOT).as_posix()})", "", picture.caption, ""]
    return "\n".join(lines)


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
    content = draw(results) + "\n" + table(results)
    readme.write_text(fill(readme.read_text(encoding="utf-8"), "gallery", content))


if __name__ == "__main__":
    main()
