"""Faces with seven emotions, made of ink: no photograph of a person is involved."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fer.faces import EMOTIONS
from fer.faces import IMAGE_SIZE as SIZE

# FER2013's own shares, except disgust: its 1.5 % would leave a handful to test on.
SHARES = (0.14, 0.04, 0.14, 0.25, 0.16, 0.11, 0.16)
ZOOM = 4  # drawn this much larger, then shrunk, which makes the lines smooth
# Weakest expression drawn, as a share of the full one: still readable, but near
# enough to neutral that no model gets every face right.
WEAKEST = 0.4
# Spread of every expression value from face to face; one person's smile is not
# another's.
EXPRESSION_SPREAD = 0.14
TURN = np.linspace(0, 2 * np.pi, 40, endpoint=False)
ACROSS = np.linspace(-1, 1, 17)  # from one end of a lid, brow or lip to the other


class Expression(NamedTuple):
    """What the face muscles do; 0 is at rest, 1 a strong pull, -1 the opposite."""

    brow_inner: float = 0  # up
    brow_outer: float = 0  # up
    lid: float = 0  # upper lid up: 1 staring, -1 shut
    squint: float = 0  # lower lid up
    corners: float = 0  # mouth corners up
    jaw: float = 0  # mouth open
    width: float = 0  # mouth wider
    teeth: float = 0  # teeth shown in an open mouth
    sneer: float = 0  # upper lip pulled up
    wrinkle: float = 0  # nose wrinkled, with folds beside it
    cheeks: float = 0  # cheeks lifted, folds around the mouth


# Two ways to show each emotion, lips closed and open where there is such a choice; a
# face mixes them. The values, in Expression's order, were set by eye.
WAYS = {
    "angry": (
        Expression(-1, 0.5, 0.1, 0.4, -0.5, 0, -0.25, 0, 0, 0.3),
        Expression(-1, 0.6, 0.4, 0.3, -0.4, 0.55, 0.1, 1, 0.3, 0.4),
    ),
    "disgust": (
        Expression(-0.6, 0, -0.3, 0.7, -0.5, 0.1, 0.1, 1, 1, 1, 0.6),
        Expression(-0.5, 0.1, -0.4, 0.9, -0.3, 0.5, -0.1, 0.3, 0.8, 1, 0.6),
    ),
    "fear": (
        Expression(1, -0.1, 0.9, 0, -0.5, 0.25, 0.35, 1),
        Expression(0.9, 0.1, 1, 0, -0.6, 0.5, 0.2, 0.4),
    ),
    "happy": (
        Expression(0.1, 0.1, 0, 0.4, 1, 0, 0.35, 0, 0, 0, 0.8),
        Expression(0.2, 0.2, -0.1, 0.7, 1.1, 0.75, 0.4, 1, 0, 0, 1),
    ),
    "sad": (
        Expression(0.8, -0.7, -0.3, 0.1, -1, 0, -0.15),
        Expression(0.6, -0.8, -0.6, 0.3, -0.9, 0.1, -0.25),
    ),
    "surprise": (
        Expression(0.9, 0.9, 0.9, 0, 0, 1.1, -0.45),
        Expression(1, 1, 0.8, 0, 0.1, 0.8, -0.5),
    ),
    "neutral": (Expression(), Expression(corners=-0.1)),
}


class Pen:
    """Fills shapes given in pixels from the middle of the face, y down."""

    def __init__(self, background, rng):
        self.image = Image.new("L", (SIZE * ZOOM, SIZE * ZOOM), background)
        self.canvas = ImageDraw.Draw(self.image)
        # Tilt (radians), size and place vary as in the contest's cropped photographs;
        # a dense network, which has no notion of a shift, suffers most from this.
        tilt, stretch = rng.normal(0, 0.08), rng.uniform(0.92, 1.18, size=2)
        scale = stretch[0] * np.array([1, 0.5 + 0.5 * stretch[1]])
        turn = [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
        self.matrix = ZOOM * scale * np.array(turn)
        self.middle = ZOOM * (SIZE / 2 + rng.uniform(-2, 2, size=2))

    def fill(self, x, y, grey):
        """Fill the outline x, y (arrays of pixels) with a grey level."""
        corners = np.column_stack(np.broadcast_arrays(x, y)) @ self.matrix + self.middle
        self.canvas.polygon(corners.ravel().tolist(), fill=int(np.clip(grey, 0, 255)))

    def fill_between(self, x, upper, lower, grey):
        """Fill the area between two curves over x."""
        self.fill(np.r_[x, x[::-1]], np.r_[upper, lower[::-1]], grey)

    def oval(self, x, y, half_width, half_height, grey):
        """Fill an ellipse around x, y."""
        self.fill(x + half_width * np.cos(TURN), y + half_height * np.sin(TURN), grey)

    def stroke(self, x, y, width, grey):
        """Draw a brush stroke along x, y: full in the middle, thin at its ends."""
        slope_x, slope_y = np.gradient(x), np.gradient(y)
        length = np.hypot(slope_x, slope_y) + 1e-6
        half = width / 2 * (0.35 + 0.65 * np.sin(np.linspace(0, np.pi, len(x))))
        side_x, side_y = -half * slope_y / length, half * slope_x / length
        outline_x = np.r_[x + side_x, (x - side_x)[::-1]]
        self.fill(outline_x, np.r_[y + side_y, (y - side_y)[::-1]], grey)


def express(emotion, rng):
    """Mix the two ways of an emotion, weaken the mix and vary every value."""
    mix, strength = rng.uniform(), rng.uniform(WEAKEST, 1.1)
    one, other = np.array(WAYS[EMOTIONS[emotion]])
    values = strength * (mix * one + (1 - mix) * other)
    return Expression(*values + rng.normal(0, EXPRESSION_SPREAD, size=len(values)))


def draw_head(pen, rng, skin, hair, light):
    """Draw hair behind the head, neck, ears and head; return the head's outline."""
    half_width, narrow = rng.uniform(15, 18), rng.uniform(0.1, 0.35)
    x, y = half_width * np.cos(TURN), 21 * np.sin(TURN) + 1
    x = x * (1 - narrow * np.clip(y / 21, 0, 1) ** 2)
    if rng.uniform() < 0.4:  # long hair
        length = rng.uniform(8, 26)
        pen.fill(1.25 * x, np.where(y > 0, length, 1.15 * y), hair - 8)
    neck_x, neck_y = [-8, 8, 9, 24, -24, -9], [15, 15, 24, 30, 30, 24]
    pen.fill(neck_x, neck_y, skin - 45)
    for side in (-1, 1):
        pen.oval(side * half_width, -1, 2.5, 4.5, skin - 25)
    pen.fill(1.03 * x, 1.03 * y, skin - 60)
    # Ever smaller, ever lighter heads, shifted to the lamp, make it round.
    for step in np.linspace(0, 1, 7):
        part_x = (1 - 0.35 * step) * x + 4 * step * light
        part_y = (1 - 0.35 * step) * y - 3 * step
        pen.fill(part_x, part_y, skin - 22 + 26 * step)
    return x, y


