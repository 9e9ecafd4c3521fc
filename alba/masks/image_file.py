"""Image files, and the errors they can have."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from alba.errors import DatasetError


@contextmanager
def open_image(path: Path, missing: str = "restore the file") -> Iterator[Image.Image]:
    """Open an image; its pixels are decoded inside the block.

    Parameters
    ----------
    path : Path
    missing : str
        Remedy where there is no such file.

    Raises
    ------
    DatasetError
        The file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing", missing) from None
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DatasetError(
            f"{path} cannot be decoded ({error})", "download or extract the file again"
        ) from None
