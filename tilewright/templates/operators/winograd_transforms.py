"""Winograd's minimal filtering of 3x3 kernels, F(2x2, 3x3) and F(4x4, 3x3): the three linear transforms.

A tile of m x m outputs takes (m + 2)^2 multiplications a pair of channels, not 9 m^2:

::

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A

See A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016 (arXiv:1509.09308),
sections 4.1 and 4.3. F(2x2, 3x3) has their matrices, which come of the points 0, 1, -1. Theirs for
F(4x4, 3x3) come of 0, 1, -1, 2, -2; here the points are 0, +-5/8, +-3/2, which cost as much and lose four
times less to rounding. How points matter: B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg, "Error Analysis
and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.compiler import te

Exprs = list[te.Expr]
Transform = Callable[[Sequence[te.Expr]], Exprs]

# The points of F(4x4, 3x3) beside 0 and infinity, with both signs. Their powers are exact in float32.
NEAR, FAR = 5 / 8, 3 / 2


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A minimal filtering algorithm in one dimension, which is nested with itself for two.

    Attributes:
        outputs: m, the outputs of a tile in each dimension.
        image: ``B^T d`` of m + 2 pixels.
        filter: ``G g`` of 3 weights, m + 2 values.
        inverse: ``A^T p`` of m + 2 products, m values.
        error: what float32 loses at most, as a share of the greatest output, for up to 512 channels of
            normally distributed pixels and weights. Measured were 1.1e-6 and 4.8e-6 (a direct convolution
            loses about 1e-6); this is twice as much. Data of another kind can lose more.
    """

    outputs: int
    image: Transform
    filter: Transform
    inverse: Transform
    error: float

    @property
    def points(self) -> int:
        """Products of a tile in each dimension."""
        return self.outputs + 2


def _image2(d: Sequence[te.Expr]) -> Exprs:
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _filter2(g: Sequence[te.Expr]) -> Exprs:
    even, odd = (g[0] + g[2]) * 0.5, g[1] * 0.5
    return [g[0], even + odd, even - odd, g[2]]


def _inverse2(p: Sequence[te.Expr]) -> Exprs:
    return [p[0] + p[1] + p[2], p[1] - p[2] - p[3]]


def _image4(d: Sequence[te.Expr]) -> Exprs:
    a, b = NEAR**2, FAR**2
    near_even, near_odd = d[4] - d[2] * b, (d[3] - d[1] * b) * NEAR
    far_even, far_odd = d[4] - d[2] * a, (d[3] - d[1] * a) * FAR
    return [
        d[0] * (a * b) + (d[4] - d[2] * (a + b)),
        near_even + near_odd,
        near_even - near_odd,
        far_even + far_odd,
        far_even - far_odd,
        d[1] * (a * b) + (d[5] - d[3] * (a + b)),
    ]


def _filter4(g: Sequence[te.Expr]) -> Exprs:
    a, b = NEAR**2, FAR**2
    near, far = 1 / (2 * a * (a - b)), 1 / (2 * b * (b - a))
    near_even, near_odd = g[0] * near + g[2] * (a * near), g[1] * (NEAR * near)
    far_even, far_odd = g[0] * far + g[2] * (b * far), g[1] * (FAR * far)
    return [
        g[0] * (1 / (a * b)),
        near_even + near_odd,
        near_even - near_odd,
        far_even + far_odd,
        far_even - far_odd,
        g[2],
    ]


def _inverse4(p: Sequence[te.Expr]) -> Exprs:
    near_even, near_odd = p[1] + p[2], p[1] - p[2]
    far_even, far_odd = p[3] + p[4], p[3] - p[4]
    return [
        p[0] + near_even + far_even,
        near_odd * NEAR + far_odd * FAR,
        near_even * NEAR**2 + far_even * FAR**2,
        near_odd * NEAR**3 + far_odd * FAR**3 + p[5],
    ]


ALGORITHMS = {
    "winograd2": Algorithm(2, _image2, _filter2, _inverse2, error=2.5e-6),
    "winograd4": Algorithm(4, _image4, _filter4, _inverse4, error=1e-5),
}


def choose(place: te.Expr, values: Sequence[te.Expr]) -> te.Expr:
    """The value at a place; where the place is a constant once loops are written out, just that value."""
    result = values[-1]
    for number in reversed(range(len(values) - 1)):
        result = te.if_then_else(place == number, values[number], result)
    return result
