"""One symbol, one meaning: the page of symbols says what the formulas print."""

import inspect
import re
from collections import Counter

from _ext.notebooks import DOCS

from lossopt import RULES, formula

ROW = re.compile(r"^\| (?P<symbols>\$.+?\$) \| `(?P<name>\w+)` \| .+ \|$", re.MULTILINE)
ROWS = [(row["name"], row["symbols"]) for row in ROW.finditer((DOCS / "notation.md").read_text(encoding="utf-8"))]


def test_every_name_in_a_rule_has_one_row():
    names = {name for rule in RULES.values() for name in inspect.signature(rule.rule).parameters}
    assert Counter(name for name, _ in ROWS) == Counter(names)


def test_every_symbol_is_the_one_that_formulas_print():
    assert dict(ROWS) == {
        name: ", ".join(f"${formula._name(name, time)}$" for time in times)
        for name, _ in ROWS
        for times in [{"w": ("t-1", "t"), "g": ("t",)}.get(name, ("",))]
    }


def test_no_symbol_stands_for_two_names():
    assert max(Counter(symbols for _, symbols in ROWS).values()) == 1
