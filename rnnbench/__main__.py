"""``python -m rnnbench``: the command line where no console script is installed."""

from rnnbench.cli import main

__all__: list[str] = []

main()
