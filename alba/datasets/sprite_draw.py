"""Random scenes: the paths of the sprites, and who covers whom."""

import cmath
import math
from dataclasses import replace
from typing import Literal

import numpy as np

from alba.datasets.sprite_looks import draw_look_alike, draw_sprite
from alba.datasets.sprite_motion import Motion, Oscillation
from alba.datasets.sprite_render import render
from alba.datasets.sprite_scene import Scene, Sprite
from alba.datasets.textures import draw_backdrop
from alba.errors import DatasetError

Plot = Literal["leaves", "hides"]

REFERENCE_HEIGHT = 144
"""Rows of the image for which lengths are given below; they grow with the image."""

PLOTS: tuple[Plot, ...] = ("leaves", "hides")
"""leaves: the last object leaves the image and comes back. hides: object 1 passes before the smaller 2."""

_MIN_STORY = 16
"""Frames that the plot needs; a shorter video shows its beginning."""

_MAX_DRAWS = 500
_MIN_SHARE = 0.8
"""Share of its body's disk that every sprite shows in frame 0."""


def draw_scene(rng: np.random.Generator, size: tuple[int, int], num_frames: int, plot: Plot) -> Scene:
    """Draw a scene of 2 to 4 moving objects and 2 to 4 stationary look-alikes.

    Objects 1 and 2 cross each other. All objects and look-alikes are visible in frame 0.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : tuple of int
        (H, W) of the image in pixels.
    num_frames : int
    plot : Plot
        What happens, see `PLOTS`.

    Raises
    ------
    DatasetError
        The image is too narrow for the sprites, far below 4/3 of its height.
    """
    unit = size[0] / REFERENCE_HEIGHT
    num_objects = int(rng.integers(3 if plot == "leaves" else 2, 5))
    looks = [
        draw_sprite(rng, object_id, unit * _relative_size(object_id, num_objects, plot))
        for object_id in range(1, num_objects + 1)
    ]
    looks += [draw_look_alike(rng, looks, unit) for _ in range(rng.integers(2, 5))]
    backdrop = draw_backdrop(rng, (int(1.7 * size[0]), int(1.7 * size[1])))
    light = Oscillation(1.0, rng.uniform(0.02, 0.08), rng.uniform(20, 60), rng.random())
    for _ in range(_MAX_DRAWS):
        camera = _draw_camera(rng, unit)
        motions = _draw_motions(rng, looks, size, max(num_frames, _MIN_STORY), camera, plot)
        sprites = [replace(look, motion=motion) for look, motion in zip(looks, motions, strict=True)]
        scene = Scene(size, backdrop, camera, _draw_order(rng, sprites, plot), light)
        if _well_placed(scene):
            return scene
    raise DatasetError(
        f"sprites do not fit into {size[0]} x {size[1]} pixels",
        "set a width of at least 4/3 of the height",
    )


def _relative_size(object_id: int, num_objects: int, plot: Plot) -> float:
    if plot == "leaves":
        return 0.75 if object_id == num_objects else 1.0
    return {1: 1.3, 2: 0.65}.get(object_id, 1.0)


def _draw_order(rng: np.random.Generator, sprites: list[Sprite], plot: Plot) -> tuple[Sprite, ...]:
    """Sprites from the back to the front, by chance but for what the plot asks."""
    order = rng.permutation(len(sprites)).tolist()
    if plot == "hides":
        order.remove(0)
        order.insert(order.index(1) + 1, 0)
    return tuple(sprites[index] for index in order)


def _draw_camera(rng: np.random.Generator, unit: float) -> Motion:
    return Motion(
        heading=cmath.rect(1, rng.uniform(0, 2 * math.pi)),
        along=Oscillation(0, unit * rng.uniform(8, 22), rng.uniform(40, 80), rng.random()),
        across=Oscillation(0, unit * rng.uniform(1, 4), rng.uniform(20, 50), rng.random()),
        angle=Oscillation(0, rng.uniform(0.01, 0.06), rng.uniform(40, 80), rng.random()),
        log_size=Oscillation(0, rng.uniform(0.01, 0.06), rng.uniform(40, 80), rng.random()),
    )


