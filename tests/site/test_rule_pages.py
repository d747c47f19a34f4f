"""Every rule of the registry has its place in the guide: a section of its name, formula, figure, Elsewhere and Copy."""

import re

import pytest
from _ext.notebooks import DOCS

from lossopt import RULES, SCHEDULES

PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts}


def label(name: str) -> str:
    return f"\n({name.replace('_', '-')})=\n"


def place_of(name: str) -> tuple[str, str]:
    """The page of a rule, and its section there: from its label to the label of the next rule."""
    (text,) = [text for text in PAGES.values() if label(name) in text]
    section = text.partition(label(name))[2]
    for other in RULES:
        section = section.partition(label(other))[0]
    return text, section


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_section_with_formula_figure_elsewhere_and_copy(name):
    text, section = place_of(name)
    assert f"```{{rule}} {name}\n" in section, "the formula is printed from the code"
    assert re.search(r"image:\n +alt: ", text), "a figure"
    assert "## Elsewhere\n" in text or RULES[name].family == "dialects", "who defines it otherwise"
    copied = " ".join(re.findall(r"```\{copy\} ([\w ]+)\n", text)).split()
    assert name in copied


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_printed_from_its_code(name):
    assert f"```{{schedule}} {name}\n" in PAGES[DOCS / "optimizers" / "schedules.md"]


def test_every_page_that_tunes_says_its_budget_its_seeds_and_its_intervals_in_words():
    tuning = {path: text for path, text in PAGES.items() if re.search(r"import .*\b(best_rate|compare)\b", text)}
    assert len(tuning) > 10
    for path, text in tuning.items():
        prose = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
        for words in (r"\b(steps|epochs)\b", r"\b(seeds|starts)\b", r"\bintervals?\b|\b95 percent\b"):
            assert re.search(words, prose), (path.name, words)
