"""Benchmarks of recurrent layers in PyTorch whose numbers can be trusted."""

__all__ = ["__version__"]

__version__ = "0.1.0"
