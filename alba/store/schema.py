"""What each kind of store holds: arrays, named axes, dtypes, units, and how they are compressed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, ZstdCodec

FLOW_STEP = 1 / 32
"""Flow is kept as int16 multiples of this many pixels: error at most 1/64, range +-1024 pixels."""

_KIB = 1024

# Chosen by measurement on DAVIS (docs/experiments.md, "Stores"): bits and label maps repeat themselves
# from one mask or frame to the next, farther apart than Blosc's blocks are long; the low bytes of
# flow are noise, the high bytes are not.
_NUMBERS = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
_FLOW = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
_REPETITIVE = ZstdCodec(level=9)


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store.

    Parameters
    ----------
    axes : tuple of str
        Names of the axes; arrays of a store agree on the length of an axis. The first grows while
        the store is written.
    dtype : str
    description : str
    units : str
    chunk_bytes, chunk_rows : int
        Rows of the first axis go into one chunk until it holds so many bytes or rows.
    sharded : bool
        Whether several chunks share a file, at the price of one more read, of the file's index.
    compressor : codec of Zarr
    attributes : mapping
        Further attributes of the Zarr array.
    """

    axes: tuple[str, ...]
    dtype: str
    description: str
    units: str = "1"
    chunk_bytes: int = 256 * _KIB
    chunk_rows: int = 64 * _KIB
    sharded: bool = True
    compressor: BytesBytesCodec = _NUMBERS
    attributes: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def decoded_axes(self) -> tuple[str, ...]:
        """Names of the axes once bits are pixels."""
        return tuple("column" if axis == "packed_column" else axis for axis in self.axes)

    @property
    def decoded_dtype(self) -> str:
        """Dtype once bits are pixels and steps are units."""
        if self.decoded_axes != self.axes:
            return "bool"
        return "float32" if "scale_factor" in self.attributes else self.dtype


@dataclass(frozen=True)
class StoreSchema:
    """The arrays of one kind of store."""

    name: str
    version: int
    arrays: Mapping[str, ArraySpec]


_FLOW_FIELD = {
    "axes": ("frame", "component", "row", "column"),
    "dtype": "int16",
    "units": "pixel",
    "chunk_bytes": 4096 * _KIB,
    "chunk_rows": 4,
    "compressor": _FLOW,
    "attributes": {"scale_factor": FLOW_STEP},
}
_PER_FRAME_MAP = {
    "axes": ("frame", "row", "column"),
    "dtype": "uint8",
    "chunk_bytes": 4096 * _KIB,
    "chunk_rows": 16,
    "compressor": _REPETITIVE,
}
_FRAME_OFFSETS = ArraySpec(
    ("frame_edge",),
    "int64",
    "proposals of frame t are frame_offsets[t] up to frame_offsets[t + 1], exclusive",
    chunk_bytes=64 * _KIB,
    sharded=False,  # read before anything else is
)

FLOW = StoreSchema(
    "flow",
    1,
    {
        "forward": ArraySpec(
            description="(dx, dy) from frame t to t + 1; at the last frame the negated backward flow",
            **_FLOW_FIELD,  # type: ignore[arg-type]
        ),
        "backward": ArraySpec(
            description="(dx, dy) from frame t to t - 1; at frame 0 the negated forward flow",
            **_FLOW_FIELD,  # type: ignore[arg-type]
        ),
    },
)

PROPOSALS = StoreSchema(
    "proposals",
    1,
    {
        "frame_offsets": _FRAME_OFFSETS,
        "masks": ArraySpec(
            ("proposal", "row", "packed_column"),
            "uint8",
            "masks as bits, leftmost pixel in the highest bit; a frame's by falling score",
            chunk_bytes=2048 * _KIB,
            chunk_rows=64,
            compressor=_REPETITIVE,
        ),
        "boxes": ArraySpec(
            ("proposal", "corner"), "float32", "x0, y0, x1, y1, upper ends exclusive", "pixel"
        ),
        "scores": ArraySpec(("proposal",), "float32", "the generator's confidence, 0 to 1"),
        "features": ArraySpec(("proposal", "feature"), "float32", "appearance feature f"),
    },
)

LABELS = StoreSchema(
    "labels",
    1,
    {
        "object_ids": ArraySpec(("object",), "uint8", "ids of the ground truth, ascending"),
        "iou": ArraySpec(("proposal", "object"), "float32", "IoU with each true object"),
        "selected": ArraySpec(
            ("proposal",), "bool", "whether the oracle counts the proposal as a moving object"
        ),
        "oracle_object": ArraySpec(
            ("proposal",), "uint8", "id of the object that the oracle joins it to, 0 for none"
        ),
        "oracle_segmentation": ArraySpec(
            description="label map painted by the oracle's decisions",
            **_PER_FRAME_MAP,  # type: ignore[arg-type]
        ),
        "ground_truth": ArraySpec(
            description="annotation: 0 background, 1..20 objects, 255 void",
            **_PER_FRAME_MAP,  # type: ignore[arg-type]
        ),
    },
)

SEGMENTATION = StoreSchema(
    "segmentation",
    1,
    {
        "label_maps": ArraySpec(
            description="segmentation: 0 background, 1..20 tracks",
            **_PER_FRAME_MAP,  # type: ignore[arg-type]
        ),
        "selection": ArraySpec(
            ("proposal",), "float32", "selection network's output, 0 to 1; 1 where it was not used"
        ),
        "slot": ArraySpec(("proposal",), "uint8", "track that the proposal was joined to, 0 for none"),
    },
)

SCHEMAS: Mapping[str, StoreSchema] = {
    schema.name: schema for schema in (FLOW, PROPOSALS, LABELS, SEGMENTATION)
}
