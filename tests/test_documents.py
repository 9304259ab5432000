"""What the documents promise: files and scripts that exist, short sentences."""

import re

import pytest
from conftest import ROOT

import fer

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "*/*.md")
    for path in ROOT.glob(pattern)
)


def read_prose(path):
    """A document without code, tables, pictures and headings."""
    text = (ROOT / path).read_text()
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "!", "#"))]
    return "\n".join(lines)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 1200
    prose = re.sub(r"`[^`]*`", "CODE", read_prose("README.md"))
    # Paragraphs and points of a list end a sentence as well.
    for sentence in re.split(r"(?<=[.:;?!])\s+|\n\n|\n- ", prose):
        assert len(sentence.split()) <= 35, sentence


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path):
    folder = (ROOT / path).parent
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / path).read_text()):
        if "://" not in target:
            assert (folder / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS)
def test_commands_name_scripts_that_exist(path):
    text = (ROOT / path).read_text()
    for script in re.findall(r"python ([a-z_/]+\.py)", text):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"python -m (experiments\.[a-z_]+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_the_map_of_fer_names_every_module():
    named = set(re.findall(r"\w+", fer.__doc__))
    assert {path.stem for path in (ROOT / "fer").glob("[!_]*.py")} <= named