def draw_eye(pen, side, face, ink, skin, gaze, brow_width):
    """Draw one eye with its lids and brow; side is -1 (left) or 1 (right)."""
    middle_x, middle_y = side * 7.6, -4.5
    x = middle_x + 4.6 * ACROSS
    bow = 1 - ACROSS**2
    # From the inner corner (0) to the outer one (1), so that brows and lids slant.
    outward = (1 + side * ACROSS) / 2
    raised = face.brow_inner * (1 - outward) + face.brow_outer * outward
    upper = middle_y - max(0.2, 2.6 + 1.5 * face.lid) * bow - 0.5 * raised
    lower = middle_y + max(-0.5, 2.1 - 1.8 * face.squint + 0.5 * face.lid) * bow
    lower = np.maximum(lower, upper) + 0.3
    pen.fill_between(x, upper, lower, 235)
    for radius, grey in ((2.1, ink + 25), (1.1, 10)):
        iris_x = middle_x + gaze + radius * np.cos(TURN)
        iris_y = middle_y - 0.2 + radius * np.sin(TURN)
        over, under = np.interp(iris_x, x, upper), np.interp(iris_x, x, lower)
        pen.fill(iris_x, np.clip(iris_y, over, under), grey)
    pen.oval(middle_x + gaze - 0.7, max(middle_y - 0.9, upper[8] + 0.6), 0.5, 0.5, 250)
    pen.stroke(x, upper, 1.3, ink)
    pen.stroke(x, lower, 0.6, skin - 70)
    pen.stroke(x, upper - 1.4, 0.5, skin - 45)
    if face.squint > 0.3:  # bag under the eye
        pen.stroke(x, lower + 1.6 - 0.4 * bow, 0.5, skin - 50 * min(1, face.squint))
    brow = -10.3 - 2.9 * raised - (1 + 0.6 * face.brow_outer) * bow
    inward = -side * 0.8 * max(0, -face.brow_inner)
    pen.stroke(middle_x + inward + 5.2 * ACROSS, brow, brow_width, ink)


