"""Every rule of the registry has its place in the guide: a section of its name, formula, figure, Elsewhere and Copy."""

import re
from pathlib import Path

import pytest
from _ext.notebooks import DOCS

from lossopt import RULES, SCHEDULES

PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts}


def page_with_section(name: str) -> Path:
    label = f"\n({name.replace('_', '-')})=\n"
    (page,) = [path for path, text in PAGES.items() if label in text]
    return page


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_section_with_formula_figure_elsewhere_and_copy(name):
    text = PAGES[page_with_section(name)]
    section = text.partition(f"\n({name.replace('_', '-')})=\n")[2]
    assert f"```{{rule}} {name}\n" in section, "the formula is printed from the code"
    assert re.search(r"image:\n +alt: ", text), "a figure"
    assert "## Elsewhere\n" in text or RULES[name].family == "dialects", "who defines it otherwise"
    copied = " ".join(re.findall(r"```\{copy\} ([\w ]+)\n", text)).split()
    assert name in copied


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_printed_from_its_code(name):
    assert f"```{{schedule}} {name}\n" in PAGES[DOCS / "optimizers" / "schedules.md"]


def test_every_page_that_compares_rules_names_its_budget_seeds_and_interval():
    for path, text in PAGES.items():
        if re.search(r"\bcompare\($", text, re.MULTILINE):
            for word in ("steps", "seeds", "interval"):
                assert word in text, (path.name, word)
