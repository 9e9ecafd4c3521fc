"""Looks of the sprites: blobs with limbs, each part of another colour and texture."""

import cmath
import math
from dataclasses import replace

import numpy as np

from alba.datasets.sprite_motion import Motion, Oscillation
from alba.datasets.sprite_scene import Part, Sprite
from alba.datasets.textures import draw_texture


def draw_sprite(rng: np.random.Generator, object_id: int, unit: float) -> Sprite:
    """Draw the look of a sprite: a body with 1 to 4 limbs, before and behind it, each with its texture.

    Parameters
    ----------
    rng : numpy.random.Generator
    object_id : int
    unit : float
        Size of the sprite; 1 gives a body of 14 to 22 pixels' radius.
    """
    radius = unit * rng.uniform(14, 22)
    hue = rng.random()
    body = _draw_part(rng, radius, 0j, 0j, hue, Oscillation())
    first = rng.uniform(0, 2 * math.pi)
    num_limbs = int(rng.integers(1, 5))
    parts = [body]
    for index in range(num_limbs):
        direction = cmath.rect(1, first + 2 * math.pi * (index + rng.uniform(-0.2, 0.2)) / num_limbs)
        limb_radius = radius * rng.uniform(0.4, 0.65)
        swing = Oscillation(0, rng.uniform(0.1, 0.35), rng.uniform(12, 24), rng.random())
        limb_hue = (hue + rng.uniform(0.2, 0.8)) % 1
        joint, arm = 0.75 * radius * direction, 0.55 * limb_radius * direction
        limb = _draw_part(rng, limb_radius, joint, arm, limb_hue, swing)
        parts.insert(int(rng.integers(len(parts) + 1)), limb)
    bend = Oscillation(0, rng.uniform(0.05, 0.13), rng.uniform(16, 32), rng.random())
    return Sprite(object_id, tuple(parts), Motion(), bend)


def _draw_part(
    rng: np.random.Generator, radius: float, joint: complex, arm: complex, hue: float, swing: Oscillation
) -> Part:
    harmonics = tuple(
        cmath.rect(rng.uniform(0.3, 1) * strength, rng.uniform(0, 2 * math.pi))
        for strength in (0.2, 0.1, 0.06)
    )
    texel = radius / 18 * rng.uniform(0.8, 1.2)
    return Part(radius, harmonics, draw_texture(rng, hue), texel, joint, arm, swing)


def draw_look_alike(rng: np.random.Generator, looks: list[Sprite], unit: float) -> Sprite:
    """Draw a sprite that neither bends nor swings: as often as not the twin of one of `looks`."""
    twin = rng.random() < 0.5
    model = looks[rng.integers(len(looks))] if twin else draw_sprite(rng, 0, unit)
    parts = tuple(replace(part, swing=_frozen(rng, part.swing)) for part in model.parts)
    return Sprite(0, parts, Motion(), _frozen(rng, model.bend))


def _frozen(rng: np.random.Generator, oscillation: Oscillation) -> Oscillation:
    """An oscillation that stopped at a random moment."""
    return Oscillation(mean=oscillation.at(rng.uniform(0, oscillation.period)))
