"""A store that is not whole, or not of this version, is a StoreError with a remedy, whatever is wrong."""

import json
import re
import shutil

import pytest

import alba.store
from alba.errors import StoreError
from alba.store import ready_path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def shards(path, name):
    return [file for file in sorted((path / name / "c").rglob("*")) if file.is_file()]


def remove_marker(path):
    ready_path(path).unlink()


def truncate_marker(path):
    ready_path(path).write_text(ready_path(path).read_text()[:20])


def empty_marker(path):
    ready_path(path).write_text("[]")


def marker_of_another(path):
    edit(ready_path(path), lambda marker: marker.update(digest="0" * 64))


def other_version(path):
    edit(path / "zarr.json", lambda group: group["attributes"].update(schema_version=99))


def no_version(path):
    edit(path / "zarr.json", lambda group: group["attributes"].pop("schema_version"))


def foreign(path):
    edit(path / "zarr.json", lambda group: group.update(attributes={}))


def truncate_group(path):
    (path / "zarr.json").write_text((path / "zarr.json").read_text()[:40])


def remove_group(path):
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("damage", "problem", "remedy"),
    [
        (remove_marker, r"no bear\.ready\.json beside it, so it may be half-written", "make it again"),
        (truncate_marker, r"bear\.ready\.json of .*cannot be read", "copy it again"),
        (empty_marker, "no marker of a store", "make it again"),
        (marker_of_another, "not the store that its marker announces", "make it again"),
        (other_version, r"schema 99, this version of alba reads 1", r"read it with alba \d"),
        (no_version, "schema None, this version of alba reads 1", "make it again"),
        (foreign, "no store of alba", "name a store"),
        (truncate_group, "cannot be read", "make it again"),
        (remove_group, "missing", "make the store"),
    ],
)
def test_a_store_that_cannot_be_trusted_is_not_opened(own, damage, problem, remedy):
    path = own.path("proposals")
    damage(path)
    with pytest.raises(StoreError, match=problem) as caught:
        alba.store.open(path)
    assert str(path) in str(caught.value) or path.name in str(caught.value)
    assert re.search(remedy, caught.value.remedy)


def remove_shard(path):
    shards(path, "scores")[0].unlink()


def truncate_shard(path):
    shard = shards(path, "scores")[0]
    shard.write_bytes(shard.read_bytes()[:10])


def halve_shard(path):
    shard = shards(path, "scores")[0]
    content = shard.read_bytes()
    shard.write_bytes(content[len(content) // 2 :])


def scramble_chunk(path):
    shard = shards(path, "scores")[0]
    content = bytearray(shard.read_bytes())
    content[:24] = bytes(24)
    shard.write_bytes(content)


def remove_array(path):
    shutil.rmtree(path / "scores")


def truncate_array(path):
    (path / "scores" / "zarr.json").write_text("{")


@pytest.mark.parametrize(
    "damage", [remove_shard, truncate_shard, halve_shard, scramble_chunk, remove_array, truncate_array]
)
def test_damaged_arrays_are_noticed_when_they_are_read(own, damage):
    path = own.path("proposals")
    damage(path)
    store = alba.store.open(path)
    for ask in (
        lambda: store.read("scores"),
        lambda: store.frame(0),
        lambda: store.proposal(1),
        store.verify,
    ):
        with pytest.raises(StoreError, match="scores") as caught:
            ask()
        assert "make it again" in caught.value.remedy
    assert store.frame_masks(0).shape == (3, 9, 13)


def test_verification_sees_values_that_were_changed(own):
    import zarr

    path = own.path("flow")
    zarr.open_group(path, mode="r+")["backward"][3, 0, 4, 4] += 1
    store = alba.store.open(path)
    store.read("backward")
    with pytest.raises(StoreError, match="backward"):
        store.verify()
    alba.store.open(own.path("labels")).verify()
