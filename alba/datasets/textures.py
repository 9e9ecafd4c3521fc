"""Textures of the sprites: crops of scikit-image's bundled pictures, and procedural patterns."""

import colorsys
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

TEXTURE_SIZE = 96
"""Pixels, both sides, of the texture of one part."""

# All of these lie in scikit-image's wheel: none is downloaded.
_GREY_PICTURES = ("brick", "camera", "coins", "grass", "gravel", "moon", "page", "text")
_COLOUR_PICTURES = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "rocket")
_BACKDROPS = (*_COLOUR_PICTURES, "brick", "camera", "grass", "gravel")


def draw_texture(rng: np.random.Generator, hue: float) -> NDArray[np.float32]:
    """Draw the texture of one part of a sprite.

    Parameters
    ----------
    rng : numpy.random.Generator
    hue : float
        Colour of the texture as a fraction of the colour circle; photographs keep their own.

    Returns
    -------
    (S, S, 3) float32
        RGB, 0 to 1, with S = `TEXTURE_SIZE`.
    """
    kind = rng.random()
    if kind < 0.15:
        name = _COLOUR_PICTURES[rng.integers(len(_COLOUR_PICTURES))]
        return _crop(rng, _picture(name), (TEXTURE_SIZE, TEXTURE_SIZE))
    if kind < 0.55:
        name = _GREY_PICTURES[rng.integers(len(_GREY_PICTURES))]
        return _recolour(rng, _crop(rng, _picture(name), (TEXTURE_SIZE, TEXTURE_SIZE)), hue)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))]
    return _recolour(rng, pattern(rng), hue)


def draw_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Draw the texture of a background.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : tuple of int
        (H, W) in pixels.

    Returns
    -------
    (H, W, 3) float32
        RGB, 0 to 1.
    """
    backdrop = _crop(rng, _picture(_BACKDROPS[rng.integers(len(_BACKDROPS))]), size)
    if backdrop.ndim == 2:
        backdrop = 0.5 * _recolour(rng, backdrop, rng.random()) + 0.5 * backdrop[..., None]
    # Less contrast than the sprites have, as background out of focus has.
    return 0.75 * backdrop + 0.25 * backdrop.mean(axis=(0, 1))


@cache
def _picture(name: str) -> NDArray[np.float32]:
    """A bundled picture, (H, W) or (H, W, 3) float32, 0 to 1."""
    return getattr(skimage.data, name)().astype(np.float32) / 255


def _crop(
    rng: np.random.Generator, picture: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float32]:
    """A random window of a picture, resized to `size` if it has to be enlarged."""
    zoom = min(1.0, picture.shape[0] / size[0], picture.shape[1] / size[1]) * rng.uniform(0.7, 1.0)
    height, width = (max(1, int(zoom * n)) for n in size)
    top = rng.integers(picture.shape[0] - height + 1)
    left = rng.integers(picture.shape[1] - width + 1)
    window = picture[top : top + height, left : left + width]
    return cv2.resize(window, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def _recolour(rng: np.random.Generator, grey: NDArray[np.float32], hue: float) -> NDArray[np.float32]:
    """Spread a grey texture between a dark and a light colour of about one hue."""
    saturation, value = rng.uniform(0.3, 0.9), rng.uniform(0.55, 1.0)
    dark_hue, dark_value = (hue + rng.uniform(-0.08, 0.08)) % 1, value * rng.uniform(0.2, 0.6)
    light = np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)
    dark = np.array(colorsys.hsv_to_rgb(dark_hue, saturation, dark_value), np.float32)
    low, high = np.percentile(grey, (2, 98))
    share = np.clip((grey - low) / max(high - low, 0.05), 0, 1)[..., None].astype(np.float32)
    return dark + share * (light - dark)


def _noise(rng: np.random.Generator) -> NDArray[np.float32]:
    octaves = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for cells in (6, 12, 24, 48):
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        octaves += cv2.resize(coarse, octaves.shape, interpolation=cv2.INTER_CUBIC) * np.float32(6 / cells)
    return octaves


def _stripes(rng: np.random.Generator) -> NDArray[np.float32]:
    return _wave(rng, rng.uniform(0, np.pi)) + 0.15 * _noise(rng)


def _checks(rng: np.random.Generator) -> NDArray[np.float32]:
    angle = rng.uniform(0, np.pi)
    return _wave(rng, angle) * _wave(rng, angle + np.pi / 2) + 0.15 * _noise(rng)


def _dots(rng: np.random.Generator) -> NDArray[np.float32]:
    dots = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for x, y in rng.integers(TEXTURE_SIZE, size=(90, 2)).tolist():
        cv2.circle(dots, (x, y), int(rng.integers(2, 5)), rng.uniform(0.4, 1.0), -1, cv2.LINE_AA)
    return dots + 0.05 * _noise(rng)


def _wave(rng: np.random.Generator, angle: float) -> NDArray[np.float32]:
    """A soft square wave across the texture, -1 to 1."""
    y, x = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE].astype(np.float32)
    across = x * np.cos(angle) + y * np.sin(angle)
    return np.tanh(2 * np.sin(2 * np.pi * across / rng.uniform(6, 14) + rng.uniform(0, 6))).astype(np.float32)


_PATTERNS: tuple[Callable[[np.random.Generator], NDArray[np.float32]], ...] = (
    _noise,
    _stripes,
    _checks,
    _dots,
)