def draw_nose(pen, side, face, skin, turn):
    """Draw the nose, its wrinkles and the folds from the nose to the mouth."""
    down = np.linspace(0, 1, 9)
    lift = 1.2 * max(0, face.wrinkle)
    pen.stroke(turn + side * 1.6 * down**2, -3 + 8.5 * down, 0.7, skin - 35)
    nostrils = 6.2 - lift - 1.4 * np.abs(ACROSS) ** 3
    pen.stroke(turn + 3 * ACROSS, nostrils, 1, skin - 75)
    if face.wrinkle > 0.15:
        for height in (-2.5, -0.8, 0.9):
            dark = skin - 95 * min(1, face.wrinkle)
            pen.stroke(turn + 3 * ACROSS, height + 1.2 * ACROSS**2, 0.7, dark)
    fold = max(face.cheeks, 0.8 * face.wrinkle)
    if fold > 0.15:
        dark, out = skin - 70 * min(1, fold), 5.5 * down + 1.2 * np.sin(np.pi * down)
        for cheek in (-1, 1):
            pen.stroke(cheek * (4 + out) + turn / 2, 4 - lift + 6 * down, 0.7, dark)


def draw_mouth(pen, face, ink, skin, turn):
    """Draw the mouth: its hollow with teeth and tongue, then both lips."""
    x = turn / 2 + 6.8 * (1 + 0.6 * face.width) * ACROSS
    bow = np.sqrt(1 - ACROSS**2)
    middle = 12.2 + 1.2 * face.corners - 3.4 * face.corners * ACROSS**2
    gap = 6.2 * max(0, face.jaw)
    upper = middle - 0.35 * gap * bow - 2 * max(0, face.sneer) * (1 - ACROSS**4)
    lower = middle + 0.75 * gap * bow
    pen.fill_between(x, upper, lower, 35)
    opening = lower - upper
    if opening.max() > 1:
        edge = upper + 0.6 * np.clip(face.teeth, 0, 1) * opening
        pen.fill_between(x, upper, edge, 240)
        pen.fill_between(x, lower - 0.25 * opening, lower, 110)
    pen.stroke(x, upper, 1.1, ink + 15)
    pen.stroke(x, lower, 0.9, ink + 40)
    under_lip = lower[8] + 2.2 + 0.3 * ACROSS**2
    pen.stroke(turn / 2 + 3.5 * ACROSS, under_lip, 0.9, skin - 40)


