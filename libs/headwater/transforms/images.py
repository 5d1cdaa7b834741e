"""Image steps: decode, resize, normalise (R-37, R-38).

Each is deterministic: the same bytes and options give the same bytes, for one version of Pillow and numpy (both are
part of every cache key).
"""

import dataclasses
import io
from typing import Annotated, Final, Literal

import numpy as np
import pydantic
from PIL import Image, ImageOps

from headwater.transforms.errors import RowInvalid
from headwater.transforms.rows import Array, Kind, Rows
from headwater.transforms.step import StepConfig, StepType

MAX_PIXELS: Final = 64 * 1024 * 1024
"""An image that claims more is refused before its pixels are read: 50,000 × 50,000 would take 7 GB."""
FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""What is decoded; other readers of the imaging library are never reached by uploaded bytes."""
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}
_MODES: Final = {"gray": "L", "rgb": "RGB"}
Side = Annotated[int, pydantic.Field(ge=1, le=16_384)]


class Decode(StepConfig):
    """Options of ``image_decode``: a file's bytes → pixels."""

    mode: Literal["gray", "rgb"] = "rgb"


class Resize(StepConfig):
    """Options of ``image_resize``: pixels → pixels of another size.

    ``exact`` and ``stretch`` give exactly ``width`` × ``height``, ``fill`` does so and keeps the aspect ratio by
    cropping about the centre, ``fit`` keeps it by staying within.
    """

    width: Side
    height: Side
    mode: Literal["exact", "stretch", "fit", "fill"] = "fit"
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos3"] = "lanczos3"


class Normalization(StepConfig):
    """Options of ``image_normalization``: pixels → float32, channels first: ``(pixel / 255 - mean) / std``.

    ``normalize_range`` false leaves the division by 255 out. One mean and one std for each channel.
    """

    mean: Annotated[list[float], pydantic.Field(min_length=1, max_length=4)]
    std: Annotated[list[Annotated[float, pydantic.Field(gt=0)]], pydantic.Field(min_length=1, max_length=4)]
    normalize_range: bool = True

    @pydantic.model_validator(mode="after")
    def _same_length(self) -> "Normalization":
        if len(self.mean) != len(self.std):
            raise ValueError("mean and std must have the same number of channels")
        return self


def decode(config: Decode, rows: Rows) -> Rows:
    """Decode every image.

    Raises:
        RowInvalid: naming the first row that is no image, is cut short, or claims too many pixels.
    """
    mode = _MODES[config.mode]
    pixels: list[Array] = [_decode_one(data, mode, rows, row) for row, data in enumerate(rows.files)]
    return dataclasses.replace(rows, kind=Kind.PIXELS, images=pixels)


def _decode_one(data: bytes, mode: str, rows: Rows, row: int) -> Array:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RowInvalid(
                    f"{rows.label(row)} claims {image.width} × {image.height} pixels; at most {MAX_PIXELS:,}."
                )
            array = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # The library's own text may quote the bytes; the row is what the user needs.
        raise RowInvalid(f"{rows.label(row)} is not a readable {', '.join(FORMATS)} image.", row=row) from error
    return array.reshape(array.shape[0], array.shape[1], -1)


def resize(config: Resize, rows: Rows) -> Rows:
    """Resize every image."""
    return dataclasses.replace(rows, images=[_resize_one(array, config) for array in rows.arrays])


def _resize_one(array: Array, config: Resize) -> Array:
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    resample = _FILTERS[config.filter]
    size = (config.width, config.height)
    match config.mode:
        case "fit":
            image = image.resize(_within(image.size, size), resample)
        case "fill":
            image = ImageOps.fit(image, size, resample)
        case _:
            image = image.resize(size, resample)
    resized = np.asarray(image)
    return resized.reshape(resized.shape[0], resized.shape[1], -1)


def _within(image: tuple[int, int], bounds: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) within ``bounds`` with the image's aspect ratio, no side below one pixel."""
    scale = min(bounds[0] / image[0], bounds[1] / image[1])
    return max(1, round(image[0] * scale)), max(1, round(image[1] * scale))


def normalize(config: Normalization, rows: Rows) -> Rows:
    """Normalise every image to float32 with shape channels × height × width.

    Raises:
        RowInvalid: an image has another number of channels than there are means.
    """
    mean = np.asarray(config.mean, dtype=np.float32)
    std = np.asarray(config.std, dtype=np.float32)
    scale = np.float32(255 if config.normalize_range else 1)
    tensors: list[Array] = []
    for row, array in enumerate(rows.arrays):
        if array.shape[2] != len(mean):
            raise RowInvalid(
                f"{rows.label(row)} has {array.shape[2]} channels; mean and std have {len(mean)}.", row=row
            )
        tensors.append(np.ascontiguousarray(((array.astype(np.float32) / scale - mean) / std).transpose(2, 0, 1)))
    return dataclasses.replace(rows, kind=Kind.TENSOR, images=tensors)


STEP_TYPES: Final = {
    "image_decode": StepType(Decode, Kind.ENCODED, Kind.PIXELS, decode),
    "image_resize": StepType(Resize, Kind.PIXELS, Kind.PIXELS, resize),
    "image_normalization": StepType(Normalization, Kind.PIXELS, Kind.TENSOR, normalize),
}
