"""Encoding frames with masks: of every layer, only the pixels that the masks change.

Masks change a frame's activations around them: the pixels that 3 x 3 filters see of them, one more all around
with every convolution, half as many a side after a pool. A proposal and a slot change more together than each
alone only where their changes meet; elsewhere a pixel is as one of them or the frame has it. So a frame is
encoded once, an item (a proposal or a slot) once however many it is paired with, and a pair where its two
meet. All changed pixels of a layer, whatever their outline, are one matrix product.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from alba.networks.layers import Encoder

PIXELS_TOGETHER = 4096
"""Pixels whose surroundings are laid out side by side at a time, so that they stay in the cache."""
PAIRS_TOGETHER = 64
"""Pairs that are encoded at a time, which bounds the memory that they take."""
EXPECTED_ITEMS = 32
"""Items of a frame that there is room for from the beginning."""
MOST_ITEMS = 512
"""Items that are kept, for the same reason; once there are so many, all are forgotten."""

Activation = Callable[[Tensor], Tensor]


class FrameEncodings:
    """All activations of an encoder on F frames, and what items change in them: on the CPU, no gradients.

    Parameters
    ----------
    encoder : Encoder
    convolved : (F, C, S, S) float
        What the first convolution gives for the frames alone, with its bias.
    """

    def __init__(self, encoder: Encoder, convolved: Tensor) -> None:
        self._activate = encoder.activate
        self._layers: list[_Convolution | _Pool] = []
        here = encoder.activate(convolved)
        room = EXPECTED_ITEMS * len(convolved)
        self._maps = [_Map(here, room)]
        for layer in encoder.after_activation:
            here = layer(here)
            if isinstance(layer, nn.Conv2d):
                here = encoder.activate(here)
                self._layers.append(_Convolution(layer.weight, layer.bias, encoder.activate))
            else:
                self._layers.append(_Pool())
            self._maps.append(_Map(here, room))
        framed = _framed(convolved)
        self._convolved = _Rows(framed, 2 * len(framed))  # the rows of the first map, before LeakyReLU
        self._frame_means = here.mean(dim=(2, 3))
        self._frame_of = _Rows(torch.zeros(0, dtype=torch.int64), room)
        self._changes = _Rows(self._frame_means[:0], room)  # of these means, by each item
        self._known: dict[tuple[int, bytes], int] = {}

    def encode(self, masks: Tensor, packed: Tensor, frame_of: Tensor, weight: Tensor) -> Tensor:
        """Encode items that are not known yet.

        Parameters
        ----------
        masks : (n, c, S, S) bool
        packed : (n, W) int64
            The same in bits, by which they are known again.
        frame_of : (n,) int64
        weight : (C, c, 3, 3) float
            Of the masks in the first convolution; always the same for so many masks.

        Returns
        -------
        (n,) int64
            Numbers of the items.
        """
        keys = [
            (frame, bits.tobytes()) for frame, bits in zip(frame_of.tolist(), packed.numpy(), strict=True)
        ]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            rows = torch.tensor([*new.values()])
            self._known |= {key: len(self._known) + n for n, key in enumerate(new)}
            self._add(masks[rows], frame_of[rows], weight)
        return torch.tensor([self._known[key] for key in keys])

    def make_room(self) -> None:
        """Forget all items if there are many."""
        if len(self._known) < MOST_ITEMS:
            return
        self._known = {}
        for rows in (self._convolved, self._frame_of, self._changes):
            rows.cut()
        for known in self._maps:
            known.forget()

    def features(self, first: Tensor, second: Tensor) -> Tensor:
        """Mean of the last map over the picture, with the masks of two items of the same frame.

        Parameters
        ----------
        first, second : (n,) int64

        Returns
        -------
        (n, num_features) float
        """
        apart = self._changes.held[first] + self._changes.held[second]
        parts = zip(first.split(PAIRS_TOGETHER), second.split(PAIRS_TOGETHER), strict=True)
        joint = torch.cat([self._joint_changes(*part) for part in parts])
        return self._frame_means[self._frame_of.held[first]] + apart + joint

    def _add(self, masks: Tensor, frame_of: Tensor, weight: Tensor) -> None:
        """Follow the changes of new items through all layers."""
        start, num = len(self._frame_of.held), len(masks)
        self._frame_of.extend(frame_of)
        below = self._maps[0]
        convolution = _Convolution(weight)
        changed = convolution.spread(functional.pad(masks.any(1), (1, 1, 1, 1)))
        item, place = _find(changed)
        frame_rows = frame_of[item] * below.area + place
        around = convolution.around(below, below, place) + item[:, None] * below.area
        values = self._convolved.held.index_select(0, frame_rows)
        values += convolution(_framed(masks.to(weight.dtype)), around)
        self._convolved.extend(values)
        below.add(frame_of, item, place, self._activate(values))
        for layer, here in zip(self._layers, self._maps[1:], strict=True):
            changed = layer.spread(changed)
            item, place = _find(changed)
            rows = below.rows_of(start + item[:, None], layer.around(below, here, place))
            values = layer(below.values.held, rows)
            here.add(frame_of, item, place, values)
            below = here
        before = below.values.held.index_select(0, frame_of[item] * below.area + place)
        self._changes.extend(_sum_up(values - before, item, num) / below.side**2)

    def _joint_changes(self, first: Tensor, second: Tensor) -> Tensor:
        """What pairs of items change beyond the changes of both: (n, num_features)."""
        frame_of = self._frame_of.held[first]
        below = self._maps[0]
        pair, place, rows = below.meet(frame_of, first, second)
        values = self._activate(_beyond(self._convolved.held, rows))
        for layer, here in zip(self._layers, self._maps[1:], strict=True):
            joint = below.note(len(first), pair, place, values)
            pair, place, rows = here.meet(frame_of, first, second)
            around = layer.around(below, here, place)
            seen = below.rows_of(second[pair, None], around)
            seen = torch.where(seen < below.num_of_frames, below.rows_of(first[pair, None], around), seen)
            here_too = joint.index_select(0, (pair[:, None] * below.area + around).flatten()).view_as(seen)
            values = layer(below.values.held, torch.where(here_too > 0, here_too, seen))
            below.forget_noted()
            below = here
        excess = values - _beyond(below.values.held, rows)
        return _sum_up(excess, pair, len(first)) / below.side**2


class _Rows:
    """A table that grows by rows.

    Parameters
    ----------
    first : (n, ...) tensor
        Rows that always stay.
    room : int
        For so many rows before it has to be made anew.
    """

    def __init__(self, first: Tensor, room: int) -> None:
        self._stay = self._num = len(first)
        self._room = first.new_empty(room, *first.shape[1:])
        self._room[: self._num] = first

    @property
    def held(self) -> Tensor:
        """All rows."""
        return self._room[: self._num]

    def grow(self, num: int) -> Tensor:
        """So many more rows, to be written to."""
        needed = self._num + num
        if needed > len(self._room):
            larger = self._room.new_empty(2 * needed, *self._room.shape[1:])
            larger[: self._num] = self.held
            self._room = larger
        self._num = needed
        return self._room[needed - num :][:num]

    def extend(self, rows: Tensor) -> None:
        """These rows behind the others."""
        self.grow(len(rows)).copy_(rows)

    def cut(self, num: int | None = None) -> None:
        """Keep so many rows, or only the first."""
        self._num = self._stay if num is None else num


class _Map:
    """What one layer gives for frames, and the pixels that items change in it.

    Every picture has a frame of zeros one pixel wide; a place is a pixel's number in it, row by row. In the
    table of values those of the frames' pixels come first, then those of each item's changed pixels.

    Parameters
    ----------
    given : (F, C, side, side) float
    room : int
        For so many items before tables have to be made anew.
    """

    def __init__(self, given: Tensor, room: int) -> None:
        self.side = given.shape[-1]
        self.width, self.area = self.side + 2, (self.side + 2) ** 2
        framed, no_rows = _framed(given), torch.zeros(0, dtype=torch.int64)
        self.num_of_frames = len(framed)
        self.values = _Rows(framed, 2 * len(framed))
        self._places = torch.arange(self.area, dtype=torch.int32)
        self._place_of = _Rows(no_rows, len(framed))  # of rows beyond those of frames
        self._row_at = _Rows(
            torch.zeros(0, self.area, dtype=torch.int32), room
        )  # of every place with each item
        self._first = _Rows(no_rows, room)  # row of each item
        self._num = _Rows(no_rows, room)  # of rows of each item
        self._num_noted = 0

    def add(self, frame_of: Tensor, item: Tensor, place: Tensor, values: Tensor) -> None:
        """Take in the changed pixels of new items, item by item."""
        num_before = len(self.values.held)
        row_at = self._row_at.grow(len(frame_of))
        torch.add(self._places, frame_of[:, None].int() * self.area, out=row_at)
        rows = torch.arange(num_before, num_before + len(place), dtype=torch.int32)
        row_at.view(-1).scatter_(0, item * self.area + place, rows)
        num = item.bincount(minlength=len(frame_of))
        self._first.extend(num_before + num.cumsum(0) - num)
        self._num.extend(num)
        self._place_of.extend(place)
        self.values.extend(values)

    def forget(self) -> None:
        """Keep the frames alone."""
        for rows in (self.values, self._place_of, self._row_at, self._first, self._num):
            rows.cut()

    def rows_of(self, item: Tensor, place: Tensor) -> Tensor:
        """Row of the value at a place (n, m) with an item (n, 1): (n, m) int32."""
        at = (item * self.area + place).flatten()
        return self._row_at.held.view(-1).index_select(0, at).view_as(place)

    def meet(
        self, frame_of: Tensor, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The pixels that both items of a pair change.

        Returns
        -------
        pair, place : (n,) int64
        rows : three of (n,) integers
            With the first item, with the second, without both.
        """
        num = self._num.held[first]
        pair = torch.arange(len(first)).repeat_interleave(num)
        rows = torch.arange(len(pair)) + (self._first.held[first] + num - num.cumsum(0))[pair]
        place = self._place_of.held.index_select(0, rows - self.num_of_frames)
        others = self.rows_of(second[pair], place)
        met = (others >= self.num_of_frames).nonzero()[:, 0]
        pair, place = pair[met], place[met]
        return pair, place, (rows[met], others[met], frame_of[pair] * self.area + place)

    def note(self, num_pairs: int, pair: Tensor, place: Tensor, values: Tensor) -> Tensor:
        """Take in pixels of pairs for a while; gives their rows, (num_pairs * area,) int32, 0 elsewhere."""
        num_before = len(self.values.held)
        rows = torch.arange(num_before, num_before + len(place), dtype=torch.int32)
        self.values.extend(values)
        self._num_noted = len(values)
        return torch.zeros(num_pairs * self.area, dtype=torch.int32).scatter_(
            0, pair * self.area + place, rows
        )

    def forget_noted(self) -> None:
        """Drop them again."""
        self.values.cut(len(self.values.held) - self._num_noted)


