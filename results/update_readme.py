"""Fill README's marked parts from committed results and from the plug-in that is tested.

    python results/update_readme.py

Nothing between the marks is typed by hand.
"""

from __future__ import annotations

import re

import pandas as pd
from marks import RESULTS, ROOT, fill_all, said, wrapped

from rnnbench.report.content import Table
from rnnbench.report.tables import classifier, comparison, lengths, packing
from rnnbench.results import read

README = ROOT / "README.md"
EPOCHS = RESULTS / "cpu-classifier" / "classifier.json.gz"
LENGTHS = RESULTS / "cpu-variable-length" / "variable-length.json.gz"
STREAMING = RESULTS / "cpu-streaming" / "streaming.json.gz"
LOG = RESULTS / "cpu-quick" / "quick.log"
GRIDS = ("forms", "dtypes", "variable-length", "classifier", "streaming")
PLUGIN = ROOT / "tests" / "plugins" / "my_cell.py"
STEPS = 10  # of the classifier's sequences
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


def ratio(row: pd.Series, column: str = "ratio") -> str:
    """A ratio with its interval."""
    return f"{row[column]:.3f} [{row[f'{column}_low']:.3f}, {row[f'{column}_high']:.3f}]"


def only(table: Table | None, **wanted: str | float | bool) -> pd.Series:
    """The one row of a table that has these values."""
    assert table is not None
    data = table.data
    for name, value in wanted.items():
        data = data[data[name] == value]
    (number,) = data.index
    return data.loc[number]


def findings() -> str:
    """What the grids found, each with a ratio and its interval, and how long they took."""
    variable = read([LENGTHS])
    packs = packing(variable)
    plain: dict[str, str | bool] = {"cell": "rnn_tanh", "label": "nn_rnn", "sorted": False}
    little = only(packs, **plain, **{"pass": "inference"})
    whole = only(packs, **plain, **{"pass": "forward_backward"})
    assert whole["largest"] == 1
    shown = lengths(variable)
    assert shown is not None
    assert little["smallest"] == shown.data["valid_share"].min()
    steps = comparison(read([STREAMING]))
    one: dict[str, str | int] = {"cell": "rnn_tanh", "batch": 1, "hidden_size": 256}
    eager = only(steps, label="python_loop", **one)
    compiled = only(steps, label="compiled_loop", **one)
    epochs = classifier(read([EPOCHS]))
    dataset = only(epochs, variant="per_sample", seq_len=STEPS)
    item = only(epochs, variant="item_every_step", seq_len=STEPS)
    found = [
        f"Packing a batch of which {100 * little['smallest']:.0f} % of the tokens are valid takes "
        f"{ratio(little, 'ratio_smallest')} of the padded time in inference (`rnn_tanh`), but with "
        f"gradients and nothing padded {ratio(whole, 'ratio_largest')}.",
        "One step at a time (`rnn_tanh`, batch 1, H=256), a plain Python loop takes "
        f"{ratio(eager)} of `nn.RNN`'s time, and the compiled loop {ratio(compiled)}.",
        f"An epoch of the classifier (T={STEPS}) fed by a per-sample Python dataset takes "
        f"{ratio(dataset)} of one whose tensors were made once; with `.item()` in every step it "
        f"takes {ratio(item)}.",
    ]
    took = [f"{minutes(grid)} for `{grid}`" for grid in GRIDS]
    return "\n".join(
        [
            *(wrapped(f"- {sentence}", "  ") for sentence in found),
            "",
            wrapped(f"From start to end, in minutes: {', '.join(took[:-1])} and {took[-1]}.", ""),
        ]
    )


def minutes(grid: str) -> str:
    """How long pytest says that a grid took."""
    (seconds,) = re.findall(r"passed.* in ([\d.]+)s", said(f"cpu-{grid}/{grid}.log"))
    return f"{float(seconds) / 60:.1f}"


def versions() -> str:
    """The first table of the summary: what changed between versions."""
    return said("versions/summary.md").partition("\n\n")[0]


def version_findings() -> str:
    """What that run found, in sentences."""
    return "\n".join(wrapped(line, "  ") for line in said("versions/findings.md").splitlines())


def noise() -> str:
    """What all kept runs of the same code against itself say together."""
    return wrapped(said("noise/whole.md").splitlines()[-1])


def filled(text: str) -> str:
    """README with its marked parts made again."""
    parts = {
        "table": table(),
        "plugin": "```python\n" + PLUGIN.read_text(encoding="utf-8") + "```",
        "versions": versions(),
        "version findings": version_findings(),
        "noise": noise(),
        "advice": advice(),
        "findings": findings(),
    }
    return fill_all(text, parts)


def main() -> None:
    """Rewrite README."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
