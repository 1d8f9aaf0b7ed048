"""Regressions: PyTorch versions and states of one's own code against each other, with verdicts."""
