"""Every dialect has its place on the page of disagreements, and every optimizer there says who does what."""

import re
from collections import Counter

import pytest
from _ext.notebooks import DOCS

from lossopt import RULES

PAGE = (DOCS / "disagreements.md").read_text(encoding="utf-8")
# A section of an optimizer: its label, its heading, and its text up to the next label of this kind or heading above it.
SECTION = re.compile(r"^\(disagree-(?P<name>[a-z-]+)\)=\n### .+\n(?P<text>(?:.*\n)*?)(?=\(disagree|## )", re.MULTILINE)
SECTIONS = {found["name"]: found["text"] for found in SECTION.finditer(PAGE)}


def test_every_dialect_is_printed_exactly_once():
    dialects = [rule.name for rule in RULES.values() if rule.family == "dialects"]
    assert Counter(re.findall(r"^```\{rule\} (\w+)$", PAGE, re.MULTILINE)) == Counter(dialects)


def test_every_part_of_the_page_about_optimizers_is_found_as_a_section():
    part = re.search(r"^## Optimizers\n(?P<text>(?:.*\n)*?)(?=\(disagreements-\w+\)=\n## )", PAGE, re.MULTILINE)
    assert re.findall(r"^\(disagree-([a-z-]+)\)=$", part["text"], re.MULTILINE) == list(SECTIONS)
    assert len(re.findall(r"^##+ ", part["text"], re.MULTILINE)) == len(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_optimizer_names_the_three_libraries_and_the_paper(name):
    text = SECTIONS[name]
    for party in ("PyTorch", "Keras", "optax", "the paper"):
        assert re.search(rf"^\|[^|]*\b{party}\b", text, re.MULTILINE), f"no row of the table is about {party}"
    assert "{cite:p}" in text


@pytest.mark.parametrize("name", SECTIONS)
def test_every_optimizer_computes_its_difference(name):
    assert "```{code-cell} python" in SECTIONS[name]


def test_every_section_is_reached_from_a_symptom():
    table = re.search(r"^\| what you see .*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    sections = set(re.findall(r"^\((disagree-[a-z-]+)\)=$", PAGE, re.MULTILINE))
    assert sections <= set(re.findall(r"<(disagree[a-z-]*)>`", table[0]))
