"""The benchmarks; a package, so that `pytest --pyargs rnnbench.suites` finds them installed."""
