"""The channels of the refinement network, and what may be done to them in training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alba.refinement.colour import ColourModel
from alba.refinement.propagation import Chains, consistency
from alba.refinement.scene import Scene
from alba.refinement.vote import Electorate

SHARED = (
    *("all_second_power", "all_sixth_power", "all_largest", "all_best"),
    *("planar", "epipolar", "dx", "dy"),
    *("flow_error_forward", "flow_error_backward", "colour_error_smaller", "colour_error_larger"),
    *("lightness", "a", "b"),
)
"""Channels that all tracks of a frame have in common."""

OWN = (
    *("mask", "second_power", "sixth_power", "largest", "others"),
    *("one_frame_off", "three_frames_off", "six_frames_off"),
    *("colour", "colour_nearby", "vote"),
)
"""Channels of one track."""

CHANNELS = (*SHARED, *OWN, "across", "down")
"""All channels, the place in the frame last."""

_LAB = slice(SHARED.index("lightness"), SHARED.index("b") + 1)
_DX = SHARED.index("dx")
_LAB_SCALE = np.array([30, 20, 20], np.float32)[:, None, None]
_COLOUR_REACH = 8
"""Frames on either side of the colour model that follows the video."""


def shared_cues(scene: Scene) -> NDArray[np.float16]:
    """Channels that do not depend on the track: (T, len(SHARED), h, w) float16."""
    lab = scene.lab.astype(np.float32)
    lab[:, 0] -= 50
    colours = (lab / _LAB_SCALE).astype(np.float16)
    return np.concatenate(
        [scene.consensus, scene.motion, consistency(scene.lab, scene.flow), colours], axis=1
    )


class ObjectCues:
    """Channels of one track after another; what they have in common is computed once.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._colours = ColourModel(scene.lab)
        self._chains = Chains(scene.flow)
        self._electorate = Electorate(scene.lab)

    def of(self, track: int) -> NDArray[np.float16]:
        """Channels of a track: (T, len(OWN), h, w) float16.

        Colour model, vote and what other frames say start from a base: the mean of what the track's proposals
        agree on and of what all proposals agree on outside the other tracks.
        """
        scene = self._scene
        result = np.zeros((len(scene), len(OWN), *scene.size), np.float16)
        for cues, tracks in zip(result, scene.tracks, strict=True):
            if track in tracks:
                cues[:4] = tracks[track]
            for other, maps in tracks.items():
                if other != track:
                    cues[4] += maps[0]
        agreed, others = result[:, 2].astype(np.float32), result[:, 4].astype(np.float32)
        base = (agreed + scene.consensus[:, 1] * (1 - np.minimum(others, 1))) / 2
        result[:, 5:8] = self._chains.bring_along(base)
        result[:, 8] = self._colours.posterior(base)
        result[:, 9] = self._colours.posterior(base, _COLOUR_REACH)
        result[:, 10] = self._electorate.vote(base)
        return result


def join_cues(shared: NDArray[np.float16], own: NDArray[np.float16]) -> Tensor:
    """Pictures as the network takes them.

    Parameters
    ----------
    shared : (n, len(SHARED), h, w) float16
    own : (n, len(OWN), h, w) float16

    Returns
    -------
    (n, len(CHANNELS), h, w) float32
    """
    num, _, height, width = shared.shape
    across = 2 * np.abs(np.arange(width, dtype=np.float32) / width - (width - 1) / (2 * width))
    down = 2 * np.abs(np.arange(height, dtype=np.float32) / height - (height - 1) / (2 * height))
    place = np.stack(np.broadcast_arrays(across, down[:, None]))
    parts = shared, own, np.broadcast_to(place, (num, *place.shape))
    return torch.from_numpy(np.concatenate([part.astype(np.float32) for part in parts], axis=1))


def mirror_cues(pictures: Tensor) -> Tensor:
    """The cues of the mirrored video: (n, len(CHANNELS), h, w); dx points the other way."""
    mirrored = pictures.flip(-1)
    mirrored[:, _DX] *= -1
    return mirrored


def jitter_colours(pictures: Tensor, shifts: Tensor) -> None:
    """Shift the colours of every picture, in place.

    Parameters
    ----------
    pictures : (n, len(CHANNELS), h, w) float
    shifts : (n, 3) float
        Of L, a and b, in the channels' units.
    """
    pictures[:, _LAB] += shifts[:, :, None, None]
