"""Pictures as they are met in the wild -> grey or RGB levels, uint8, turned upright.

The one reader of pictures: of folders of faces and of photographs.
"""

import contextlib
import functools
import warnings

import numpy as np
from PIL import Image, ImageOps

from fer.command import InputError

MAX_MEGAPIXELS = 100
# Formats that Pillow only names, or hands to another program.
FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# A 16-bit picture that stays below holds 12 bits or fewer: nearly black if scaled.
SMALLEST_16_BIT_PEAK = 4096
# What the bytes 4 to 12 of a file say that is no picture for Pillow.
FOREIGN_BRANDS = {
    **dict.fromkeys((b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"), "HEIC"),
    **dict.fromkeys((b"ftypavif", b"ftypavis"), "AVIF"),
}
WHITE_IS_ZERO = (262, 0)  # TIFF's tag PhotometricInterpretation


@functools.cache
def list_formats():
    """The names, as "JPEG", of the raster formats that Pillow decodes itself."""
    Image.init()
    return [kind for kind in Image.OPEN if kind not in FOREIGN_FORMATS]


@functools.cache
def list_suffixes():
    """The suffixes, as ".jpg", of these formats."""
    return frozenset(
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in list_formats()
    )


def read_grey(source):
    """Read a picture as grey levels, uint8 (height, width); see `load_picture`."""
    return np.asarray(load_picture(source).convert("L"))


def read_color(source, name=None):
    """Read a picture as RGB levels, uint8 (height, width, 3); see `load_picture`."""
    return np.asarray(load_picture(source, name).convert("RGB"))


def load_picture(source, name=None):
    """Load the first frame of a picture, turned as its EXIF orientation says.

    What is transparent shows white, as on a page: the levels stored beneath are often
    black or left over, and no viewer shows them.

    Args:
        source: a path, or a file open for reading bytes.
        name: what messages call the picture, by default the path.

    Returns:
        A Pillow image of mode L or RGB, [0, 255] whatever the file's depth.

    Raises:
        InputError: the file is no picture, damaged, of more than 100 megapixels, or
            its levels cannot be brought to [0, 255] without a guess.
        OSError: it cannot be opened.
    """
    name = name or source
    try:
        # Pillow warns of much that is harmless here, such as of a strange EXIF entry.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(source, formats=list_formats()) as picture,
        ):
            check_size(name, picture)
            stored = str([tile.args for tile in picture.tile])
            turn_upright(picture)
            return show_on_white(scale_levels(name, picture, stored))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(name, "far more") from error
    except Exception as error:
        # Damaged files make decoders raise whatever they happen upon; only an error of
        # the system, such as a missing file, has a number.
        if getattr(error, "errno", None):
            raise
        raise InputError(f"{name}: expected a picture, {explain(source)}") from error


def check_size(name, picture):
    """Refuse a picture that would fill the memory, before anything is decoded."""
    megapixels = picture.width * picture.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise too_large(name, f"{megapixels:,.0f}")


def too_large(name, found):
    """The refusal of a picture for its size."""
    return InputError(
        f"{name}: expected at most {MAX_MEGAPIXELS} megapixels, found {found}; "
        "make the picture smaller"
    )


def turn_upright(picture):
    """Load a picture and turn it as its EXIF orientation says, where that can be read.

    Broken entries are common, and viewers show such a picture as it is stored.
    """
    picture.load()
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)


def scale_levels(name, picture, stored):
    """Bring a loaded picture of any depth to 8 bits a channel.

    Args:
        name: what messages call it.
        picture: a Pillow image.
        stored: how its file stores the levels, as text; Pillow forgets it on loading.
    """
    mode = picture.mode
    if mode.startswith("I;16") or (mode, picture.format) == ("I", "PPM"):
        levels = np.asarray(picture).astype(np.uint32)
        if "I;12" in stored:
            # The file says that it has 12 bits a pixel.
            levels = levels * 16 + levels // 256
        check_peak(name, levels.max())
        levels = (levels + 128) // 257
        key, value = WHITE_IS_ZERO
        if getattr(picture, "tag_v2", {}).get(key) == value:
            levels = 255 - levels
        return Image.fromarray(levels.astype(np.uint8))
    if mode in ("I", "F", "LAB", "HSV"):
        kinds = {"I": "32-bit integers", "F": "floating-point numbers"}
        raise InputError(
            f"{name}: expected 8 or 16 bits of grey or RGB a pixel, found "
            f"{kinds.get(mode, mode)}; save it as an 8-bit PNG"
        )
    if ";16" in stored or ", 65535)" in stored:
        # Of these Pillow kept the upper of two bytes, or rounded to it.
        check_peak(name, int(np.asarray(picture.convert("RGB")).max()) * 255)
    return picture


def check_peak(name, peak):
    """Refuse 16-bit levels of which only the lowest twelve bits or fewer are used."""
    if peak < SMALLEST_16_BIT_PEAK:
        raise InputError(
            f"{name}: expected 16-bit levels up to 65535, found none above "
            f"{SMALLEST_16_BIT_PEAK - 1}, 12 bits or fewer stored in 16; multiply them "
            "by 16 (or by 65535 over the scanner's own maximum) and save again"
        )


def show_on_white(picture):
    """A picture of any mode of 8 bits as L or RGB, what is transparent in white."""
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        shown = Image.new("RGBA", layer.size, "white")
        shown.alpha_composite(layer)
    else:
        shown = picture
    return shown.convert("L" if grey else "RGB")


def explain(source):
    """What is there instead of a readable picture, and what to do about it."""
    try:
        with open(source, "rb") as file:
            head = file.read(12)
    except TypeError:
        source.seek(0)
        head = source.read(12)
    kind = FOREIGN_BRANDS.get(head[4:12])
    if kind:
        return (
            f"found one in {kind}, which Pillow cannot decode; save it as JPEG or PNG"
        )
    if head[4:8] == b"ftyp":
        return "found a film; save the moment that you want as a picture"
    if head.lstrip().startswith((b"<svg", b"<?xml")):
        return "found a drawing such as SVG; save it as JPEG or PNG"
    return "found a damaged file; replace or delete it"
