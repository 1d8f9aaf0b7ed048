"""The coordinator: `pytest suites` starts workers, passes the turn and keeps the results."""
