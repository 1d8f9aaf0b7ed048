"""Fill README's marked parts: the table that the quick run printed, and the plug-in that is tested.

    python results/update_readme.py

Nothing between the marks is typed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
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
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
