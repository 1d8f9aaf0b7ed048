"""Tables that are kept beside results say what today's code makes of those results."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "results"


# Those that take seconds; studies of minutes are run by hand.
@pytest.mark.parametrize(
    "name", ["noise/whole", "versions/findings", "versions/summary", "versions/again"]
)
def test_a_kept_table_is_what_its_script_prints(name):
    ran = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py"], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (FOLDER / f"{name}.md").read_text(encoding="utf-8")
