"""Parts of the page -> one HTML file that needs nothing from anywhere.

A measure becomes <data value=... data-source=...>: the text is rounded, the value and
its source are not.
"""

import base64
import html
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup
from PIL import Image

from fer.files import replacing
from report.measure import CHANCE, take

TEMPLATES = Path(__file__).resolve().parent / "templates"
# The parts in the order of the page, each a template of templates/parts/.
CONTENTS = {
    "network": "The network",
    "training": "The training",
    "accuracy": "Accuracy",
    "kinds": "Convolutional against dense",
    "ablations": "Normalization and augmentation",
    "confusion": "What is taken for what",
    "calibration": "How far the probabilities can be believed",
    "saliency": "What the network looks at",
    "filters": "Filters and responses",
    "operations": "Operations",
    "components": "Principal components of the faces",
    "labels": "Fewer labels",
    "ensemble": "More than one network",
}
MIME_TYPES = {".svg": "image/svg+xml", ".webp": "image/webp"}
# Of WebP, up to 100: small letters stay sharp, and a picture has a third of the bytes.
QUALITY = 88
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Shares whose standard error is smaller are given to a hundredth of a percent.
FINE = 0.001
# Of commits and files: the first digits are enough to tell them apart.
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
DIGEST_DIGITS = 10
SPACE = "\N{NO-BREAK SPACE}"


class Missing(NamedTuple):
    """A part that cannot be written: why not, and the command that would help."""

    reason: str
    command: str | None = None


class Pictures:
    """Figures, drawn into a folder of their own and inlined; a context manager."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def draw(self, plot, *arguments, suffix=".svg"):
        """Have a figure drawn, `plot(*arguments, path)`; the URI that contains it."""
        self.count += 1
        path = Path(self.folder.name) / f"{self.count}{suffix}"
        plot(*arguments, path)
        return self.inline(path)

    def inline(self, path):
        """The URI that contains a picture; a PNG goes through WebP."""
        if path.suffix == ".png":
            small = Path(self.folder.name) / f"{path.stem}_inlined.webp"
            Image.open(path).convert("RGB").save(small, quality=QUALITY, method=6)
            path = small
        content = base64.b64encode(path.read_bytes()).decode()
        return f"data:{MIME_TYPES[path.suffix]};base64,{content}"


def mark(measure, text):
    """The HTML of a measure that reads as `text`."""
    operands = " and ".join(measure.sources)
    title = f"{measure.formula} of {operands}" if measure.formula else operands
    formula = f' data-formula="{measure.formula}"' if measure.formula else ""
    return Markup(
        f'<data value="{html.escape(str(measure.value))}"{formula} '
        f'data-source="{html.escape("; ".join(measure.sources))}" '
        f'title="{html.escape(title)}">{html.escape(text)}</data>'
    )


def formatter(render):
    """A filter that renders the value of a measure, or says that there is none."""

    def show(measure, *arguments):
        if measure is None:
            return Markup('<span class="unknown">not recorded</span>')
        return mark(measure, render(measure.value, *arguments))

    return show


def format_plainly(value):
    """A setting: a number, a word, the first digits of a digest, a list, yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(format_plainly, value)) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[:DIGEST_DIGITS] if DIGEST.fullmatch(text) else text


def format_power(value):
    """A large number as 1.8 × 10¹⁵."""
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(SUPERSCRIPTS)}"


def count_digits(error):
    """Digits after the point of a number of percent, so that its error is not zero."""
    return 1 if error is None or error.value >= FINE or error.value == 0 else 2


def capitalize(text):
    """A text with its first letter in upper case and all others as they are."""
    return text[:1].upper() + text[1:]


def build_environment():
    """Jinja's environment, with the filters by which numbers become text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        # A misspelt name is a defect of the template, no empty place on the page.
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "start": capitalize,
        "percent": formatter(lambda x, digits=1: f"{100 * x:.{digits}f}{SPACE}%"),
        "points": formatter(
            lambda x, digits=1: f"{100 * x:+.{digits}f}".replace("-", "−")
        ),
        "digits": count_digits,
        "size": formatter(lambda x, digits=1: f"{100 * abs(x):.{digits}f}"),
        "decimal": formatter(lambda x, digits=3: f"{x:.{digits}f}"),
        "integer": formatter(lambda x: f"{x:,.0f}"),
        "scientific": formatter(format_power),
        "plain": formatter(format_plainly),
    }
    environment.globals["chance"] = take("report/measure.py", "CHANCE", CHANCE)
    environment.tests["missing"] = lambda part: isinstance(part, Missing)
    return environment


def write_page(parts, path):
    """Write the page, or leave the old one as it is.

    Args:
        parts: dict from the name of a part to what its template is given.
        path: of the HTML file.
    """
    template = build_environment().get_template("report.html.j2")
    text = template.render(parts, contents=CONTENTS.items())
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