class _Convolution:
    """A 3 x 3 convolution, pixel by pixel."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, activate: Activation | None = None
    ) -> None:
        self._weight = weight.permute(0, 2, 3, 1).flatten(1).contiguous()
        self._bias, self._activate = bias, activate

    def spread(self, changed: Tensor) -> Tensor:
        """Places that change with those below: (n, width, width) bool."""
        rows = changed[:, :-2] | changed[:, 1:-1] | changed[:, 2:]
        return functional.pad(rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:], (1, 1, 1, 1))

    def around(self, below: "_Map", here: "_Map", place: Tensor) -> Tensor:
        """Places below that a place is computed from: (n, 9) int64."""
        steps = torch.arange(-1, 2)
        return place[:, None] + (steps[:, None] * below.width + steps).flatten()

    def __call__(self, values: Tensor, rows: Tensor) -> Tensor:
        """Values (n, C) from rows (n, 9) of those below."""
        given = values.new_empty(len(rows), len(self._weight))
        for part, into in zip(rows.split(PIXELS_TOGETHER), given.split(PIXELS_TOGETHER), strict=True):
            seen = values.index_select(0, part.flatten()).view(len(part), self._weight.shape[1])
            into.copy_(functional.linear(seen, self._weight, self._bias))
        return self._activate(given) if self._activate else given


class _Pool:
    """A max-pool of 2 x 2 pixels, likewise."""

    def spread(self, changed: Tensor) -> Tensor:
        side = (changed.shape[1] - 2) // 2
        inside = changed[:, 1 : 1 + 2 * side, 1 : 1 + 2 * side]
        rows = inside[:, ::2] | inside[:, 1::2]
        return functional.pad(rows[..., ::2] | rows[..., 1::2], (1, 1, 1, 1))

    def around(self, below: "_Map", here: "_Map", place: Tensor) -> Tensor:
        row, column = place // here.width, place % here.width
        corner = (2 * row - 1) * below.width + 2 * column - 1
        return corner[:, None] + torch.tensor([0, 1, below.width, below.width + 1])

    def __call__(self, values: Tensor, rows: Tensor) -> Tensor:
        one, *others = (values.index_select(0, column) for column in rows.unbind(1))
        for other in others:
            one = torch.maximum(one, other)
        return one


def _framed(pictures: Tensor) -> Tensor:
    """(n, C, side, side) as (n * (side + 2)^2, C), zeros around every picture."""
    return functional.pad(pictures.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2)


def _find(changed: Tensor) -> tuple[Tensor, Tensor]:
    """Item and place (n,) of all that is true in (items, width, width) bool, item by item."""
    found = torch.from_numpy(np.flatnonzero(changed.numpy()))  # some times as fast as torch's nonzero
    area = changed[0].numel()
    item = found // area
    return item, found - item * area


def _beyond(values: Tensor, rows: tuple[Tensor, ...]) -> Tensor:
    """What a place would have if the changes of both items added up."""
    with_first, with_second, without = (values.index_select(0, part) for part in rows)
    return with_first + with_second - without


def _sum_up(values: Tensor, owner: Tensor, num: int) -> Tensor:
    """Sums of (n, C) by owner: (num, C)."""
    return values.new_zeros(num, values.shape[1]).index_add_(0, owner, values)
