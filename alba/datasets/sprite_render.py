"""Pictures of a sprite scene, what each pixel shows, and exact flow."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.datasets.sprite_motion import Points
from alba.datasets.sprite_scene import Part, Scene


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame.

    Parameters
    ----------
    colour : (H, W, 3) float32
        RGB, 0 to 1, edges anti-aliased, without light and noise.
    layer : (H, W) int16
        Front layer at the middle of each pixel.
    seen : (H, W) complex128
        The point of that layer's own plane that the middle of the pixel shows.
    """

    colour: NDArray[np.float32]
    layer: NDArray[np.int16]
    seen: Points


def render(scene: Scene, t: int) -> Picture:
    """Paint frame `t` of a scene from the back to the front."""
    pixels = pixel_grid(scene.size)
    seen = scene.view(t).inverse(pixels)
    colour = _sample(scene.backdrop, seen)
    layer = np.zeros(scene.size, np.int16)
    for index, (_, part) in enumerate(scene.layers, start=1):
        to_image = scene.part_map(index, t)
        window = _window(*to_image.circle(part.reach), scene.size)
        points = to_image.inverse(pixels[window])
        depth = part.depth(points) * abs(to_image.move.factor)
        alpha = np.clip(depth + 0.5, 0, 1).astype(np.float32)[..., None]
        colour[window] += alpha * (_shaded(part, points) - colour[window])
        inside = depth >= 0
        layer[window][inside] = index
        seen[window][inside] = points[inside]
    return Picture(colour, layer, seen)


def exact_flow(scene: Scene, picture: Picture, t: int, other: int) -> NDArray[np.float64]:
    """Where what each pixel of frame `t` shows is in frame `other`, also if it is hidden there.

    Parameters
    ----------
    scene : Scene
    picture : Picture
        Frame `t`.
    t, other : int
        Frames.

    Returns
    -------
    (2, H, W) float64
        (dx, dy) in pixels.
    """
    moved = pixel_grid(scene.size)
    displacement = np.zeros_like(moved)
    for index in np.unique(picture.layer).tolist():
        shown = picture.layer == index
        target = scene.layer_map(index, other).forward(picture.seen[shown])
        displacement[shown] = target - moved[shown]
    return np.stack((displacement.real, displacement.imag))


def pixel_grid(size: tuple[int, int]) -> Points:
    """Middles of all pixels: (H, W) complex128."""
    return np.arange(size[1]) + 1j * np.arange(size[0])[:, None]


def _window(centre: complex, radius: float, size: tuple[int, int]) -> tuple[slice, slice]:
    """Pixels of the image that a circle, with a pixel's margin for its soft edge, may touch."""
    rows, columns = (
        slice(int(np.clip(middle - radius - 1, 0, n)), int(np.clip(middle + radius + 2, 0, n)))
        for middle, n in ((centre.imag, size[0]), (centre.real, size[1]))
    )
    return rows, columns


def _shaded(part: Part, points: Points) -> NDArray[np.float32]:
    """Texture of a part, darker towards its edge as a round body is."""
    shade = 1 - 0.3 * np.clip(np.abs(points) / part.reach, 0, 1) ** 2
    return _sample(part.texture, points / part.texel) * shade.astype(np.float32)[..., None]


def _sample(texture: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Colours of a texture, its middle at 0, mirrored beyond its edges: (H, W, 3) float32."""
    if not points.size:
        return np.empty((*points.shape, 3), np.float32)
    height, width = texture.shape[:2]
    x = (points.real + (width - 1) / 2).astype(np.float32)
    y = (points.imag + (height - 1) / 2).astype(np.float32)
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
