"""Size and speed of the stores against COCO RLE JSON and compressed npz, on the same proposals, in one run.

    python benchmarks/stores.py [--without-npz] [PROPOSALS.zarr FLOW.zarr ...]

Measures the stores that are named (`alba propose` and `alba flow` make them), or those of two videos of
`sprites`, made on the spot. For proposals it prints in every form of the masks: bytes per frame;
milliseconds per frame to write; milliseconds to get the masks of one frame from the file (open, parse and
decode what is needed), and from a store that is open or a JSON that is parsed. The forms take turns at
reading. Ratios are to the store. For flow: bytes per frame in both directions, their share of float32,
milliseconds to write and to read a frame. Times are processor time of all threads: other work on the machine
interrupts what takes long, and would flatter what does not. `--without-npz` leaves the slowest forms out.
RLE masks are taken as pycocotools gives them, (H, W, N) in Fortran order; a store's are (N, H, W) bool.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

import alba.store
from alba.config import DatasetSettings, FlowSettings, ProposalSettings, SpritesSettings
from alba.datasets import open_video
from alba.datasets.sprites import write_sprites
from alba.flow.stage import compute_flow
from alba.masks import unpack_masks
from alba.proposals.stage import compute_proposals
from alba.store import FlowStore, ProposalStore, Store, StoreWriter

SAMPLED = 8
"""Frames whose reading is timed."""
REPEATS = 10


Read = Callable[[int], object]
"""Gets what belongs to one frame."""


@dataclass(frozen=True)
class Form:
    """Masks of one video in one form; times in milliseconds per frame."""

    name: str
    bytes: float
    write: float
    from_file: Read
    opened: Read | None = None
    whole: bool = False
    """Whether the whole file is decoded, whatever the frame."""


def seconds(call: Callable[..., object], *arguments: int) -> float:
    """Processor time of one call, in all threads."""
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Processor time of one call: the best of `repeats`, as other work on the machine only ever adds."""
    return 1e3 * min(seconds(call) for _ in range(repeats))


def per_frame(reads: Mapping[str, Read], num_frames: int) -> dict[str, float]:
    """Mean milliseconds to read one frame, over frames spread over the video; the best of `REPEATS` for each.

    They take turns, so that what other work on the machine does to its caches meets them all.
    """
    frames = np.unique(np.linspace(0, num_frames - 1, SAMPLED).astype(int)).tolist()
    times = [[[seconds(read, t) for read in reads.values()] for _ in range(REPEATS)] for t in frames]
    return dict(zip(reads, 1e3 * np.array(times).min(axis=1).mean(axis=0), strict=True))


