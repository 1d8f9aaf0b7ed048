"""Run one of README's set-up commands, literally: the argument says which, from 1."""

import re
import subprocess
import sys
from pathlib import Path


def readme_commands() -> list[str]:
    """The commands of README's fenced ``bash setup`` blocks, in order."""
    readme = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")
    return re.findall(r"^```bash setup\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    command = readme_commands()[int(sys.argv[1]) - 1]
    sys.stdout.write(f"$ {command}")
    sys.stdout.flush()
    sys.exit(subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=False).returncode)
