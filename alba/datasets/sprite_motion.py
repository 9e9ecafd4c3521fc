"""Motions of the sprites: invertible maps of the plane that change smoothly with the frame.

Points are complex numbers, x + iy, in pixels; time is the frame index. Every map has an exact inverse,
so that what a pixel shows is found backwards and where it goes is found forwards, without error.
"""

import cmath
import math
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]

OneOrMany = TypeVar("OneOrMany", complex, Points)


class PlaneMap(Protocol):
    """An invertible map of the plane."""

    def forward(self, points: Points) -> Points:
        """Images of points."""

    def inverse(self, points: Points) -> Points:
        """Points whose images are given."""


@dataclass(frozen=True)
class Oscillation:
    """``mean + amplitude * sin(2 pi (t / period + phase))``; phase is a fraction of the period."""

    mean: float = 0.0
    amplitude: float = 0.0
    period: float = 1.0
    phase: float = 0.0

    def at(self, t: float) -> float:
        """The value in frame `t`."""
        return self.mean + self.amplitude * math.sin(2 * math.pi * (t / self.period + self.phase))


@dataclass(frozen=True)
class Similarity:
    """Rotation and scaling by the complex `factor`, then translation by `shift`."""

    factor: complex
    shift: complex

    def forward(self, points: OneOrMany) -> OneOrMany:
        """Images of points."""
        return self.factor * points + self.shift

    def inverse(self, points: OneOrMany) -> OneOrMany:
        """Points whose images are given."""
        return (points - self.shift) / self.factor

    def inverted(self) -> "Similarity":
        """The inverse map."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    def after(self, first: "Similarity") -> "Similarity":
        """The map that does `first`, then this one."""
        return Similarity(self.factor * first.factor, self.factor * first.shift + self.shift)


@dataclass(frozen=True)
class Wave:
    """A non-rigid deformation: a sinusoidal shear along x, then one along y."""

    x_amplitude: float
    y_amplitude: float
    frequency: float

    def forward(self, points: Points) -> Points:
        """Images of points."""
        x = points.real + self.x_amplitude * np.sin(self.frequency * points.imag)
        return x + 1j * (points.imag + self.y_amplitude * np.sin(self.frequency * x))

    def inverse(self, points: Points) -> Points:
        """Points whose images are given; a shear is undone by subtracting it."""
        y = points.imag - self.y_amplitude * np.sin(self.frequency * points.real)
        return points.real - self.x_amplitude * np.sin(self.frequency * y) + 1j * y


@dataclass(frozen=True)
class Motion:
    """A smooth motion: swings along a heading and across it, turns, and changes size.

    Parameters
    ----------
    centre : complex
        Middle of the path.
    heading : complex
        Unit number.
    along, across : Oscillation
        Pixels.
    angle : Oscillation
        Radians.
    log_size : Oscillation
        Natural logarithm of the magnification.
    """

    centre: complex = 0j
    heading: complex = 1 + 0j
    along: Oscillation = Oscillation()
    across: Oscillation = Oscillation()
    angle: Oscillation = Oscillation()
    log_size: Oscillation = Oscillation()

    def at(self, t: float) -> Similarity:
        """The pose in frame `t`."""
        place = self.centre + self.heading * complex(self.along.at(t), self.across.at(t))
        return Similarity(cmath.rect(math.exp(self.log_size.at(t)), self.angle.at(t)), place)

    def through(self, place: complex, t: float) -> Self:
        """The same motion, moved so that it passes `place` in frame `t`."""
        return replace(self, centre=self.centre + place - self.at(t).shift)