def bytes_under(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def write_again(store: Store, arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Write a store's arrays frame by frame, as a stage does."""
    with StoreWriter(path, store.schema, store.size, {}) as writer:
        for name, values in arrays.items():
            is_ragged = isinstance(store, ProposalStore) and store.schema.arrays[name].axes[0] == "proposal"
            for start, stop in pairwise(store.offsets if is_ragged else range(len(values) + 1)):
                writer.append(name, values[start:stop])


def measure_store(store: ProposalStore, folder: Path) -> Form:
    arrays = {name: store[name][:] for name in store.schema.arrays}
    path = folder / "again.zarr"
    written = milliseconds(lambda: write_again(store, arrays, path), 2) / len(store)

    def from_file(t: int) -> None:
        opened = alba.store.open(path)
        assert isinstance(opened, ProposalStore)
        opened.frame_masks(t)

    return Form("store", bytes_under(path / "masks") / len(store), written, from_file, store.frame_masks)


def encode_rle(store: ProposalStore, masks: NDArray[np.bool_]) -> str:
    """The masks of every frame as COCO's compressed RLE, without a needless character."""
    frames = []
    for t in range(len(store)):
        found = coco.encode(np.asfortranarray(masks[store.rows(t)].transpose(1, 2, 0)))
        frames.append([{"size": rle["size"], "counts": rle["counts"].decode()} for rle in found])
    return json.dumps(frames, separators=(",", ":"))


def measure_rle(store: ProposalStore, masks: NDArray[np.bool_], folder: Path) -> Iterator[Form]:
    plain, zipped = folder / "rle.json", folder / "rle.json.gz"
    written = milliseconds(lambda: plain.write_text(encode_rle(store, masks)), 1) / len(store)
    zipping = milliseconds(lambda: zipped.write_bytes(gzip.compress(plain.read_bytes())), 1) / len(store)
    parsed = json.loads(plain.read_text())
    yield Form(
        "RLE JSON",
        bytes_under(plain) / len(store),
        written,
        lambda t: coco.decode(json.loads(plain.read_bytes())[t]),
        lambda t: coco.decode(parsed[t]),
    )
    yield Form(
        "RLE JSON, gzip",
        bytes_under(zipped) / len(store),
        written + zipping,
        lambda t: coco.decode(json.loads(gzip.decompress(zipped.read_bytes()))[t]),
    )


def measure_npz(store: ProposalStore, masks: NDArray[np.bool_], folder: Path) -> Iterator[Form]:
    bits, width = store["masks"][:], store.size[1]

    def read_bits(t: int) -> None:
        unpack_masks(np.load(folder / "bits.npz")["masks"][store.rows(t)], width)

    def read_bool(t: int) -> None:
        np.load(folder / "bool.npz")["masks"][store.rows(t)]

    for name, values, read in (("bits", bits, read_bits), ("bool", masks, read_bool)):
        path = folder / f"{name}.npz"
        written = milliseconds(lambda p=path, v=values: np.savez_compressed(p, masks=v), 1) / len(store)
        yield Form(f"npz of {name}", bytes_under(path) / len(store), written, read, whole=True)


def report_masks(store: ProposalStore, folder: Path, with_npz: bool) -> None:
    masks = store.read("masks")
    forms = [measure_store(store, folder), *measure_rle(store, masks, folder)]
    if with_npz:
        forms += measure_npz(store, masks, folder)
    ours = forms[0]
    from_file = per_frame({form.name: form.from_file for form in forms if not form.whole}, len(store))
    from_file |= {form.name: milliseconds(lambda f=form: f.from_file(0), 2) for form in forms if form.whole}
    opened = per_frame({form.name: form.opened for form in forms if form.opened}, len(store))
    print(f"  {'masks':16s}{'bytes/frame':>12s}{'ratio':>7s}{'write ms':>10s}", end="")
    print(f"{'from file ms':>14s}{'ratio':>7s}{'opened ms':>11s}{'ratio':>7s}")
    for form in forms:
        print(f"  {form.name:16s}{form.bytes:12.0f}{form.bytes / ours.bytes:7.2f}{form.write:10.1f}", end="")
        for times, width in ((from_file, 14), (opened, 11)):
            if form.name in times:
                ratio = times[form.name] / times[ours.name]
                print(f"{times[form.name]:{width}.2f}{ratio:7.1f}", end="")
        print()
    whole = bytes_under(folder / "again.zarr") / len(store)
    one = milliseconds(lambda: store.proposal(store.offsets[-1] // 2, ["masks"]), REPEATS)
    print(f"  the whole store: {whole:.0f} bytes a frame; the mask of one proposal: {one:.2f} ms")


def report_flow(store: FlowStore, folder: Path) -> None:
    arrays = {name: store[name][:] for name in store.schema.arrays}
    path = folder / "again.zarr"
    written = milliseconds(lambda: write_again(store, arrays, path), 2) / len(store)
    size = bytes_under(path) / len(store)
    float32 = 2 * 2 * 4 * store.size[0] * store.size[1]
    print(f"  both directions: {size:.0f} bytes a frame, {size / float32:.3f} of float32; ", end="")
    read = per_frame({"forward": store.forward}, len(store))["forward"]
    print(f"write {written:.1f} ms, read one direction {read:.2f} ms a frame")


def report(path: Path, with_npz: bool) -> None:
    store = alba.store.open(path)
    height, width = store.size
    print(f"{store.schema_name} of {path.stem}: {len(store)} frames of {height} x {width}", end="")
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(store, ProposalStore):
            print(f", {store.offsets[-1] / len(store):.1f} proposals a frame")
            report_masks(store, Path(folder), with_npz)
        elif isinstance(store, FlowStore):
            print()
            report_flow(store, Path(folder))
        else:
            print(": nothing to compare")


def make_sprites(root: Path) -> list[Path]:
    """Proposals and flow of two videos of the embedded data set."""
    settings = SpritesSettings(num_train=1, num_val=2)
    write_sprites(settings, root / "sprites")
    paths = []
    for name in settings.video_names("val"):
        video = open_video(DatasetSettings(root=str(root / "sprites")), name)
        flow, proposals = root / "flow" / f"{name}.zarr", root / "proposals" / f"{name}.zarr"
        compute_flow(video, FlowSettings(), flow)
        compute_proposals(video, ProposalSettings(), flow, proposals)
        paths += [proposals, flow]
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--without-npz", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for path in options.stores or make_sprites(Path(root)):
            report(path, not options.without_npz)


if __name__ == "__main__":
    main()
