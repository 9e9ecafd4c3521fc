"""The embedded data set `sprites`: moving objects of several parts beside stationary look-alikes.

It is drawn from a seed, in the layout of DAVIS 2017, with exact flow beside the pictures.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, SpritesSettings
from alba.datasets.generated import GeneratedFolder
from alba.datasets.sprite_draw import PLOTS, draw_scene
from alba.datasets.sprite_render import Picture, exact_flow, render
from alba.datasets.sprite_scene import Scene
from alba.progress import progress
from alba.store import FLOW, StoreWriter, make_ready, publish_folder
from alba.store.schema import FLOW_STEP

_SPLITS = ("train", "val")
_NOISE = 0.012
"""Standard deviation of the sensor's noise, as a fraction of white."""


def write_sprites(settings: SpritesSettings, output: Path) -> None:
    """Write the data set and announce it by `<output>.ready.json`.

    The folder holds ``JPEGImages/480p/<video>/00000.jpg``, ``Annotations_unsupervised/480p/<video>/
    00000.png``, ``ImageSets/2017/{train,val}.txt`` and ``Flow/480p/<video>.zarr``. The same settings
    give the same bytes.

    Parameters
    ----------
    settings : SpritesSettings
    output : Path
        Folder of the data set; one that is there already is replaced.

    Raises
    ------
    StoreError
        The folder cannot be written.
    DatasetError
        The image is too narrow for the sprites, far below 4/3 of its height.
    """
    with publish_folder(output) as root:
        folder = GeneratedFolder(root)
        videos = [
            (split, index, name)
            for split in _SPLITS
            for index, name in enumerate(settings.video_names(split))
        ]
        for split, index, name in progress(videos, "sprites", unit="video"):
            rng = np.random.default_rng([settings.seed, _SPLITS.index(split), index])
            size = settings.height, settings.width
            scene = draw_scene(rng, size, settings.num_frames, PLOTS[index % 2])
            _write_video(folder, name, scene, settings, rng)
        for split in _SPLITS:
            folder.add_list(split, settings.video_names(split))
        digest = folder.digest()
    make_ready(output, {"num_videos": len(videos), "digest": digest})


def _write_video(
    folder: GeneratedFolder, name: str, scene: Scene, settings: SpritesSettings, rng: np.random.Generator
) -> None:
    flow_path = folder.root / "Flow" / "480p" / f"{name}.zarr"
    provenance = {
        "stage": "sprites",
        "revision": REVISIONS["sprites"],
        "settings": settings.model_dump(mode="json"),
        "backend": {"backend": "exact"},
    }
    with StoreWriter(flow_path, FLOW, scene.size, provenance) as store:
        for t in range(settings.num_frames):
            picture = render(scene, t)
            exposed = _expose(picture.colour, scene.light.at(t), rng)
            folder.add_frame(name, t, exposed, scene.object_ids[picture.layer])
            forward, backward = _stored_flow(scene, picture, t, settings.num_frames)
            store.append("forward", forward[None])
            store.append("backward", backward[None])


def _expose(colour: NDArray[np.float32], light: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the sensor makes of a picture: (H, W, 3) uint8."""
    noise = _NOISE * rng.standard_normal(colour.shape, dtype=np.float32)
    return np.clip(255 * (light * colour + noise) + 0.5, 0, 255).astype(np.uint8)


def _stored_flow(
    scene: Scene, picture: Picture, t: int, num_frames: int
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Forward and backward flow of frame `t` as a flow store keeps them, each (2, H, W)."""

    def to(other: int) -> NDArray[np.int16]:
        return np.rint(exact_flow(scene, picture, t, other) / FLOW_STEP).astype(np.int16)

    if num_frames == 1:
        return to(t), to(t)
    forward = to(t + 1) if t + 1 < num_frames else -to(t - 1)
    backward = to(t - 1) if t > 0 else -forward
    return forward, backward
