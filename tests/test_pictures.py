"""Pictures of every depth, mode and orientation -> the levels that a viewer shows."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from fer import pictures
from fer.command import InputError

# 40 rows of 50 levels, no symmetry, from black to white.
LEVELS = (np.arange(2000).reshape(40, 50) * 7 % 256).astype(np.uint8)
GREY = Image.fromarray(LEVELS)
WIDE = LEVELS.astype(np.uint16) * 257
# Of the levels 0..255 in 12 bits, the nearest.
TWELVE_BITS = ((LEVELS.astype(int) * 4095 + 127) // 255).astype(np.uint16)


def save(picture, kind, **options):
    """The bytes of a picture, as an open file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def save_deep_png(levels, color_type):
    """A PNG of 16 bits a channel, which Pillow itself writes in grey only."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    height, width = levels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return io.BytesIO(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def save_packed_tiff(levels):
    """A TIFF of 12 bits a pixel, two of them in three bytes."""
    pairs = levels.reshape(-1, 2).astype(np.uint32)
    packed = (pairs[:, 0] << 12 | pairs[:, 1]).astype(">u4").tobytes()
    content = b"".join(packed[i + 1 : i + 4] for i in range(0, len(packed), 4))
    height, width = levels.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: len(content)}
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags)
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return io.BytesIO(head + entries + bytes(4) + content)


def save_plain(head, levels):
    """A portable graymap or pixmap of two bytes a level."""
    return io.BytesIO(head + levels.astype(">u2").tobytes())


def merge(alpha):
    """An RGBA picture of the levels in three channels and one alpha."""
    return Image.merge("RGBA", [GREY] * 3 + [Image.new("L", GREY.size, alpha)])


def spread(levels):
    return np.repeat(levels[..., None], 3, axis=-1)


WHITE_IS_ZERO = TiffImagePlugin.ImageFileDirectory_v2()
WHITE_IS_ZERO[262] = 0
LOSSLESS = {
    "PNG": save(GREY, "PNG"),
    "BMP": save(GREY, "BMP"),
    "TIFF": save(GREY, "TIFF"),
    "TIFF, packed": save(GREY, "TIFF", compression="tiff_lzw"),
    "GIF": save(GREY, "GIF"),
    "WebP": save(GREY.convert("RGB"), "WEBP", lossless=True),
    "PGM": save(GREY, "PPM"),
    "JPEG 2000": save(GREY, "JPEG2000"),
    "Targa": save(GREY, "TGA"),
    "RGB": save(GREY.convert("RGB"), "PNG"),
    "opaque RGBA": save(merge(255), "PNG"),
    "opaque grey with alpha": save(merge(255).convert("LA"), "PNG"),
    "CMYK": save(GREY.convert("RGB").convert("CMYK"), "TIFF"),
    "palette": save(GREY.convert("P"), "PNG"),
    "animated GIF": save(
        GREY, "GIF", save_all=True, append_images=[Image.new("L", (50, 40), 9)]
    ),
    "16-bit PNG": save(Image.fromarray(WIDE), "PNG"),
    "16-bit TIFF": save(Image.fromarray(WIDE), "TIFF"),
    "16-bit TIFF, packed": save(
        Image.fromarray(WIDE), "TIFF", compression="tiff_deflate"
    ),
    "16-bit RGB": save_deep_png(spread(WIDE), 2),
    "16-bit grey with alpha": save_deep_png(
        np.stack([WIDE, np.full_like(WIDE, 65535)], axis=-1), 4
    ),
    "16-bit PGM": save_plain(b"P5 50 40 65535\n", WIDE),
    "16-bit PPM": save_plain(b"P6 50 40 65535\n", spread(WIDE)),
    "12-bit PGM, which says so": save_plain(b"P5 50 40 4095\n", TWELVE_BITS),
    "12-bit TIFF, which says so": save_packed_tiff(TWELVE_BITS),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_same_levels_out_of_every_kind_of_file(name):
    LOSSLESS[name].seek(0)
    levels = pictures.read_grey(LOSSLESS[name])
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels, LEVELS)
    LOSSLESS[name].seek(0)
    np.testing.assert_array_equal(pictures.read_color(LOSSLESS[name]), spread(LEVELS))


def test_a_picture_of_one_bit_is_black_and_white():
    bits = GREY.convert("1")
    expected = np.where(np.asarray(bits), 255, 0)
    np.testing.assert_array_equal(pictures.read_grey(save(bits, "PNG")), expected)


def test_white_may_be_stored_as_zero():
    content = save(Image.fromarray(WIDE), "TIFF").getvalue()
    black_is_zero = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert content.count(black_is_zero) == 1
    turned = content.replace(black_is_zero, struct.pack("<HHIHH", 262, 3, 1, 0, 0))
    np.testing.assert_array_equal(pictures.read_grey(io.BytesIO(turned)), 255 - LEVELS)


def test_what_is_transparent_is_white():
    assert (pictures.read_grey(save(merge(0), "PNG")) == 255).all()
    palette = GREY.convert("P")
    levels = pictures.read_grey(save(palette, "PNG", transparency=0))
    np.testing.assert_array_equal(levels, np.where(LEVELS == 0, 255, LEVELS))


def test_colors_keep_their_places():
    picture = Image.new("RGB", (2, 1), (200, 10, 30))
    picture.putpixel((1, 0), (1, 2, 3))
    expected = [[[200, 10, 30], [1, 2, 3]]]
    assert pictures.read_color(save(picture, "PNG")).tolist() == expected


# By EXIF's number: how what is stored becomes what is to be seen.
TURNS = {
    1: lambda levels: levels,
    2: np.fliplr,
    3: lambda levels: np.rot90(levels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda levels: np.rot90(levels, -1),
    7: lambda levels: np.rot90(levels, 2).T,
    8: np.rot90,
}
TURNED = {
    "PNG": (GREY, "PNG", {}),
    "16-bit PNG": (Image.fromarray(WIDE), "PNG", {}),
    "TIFF": (GREY, "TIFF", {}),
    "16-bit TIFF": (Image.fromarray(WIDE), "TIFF", {}),
    "WebP": (GREY.convert("RGB"), "WEBP", {"lossless": True}),
    "RGBA": (merge(255), "PNG", {}),
    "JPEG": (GREY, "JPEG", {"quality": 100, "subsampling": 0}),
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_as_its_tag_says(name, orientation):
    picture, kind, options = TURNED[name]
    exif = Image.Exif()
    exif[274] = orientation
    levels = pictures.read_grey(save(picture, kind, exif=exif, **options))
    np.testing.assert_allclose(
        levels.astype(int), TURNS[orientation](LEVELS), atol=3 * (kind == "JPEG")
    )


def test_a_tag_that_cannot_be_read_turns_nothing():
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"):
        levels = pictures.read_grey(save(GREY, "PNG", exif=exif))
        np.testing.assert_array_equal(levels, LEVELS)


DARK = TWELVE_BITS  # at most 4,095
REFUSED = {
    "12 in 16 bits": (save(Image.fromarray(DARK), "PNG"), "none above 4095"),
    "12 in 16 bits, TIFF": (save(Image.fromarray(DARK), "TIFF"), "none above 4095"),
    "12 in 16 bits, RGB": (save_deep_png(spread(DARK), 2), "none above 4095"),
    "12 in 16 bits, PPM": (
        save_plain(b"P6 50 40 65535\n", spread(DARK)),
        "none above 4095",
    ),
    "32 bits": (save(Image.fromarray(WIDE.astype(np.int32)), "TIFF"), "32-bit integer"),
    "floats": (save(Image.fromarray(LEVELS / np.float32(255)), "TIFF"), "floating-poi"),
    "120 megapixels": (
        save(Image.new("1", (20000, 6000)), "PNG"),
        "expected at most 100 megapixels, found 120",
    ),
    "300 megapixels": (
        save(Image.new("1", (30000, 10000)), "PNG"),
        "expected at most 100 megapixels, found far more",
    ),
    "HEIC": (io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(99)), "found one in HEIC, which"),
    "a film": (io.BytesIO(b"\0\0\0\x14ftypqt  " + bytes(99)), "found a film; save"),
    "a drawing": (io.BytesIO(b"<svg xmlns=''></svg>"), "found a drawing such as SVG"),
    # Pillow would have another program draw it.
    "PostScript": (save(GREY, "EPS"), "found a damaged file"),
    "empty": (io.BytesIO(), "found a damaged file"),
    "text": (io.BytesIO(b"no picture"), "found a damaged file"),
    "cut": (io.BytesIO(save(GREY, "PNG").getvalue()[:-300]), "found a damaged file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused(name, tmp_path):
    file, expected = REFUSED[name]
    path = tmp_path / "face.png"
    path.write_bytes(file.getvalue())
    with pytest.raises(InputError) as refusal:
        pictures.read_grey(path)
    assert str(refusal.value).startswith(f"{path}: expected ")
    assert expected in str(refusal.value) and ";" in str(refusal.value)
    with pytest.raises(InputError, match="^portrait: expected "):
        pictures.read_color(io.BytesIO(file.getvalue()), "portrait")


def test_a_missing_picture_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        pictures.read_grey(tmp_path / "nowhere.png")


def test_95_megapixels_are_read_without_a_word(recwarn):
    levels = pictures.read_grey(save(Image.new("1", (9500, 10000)), "PNG"))
    assert levels.shape == (10000, 9500) and not levels.any()
    assert not recwarn.list


def test_the_suffixes_are_those_that_pillow_decodes_itself():
    expected = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff"}
    expected |= {".gif", ".ppm", ".pgm"}
    assert expected <= pictures.list_suffixes()
    assert not pictures.list_suffixes() & {".eps", ".h5", ".mpg", ".heic", ".csv"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
def test_mutated_pictures_are_refused_or_read(kind):
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[274] = 6
    options = {} if kind in ("GIF", "BMP") else {"exif": exif}
    whole = np.frombuffer(save(GREY, kind, **options).getvalue(), dtype=np.uint8)
    read = 0
    for _ in range(100):
        content = whole.copy()
        content[rng.integers(len(content), size=3)] = rng.integers(256, size=3)
        try:
            levels = pictures.read_grey(io.BytesIO(content.tobytes()))
        except InputError:
            continue
        read += 1
        assert levels.ndim == 2 and levels.dtype == np.uint8
    assert read < 100
