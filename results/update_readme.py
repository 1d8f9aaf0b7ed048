"""Fill README's marked parts from committed results and from the plug-in that is tested.

    python results/update_readme.py

Nothing between the marks is typed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from rnnbench.report.tables import classifier
from rnnbench.results import read

ROOT = Path(__file__).parent.parent
EPOCHS = ROOT / "results" / "cpu-classifier" / "classifier.json.gz"
VERSIONS = ROOT / "results" / "versions" / "summary.md"
LOG = ROOT / "results" / "cpu-quick" / "quick.log"
PLUGIN = ROOT / "tests" / "plugins" / "my_cell.py"
SHOWN = ("forward_backward", "T=10 B=32")


def table() -> str:
    """The group of the log that README shows, and the run's own last lines."""
    lines = LOG.read_text(encoding="utf-8").splitlines()
    start = next(
        number
        for number, line in enumerate(lines)
        if line.startswith(SHOWN[0] + ":") and SHOWN[1] in line and "time_major" in line
    )
    end = lines.index("", start)
    accounts = [
        line for line in lines if re.match(r"\d+ cases timed|timed rounds|busy machine", line)
    ]
    return "```text\n" + "\n".join([*lines[start:end], "", *accounts]) + "\n```"


def advice() -> str:
    """A row for each piece of advice and implementation: its epoch over the plain one."""
    found = classifier(read([EPOCHS]))
    assert found is not None
    data = found.data
    lengths = sorted(set(data["seq_len"]))
    lines = [
        "| instead of the plain epoch | " + " | ".join(f"T={length}" for length in lengths) + " |",
        "| --- |" + " ---: |" * len(lengths),
    ]
    others = data[data["row"] != data["base"]]
    for (variant, label), rows in others.groupby(["variant", "label"], sort=False):
        by_length = {row["seq_len"]: row for _, row in rows.iterrows()}
        cells = [ratio(by_length[n]) if n in by_length else "" for n in lengths]
        name = f"`{variant}`" if variant else f"`{label}` in place of `nn_rnn`"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio(row: pd.Series) -> str:
    """A ratio with its interval."""
    return f"{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]"


def versions() -> str:
    """The first table of the summary: what changed between versions."""
    return VERSIONS.read_text(encoding="utf-8").partition("\n\n")[0]


def fill(text: str, mark: str, content: str) -> str:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- /mark -->``."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    """Rewrite README."""
    readme = ROOT / "README.md"
    text = fill(readme.read_text(encoding="utf-8"), "table", table())
    text = fill(text, "plugin", "```python\n" + PLUGIN.read_text(encoding="utf-8") + "```")
    text = fill(text, "versions", versions())
    text = fill(text, "advice", advice())
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