def _draw_motions(
    rng: np.random.Generator,
    looks: list[Sprite],
    size: tuple[int, int],
    num_frames: int,
    camera: Motion,
    plot: Plot,
) -> list[Motion]:
    """Motions of all sprites: objects 1 and 2 meet, the last object leaves if the plot says so."""

    def place(share: float) -> complex:
        """A random place of the image, its middle at 0, within a share of its sides."""
        return complex(*(share * n * rng.uniform(-0.5, 0.5) for n in (size[1], size[0])))

    unit = size[0] / REFERENCE_HEIGHT
    num_objects = sum(look.object_id > 0 for look in looks)
    middle = 0.5 * num_frames
    meeting, met = rng.uniform(0.35, 0.65) * num_frames, place(0.5)
    motions = []
    for index, look in enumerate(looks):
        if look.object_id == 0:
            motion = Motion(
                angle=Oscillation(rng.uniform(-0.8, 0.8)), log_size=Oscillation(rng.normal(0, 0.1))
            )
            here, when = place(0.9), middle
        elif plot == "leaves" and look.object_id == num_objects:
            motion, here, when = _draw_excursion(rng, look, size, num_frames)
        elif index < 2:
            motion = _draw_crossing(rng, unit, meeting, opposite=index == 1)
            here, when = met, meeting
        else:
            motion, here, when = _draw_motion(rng, unit), place(0.7), middle
        motions.append(motion.through(camera.at(when).forward(here), when))
    return motions


def _draw_motion(rng: np.random.Generator, unit: float) -> Motion:
    """To and fro, mostly sideways; slow where the path turns back."""
    period = rng.uniform(36, 64)
    peak_speed = unit * rng.uniform(3.2, 6)
    return Motion(
        heading=cmath.rect(1, rng.normal(0, 0.5)),
        along=Oscillation(0, peak_speed * period / (2 * math.pi), period, rng.random()),
        across=Oscillation(0, unit * rng.uniform(2, 8), rng.uniform(20, 40), rng.random()),
        angle=Oscillation(rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.5), rng.uniform(24, 60), rng.random()),
        log_size=Oscillation(0, rng.uniform(0.03, 0.15), rng.uniform(24, 60), rng.random()),
    )


def _draw_crossing(rng: np.random.Generator, unit: float, meeting: float, opposite: bool) -> Motion:
    """Fast, in one of two opposite directions, at the frame of the meeting."""
    motion = _draw_motion(rng, unit)
    phase = 0.5 * opposite - meeting / motion.along.period + rng.uniform(-0.1, 0.1)
    return replace(motion, along=replace(motion.along, phase=phase))


def _draw_excursion(
    rng: np.random.Generator, look: Sprite, size: tuple[int, int], num_frames: int
) -> tuple[Motion, complex, float]:
    """Out of the image and back in; with the place, outside of it, where the path turns back, and when."""
    side = rng.choice((-1.0, 1.0))
    period, outermost = 1.2 * num_frames, 0.45 * num_frames
    motion = replace(
        _draw_motion(rng, size[0] / REFERENCE_HEIGHT),
        heading=complex(side),
        along=Oscillation(0, look.extent * rng.uniform(1.0, 1.25), period, 0.25 - outermost / period),
    )
    here = complex(side * (0.5 * size[1] + 1.1 * look.extent), size[0] * rng.uniform(-0.3, 0.3))
    return motion, here, outermost


def _well_placed(scene: Scene) -> bool:
    """Whether frame 0 shows enough of every sprite."""
    layer = render(scene, 0).layer
    counts = np.bincount(layer.ravel(), minlength=1 + len(scene.layers))[1:]
    owner = [scene.sprites.index(sprite) for sprite, _ in scene.layers]
    visible = np.bincount(owner, weights=counts)
    magnified = [abs(sprite.motion.at(0).factor) * sprite.body.radius for sprite in scene.sprites]
    return bool(np.all(visible >= _MIN_SHARE * np.pi * np.square(magnified)))