def draw_hair(pen, rng, head, hair):
    """Draw the hair over the forehead; some of it hides the brows."""
    x, y = head
    top = y < -4
    outer_x, outer_y = x[top], y[top]
    parting, drop = rng.uniform(-10, 10), rng.uniform(0, 0.045)
    line = rng.uniform(-17.5, -12) + drop * (outer_x - parting) ** 2
    line += rng.uniform(0, 1.5) * np.sin(rng.uniform(0.5, 2) * outer_x)
    curls = 1.06 + rng.uniform(0, 0.05) * np.sin(rng.integers(8, 20) * outer_x / 9)
    outline_x = np.r_[curls * outer_x, outer_x[::-1]]
    pen.fill(outline_x, np.r_[curls * outer_y, np.maximum(line, outer_y)[::-1]], hair)


def draw_glasses(pen, grey):
    """Draw round glasses over the eyes."""
    loop = np.r_[TURN, TURN[:2]]
    for side in (-1, 1):
        pen.stroke(side * 7.6 + 6 * np.cos(loop), -4 + 5 * np.sin(loop), 1, grey)
    pen.stroke(2 * ACROSS, -4.5 - 0.5 * (1 - ACROSS**2), 1, grey)


def draw_face(emotion, rng):
    """Draw one face.

    Args:
        emotion: 0..6 as in EMOTIONS.
        rng: a numpy Generator, which settles all else.

    Returns:
        uint8 (48, 48), 0 black to 255 white.
    """
    face = express(emotion, rng)
    skin, hair = rng.uniform(120, 225), rng.uniform(15, 120)
    ink, light, turn = rng.uniform(10, 45), rng.uniform(-1, 1), rng.normal(0, 1)
    pen = Pen(int(rng.uniform(20, 230)), rng)
    head = draw_head(pen, rng, skin, hair, light)
    if rng.uniform() < 0.15:  # beard
        pen.fill(
            head[0],
            np.maximum(head[1], 8.5 - 0.02 * head[0] ** 2),
            0.55 * skin + 0.45 * hair,
        )
    brow_width, gaze = rng.uniform(1.4, 2.8), rng.normal(0, 0.6)
    for side in (-1, 1):
        one_side = Expression(*np.array(face) + rng.normal(0, 0.07, size=len(face)))
        draw_eye(pen, side, one_side, ink, skin, gaze, brow_width)
    draw_nose(pen, rng.choice((-1, 1)), face, skin, turn)
    draw_mouth(pen, face, ink, skin, turn)
    if rng.uniform() < 0.9:
        draw_hair(pen, rng, head, hair)
    if rng.uniform() < 0.15:
        draw_glasses(pen, rng.uniform(10, 90))
    small = pen.image.resize((SIZE, SIZE), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    # The lamp: brighter to one side, then the camera: contrast and grain.
    ramp = np.linspace(-1, 1, SIZE)
    lamp = 1 + 0.2 * light * ramp + 0.12 * rng.normal() * ramp[:, None]
    grain = rng.normal(0, rng.uniform(1, 10), size=(SIZE, SIZE))
    grey = rng.uniform(0.75, 1.1) * np.asarray(small) * lamp + grain
    return np.clip(grey, 0, 255).astype(np.uint8)


def draw_faces(count, seed):
    """Draw faces in shuffled order, every emotion among them, in about FER's shares.

    Args:
        count: at least 7.
        seed: an int or a list of ints.

    Returns:
        Images uint8 (count, 48, 48, 1), 0..255, and labels int64 (count,), 0..6.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(EMOTIONS), size=count - len(EMOTIONS), p=SHARES)
    labels = rng.permutation(np.r_[np.arange(len(EMOTIONS)), drawn])
    return np.stack([draw_face(label, rng) for label in labels])[..., None], labels


def draw_emotions():
    """A face of every emotion in their order, the same every time, as `draw_faces`."""
    images, labels = draw_faces(len(EMOTIONS), seed=0)
    return images[labels.argsort()]
