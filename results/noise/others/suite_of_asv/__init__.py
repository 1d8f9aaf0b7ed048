"""The cases as a suite of asv; `by_asv` runs it."""
