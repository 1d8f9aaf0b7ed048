"""Shapes around a shape: distances, neighbours and hulls, all in the logarithms of sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

__all__ = ["Sizes", "distance_to", "encloses", "neighbours_of"]

Sizes: TypeAlias = tuple[int, ...]

_TOUCHES = 1e-6
"""How far off a hull, in logarithms, still counts as on it: a millionth of a size is rounding."""


def distance_to(wish: Sizes, shape: Sizes) -> float:
    """Length of the vector of the logarithms of both shapes' ratios; 0 for the same shape."""
    return math.hypot(*(math.log(b / a) for a, b in zip(wish, shape, strict=True)))


def encloses(shapes: Sequence[Sizes], wish: Sizes) -> bool:
    """Whether a wish lies in the convex hull of measured shapes, all in logarithms.

    Inside of it, it is a mean of measured shapes with weights that are not negative and add up to
    1, which non-negative least squares finds (Lawson and Hanson 1974).
    """
    if wish in shapes:
        return True
    points = np.log(np.array(shapes, dtype=np.float64))
    target = np.log(np.array(wish, dtype=np.float64))
    if (target < points.min(axis=0)).any() or (target > points.max(axis=0)).any():
        return False
    from scipy.optimize import nnls

    # Around the wish, so that all rows of the equations are of one magnitude.
    system = np.vstack([(points - target).T, np.ones(len(points))])
    _, missed = nnls(system, np.append(np.zeros(len(wish)), 1.0))
    return bool(missed <= _TOUCHES)


def neighbours_of(shapes: Sequence[Sizes], wish: Sizes) -> list[Sizes]:
    """Measured shapes with no other one between them and the wish; the nearest first.

    One shape is between another and the wish if on each axis it lies between their two sizes, or
    on one of them. On a full grid these are the corners of the cell that holds the wish.
    """
    found: list[Sizes] = []
    for shape in sorted(set(shapes), key=lambda shape: (distance_to(wish, shape), shape)):
        # What is between is nearer, so it was met before, or what is between it in turn.
        if not any(_between(nearer, shape, wish) for nearer in found):
            found.append(shape)
    return found


def _between(middle: Sizes, shape: Sizes, wish: Sizes) -> bool:
    return all(
        min(a, b) <= size <= max(a, b) for size, a, b in zip(middle, shape, wish, strict=True)
    )
