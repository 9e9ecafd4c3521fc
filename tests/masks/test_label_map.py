import numpy as np
import pytest
from PIL import Image

from alba.errors import DatasetError
from alba.masks import read_label_map

IDS = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("mode", ["P", "L", "LA"])
def test_ids_are_read_from_every_kind_of_png_that_stores_them(tmp_path, mode):
    image = Image.fromarray(IDS, "L")
    if mode == "P":
        image = Image.fromarray(IDS, "P")
        image.putpalette(list(range(255, -1, -1)) * 3)
    elif mode == "LA":
        image.putalpha(255)
    image.save(tmp_path / "ids.png")
    with Image.open(tmp_path / "ids.png") as saved:
        assert saved.mode == mode
    np.testing.assert_array_equal(read_label_map(tmp_path / "ids.png"), IDS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_colours_are_no_ids(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "colours.png")
    with pytest.raises(DatasetError, match="colours"):
        read_label_map(tmp_path / "colours.png")
