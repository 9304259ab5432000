"""Marks on pictures: a box around each face and a few words above it.

White on black, so that they can be read on light and on dark pictures.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Of smaller pictures no label could be read: they are enlarged by a whole number.
SMALLEST_SIDE = 200
SMALLEST_FONT = 11


def mark_faces(picture, boxes, texts):
    """Draw boxes and labels into a copy of a picture.

    Args:
        picture: uint8 (height, width, 3), RGB.
        boxes: float (n, 4), x, y, width, height in its pixels.
        texts: n labels.

    Returns:
        A Pillow image, larger than the picture only where that is tiny.
    """
    longer = max(picture.shape[:2])
    zoom = -(-SMALLEST_SIDE // longer)
    height, width = picture.shape[:2]
    image = Image.fromarray(picture).resize(
        (width * zoom, height * zoom), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    # The largest face comes first, and the marks of the small ones on top.
    for box, text in zip(np.asarray(boxes) * zoom, texts, strict=True):
        draw_box(draw, box, longer * zoom)
        draw_label(draw, box, text, image.size)
    return image


def draw_box(draw, box, longer):
    """Draw a white frame between two black ones, its lines as a viewer needs them."""
    x, y, width, height = box
    line = max(1, round(min(longer / 400, max(width, height) / 20)))
    for grow, color in ((line, "black"), (-line, "black"), (0, "white")):
        corners = (x - grow, y - grow, x + width + grow, y + height + grow)
        # A picture may be one pixel high, which leaves no room inside.
        if min(width, height) + 2 * grow >= 0:
            draw.rectangle(corners, outline=color, width=line)


def draw_label(draw, box, text, size):
    """Write words above a box, or where the picture leaves room for them."""
    x, y, width, _ = box
    font_size = max(SMALLEST_FONT, max(size) / 90, min(width / 7, max(size) / 30))
    font = ImageFont.load_default(round(font_size))
    left, top, right, bottom = draw.textbbox((0, 0), text, font, anchor="la")
    edge = round(font_size / 4)
    label = np.array([right + 2 * edge, bottom + 2 * edge])
    # Above the box; inside it where that would leave the picture.
    place = np.array([x, y - label[1] if y >= label[1] else y])
    place = np.clip(place, 0, np.maximum(np.array(size) - label, 0))
    draw.rectangle((*place, *(place + label)), fill="black")
    draw.text(tuple(place + edge), text, "white", font, anchor="la")
