"""Scenes of the sprites: what there is to see, where it is in every frame, and in which order it covers."""

import cmath
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alba.datasets.sprite_motion import Motion, Oscillation, PlaneMap, Points, Similarity, Wave


@dataclass(frozen=True, eq=False)
class Part:
    """One blob of a sprite: an outline ``radius * (1 + sum_k Re(harmonics_k e^{ik angle}))`` with a texture.

    Parameters
    ----------
    radius : float
        Pixels.
    harmonics : tuple of complex
        Of order 2 and up.
    texture : (S, S, 3) float32
        RGB, 0 to 1; one texel is `texel` pixels.
    texel : float
    joint : complex
        Where the part hangs on the sprite.
    arm : complex
        From the joint to the middle of the part.
    swing : Oscillation
        Rotation about the joint, radians.
    """

    radius: float
    harmonics: tuple[complex, ...]
    texture: NDArray[np.float32]
    texel: float
    joint: complex
    arm: complex
    swing: Oscillation

    @property
    def reach(self) -> float:
        """Largest distance of the outline from the middle of the part, pixels."""
        return self.radius * (1 + sum(abs(harmonic) for harmonic in self.harmonics))

    @property
    def extent(self) -> float:
        """Largest distance of the part from the middle of the sprite, pixels."""
        return abs(self.joint) + abs(self.arm) + self.reach

    def depth(self, points: Points) -> NDArray[np.float64]:
        """How far points of the part's own plane lie inside the outline: pixels, negative outside."""
        distance = np.abs(points)
        direction = points / np.maximum(distance, 1e-9)
        outline = np.ones_like(distance)
        power = direction
        for harmonic in self.harmonics:
            power = power * direction
            outline += (harmonic * power).real
        return self.radius * outline - distance

    def at(self, t: float) -> Similarity:
        """The part's own plane to the sprite's, in frame `t`."""
        turn = cmath.rect(1, self.swing.at(t))
        return Similarity(turn, self.joint + turn * self.arm)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A thing of several parts that moves as one.

    Parameters
    ----------
    object_id : int
        1 and up; 0 for a stationary sprite, which is no object of the ground truth.
    parts : tuple of Part
        From the back to the front.
    motion : Motion
        The sprite's plane to the world.
    bend : Oscillation
        Amplitude of the deformation as a fraction of the body's radius.
    """

    object_id: int
    parts: tuple[Part, ...]
    motion: Motion
    bend: Oscillation

    @property
    def body(self) -> Part:
        """The largest part."""
        return max(self.parts, key=lambda part: part.radius)

    @property
    def extent(self) -> float:
        """Radius of a circle about the middle that holds all parts, pixels."""
        return max(part.extent for part in self.parts)

    def wave(self, t: float) -> Wave:
        """The deformation in frame `t`, between the parts and the motion."""
        radius = self.body.radius
        return Wave(radius * self.bend.at(t), radius * self.bend.at(t + self.bend.period / 3), 1.4 / radius)


@dataclass(frozen=True)
class PartMap:
    """A part's plane to the image: hung on the sprite, deformed, then moved before the camera."""

    hang: Similarity
    wave: Wave
    move: Similarity

    def forward(self, points: Points) -> Points:
        """Images of points."""
        return self.move.forward(self.wave.forward(self.hang.forward(points)))

    def inverse(self, points: Points) -> Points:
        """Points whose images are given."""
        return self.hang.inverse(self.wave.inverse(self.move.inverse(points)))

    def circle(self, radius: float) -> tuple[complex, float]:
        """Centre and radius of a circle in the image that holds the disk of `radius` about 0."""
        slack = abs(self.wave.x_amplitude) + abs(self.wave.y_amplitude)
        return self.move.forward(self.hang.shift), abs(self.move.factor) * (radius + slack)


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that one video shows.

    Parameters
    ----------
    size : tuple of int
        (H, W) of the image in pixels.
    backdrop : (H', W', 3) float32
        Texture of the background, RGB, 0 to 1, its middle at the world's origin.
    camera : Motion
        The image's plane, its middle at 0, to the world.
    sprites : tuple of Sprite
        From the back to the front.
    light : Oscillation
        Brightness of the frames.
    """

    size: tuple[int, int]
    backdrop: NDArray[np.float32]
    camera: Motion
    sprites: tuple[Sprite, ...]
    light: Oscillation

    @cached_property
    def layers(self) -> tuple[tuple[Sprite, Part], ...]:
        """Parts from the back to the front; layer 0 is the background, layer i is ``layers[i - 1]``."""
        return tuple((sprite, part) for sprite in self.sprites for part in sprite.parts)

    @cached_property
    def object_ids(self) -> NDArray[np.uint8]:
        """Ground truth of each layer: (1 + number of parts,) uint8."""
        return np.array([0, *(sprite.object_id for sprite, _ in self.layers)], np.uint8)

    def view(self, t: float) -> Similarity:
        """The world to the image, in frame `t`."""
        height, width = self.size
        middle = Similarity(1, complex((width - 1) / 2, (height - 1) / 2))
        return middle.after(self.camera.at(t).inverted())

    def part_map(self, layer: int, t: float) -> PartMap:
        """The own plane of a part (layer 1 and up) to the image, in frame `t`."""
        sprite, part = self.layers[layer - 1]
        return PartMap(part.at(t), sprite.wave(t), self.view(t).after(sprite.motion.at(t)))

    def layer_map(self, layer: int, t: float) -> PlaneMap:
        """A layer's own plane to the image, in frame `t`; the background's own plane is the world."""
        return self.part_map(layer, t) if layer else self.view(t)
