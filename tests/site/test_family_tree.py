"""The family tree says who came from whom, in words and in a drawing, and leads to the section of every rule."""

import re
from dataclasses import dataclass

import pytest
from _ext import family_tree
from bs4 import BeautifulSoup

from lossopt import RULES

PLAIN = [rule for rule in RULES.values() if rule.family != "dialects"]
DIALECTS = [rule for rule in RULES.values() if rule.family == "dialects"]


@dataclass(frozen=True)
class Kin:
    """A rule as far as the tree cares."""

    name: str
    year: int
    parents: tuple[str, ...] = ()


def page_of(project, argument: str = "", **settings) -> BeautifulSoup:
    sections = "".join(f"({name.replace('_', '-')})=\n## About {name}\n\nText.\n\n" for name in RULES)
    tree = f"```{{family-tree}} {argument}\n```"
    built = project({"index.md": f"# Page\n\n{tree}\n\n{sections}"}, extensions=("_ext.family_tree",), **settings)
    assert built.warnings == ""
    return BeautifulSoup(built.text("index.html"), "html.parser").select_one("ul.family-tree")


def test_parents_come_before_their_children_also_within_a_year():
    names = [rule.name for rule in family_tree.in_order(reversed(PLAIN))]
    assert names[0] == "sgd"
    assert [RULES[name].year for name in names] == sorted(rule.year for rule in PLAIN)
    for name in names:
        for parent in RULES[name].parents:
            assert names.index(parent) < names.index(name)


@pytest.mark.parametrize(("argument", "rules"), [("", PLAIN), ("dialects", DIALECTS)])
def test_each_rule_is_listed_with_its_year_its_parents_and_what_it_adds(project, argument, rules):
    items = page_of(project, argument).select("li")
    assert len(items) == len(rules)
    for item in items:
        rule = RULES[item.select_one("strong").text]
        head, added = (paragraph.text.replace("\u2019", "'") for paragraph in item.select("p"))
        parents = f" from {', '.join(rule.parents)}" if rule.parents else ""
        assert head == f"{rule.year} {rule.name}{parents}"
        assert added == (rule.adds or "Step against the gradient.")


def test_each_name_leads_to_the_section_of_its_rule(project):
    for link in page_of(project).select("a"):
        assert link["href"] == "#" + link.text.replace("_", "-")


def test_a_rule_without_a_section_is_a_warning(project):
    built = project({"index.md": "# Page\n\n```{family-tree}\n```\n"}, extensions=("_ext.family_tree",))
    assert built.warnings.count("undefined label: 'adam'") > 1
    assert "undefined label: 'schedule-free-sgd'" in built.warnings


def test_an_argument_that_means_nothing_is_an_error_of_the_page(project):
    built = project({"index.md": "# Page\n\n```{family-tree} dialect\n```\n"}, extensions=("_ext.family_tree",))
    assert "the argument is 'dialects' or there is none, got 'dialect'" in built.warnings


def test_what_a_rule_adds_is_translated_and_names_are_not(project):
    files = {"index.md": "# Page\n\n```{family-tree}\n```\n"}
    template = project(files, extensions=("_ext.family_tree",), builder="gettext").text("index.pot")
    assert f'msgid "{RULES["adam"].adds}"' in template
    assert 'msgid "2015' not in template


# The drawing ------------------------------------------------------------------------------------------------


def test_a_lane_is_kept_until_the_last_child_and_then_given_away():
    root, one, two = Kin("root", 1), Kin("one", 2, ("root",)), Kin("two", 3, ("root",))
    late = Kin("late", 4, ("two",))
    rows = family_tree.drawing([late, two, one, root])
    assert [(row.rule.name, row.lane, row.passing, row.parents, row.has_children) for row in rows] == [
        ("root", 0, (), (), True),
        ("one", 1, (0,), (0,), False),
        ("two", 1, (), (0,), True),
        ("late", 0, (), (1,), False),
    ]


def test_no_line_passes_through_the_dot_of_another_rule():
    for row in family_tree.drawing(PLAIN):
        assert row.lane not in row.passing


def test_lines_reach_every_child_from_each_of_its_parents():
    rows = family_tree.drawing(PLAIN)
    lanes = {row.rule.name: row.lane for row in rows}
    for number, row in enumerate(rows):
        assert row.parents == tuple(lanes[parent] for parent in row.rule.parents)
        for parent in row.rule.parents:
            start = next(i for i, other in enumerate(rows) if other.rule.name == parent)
            assert rows[start].has_children
            assert all(lanes[parent] in between.passing for between in rows[start + 1 : number])


def test_the_drawing_is_for_the_eye_alone_and_every_row_is_as_wide(project):
    drawings = page_of(project).select("li > .drawing > svg")
    assert len(drawings) == len(PLAIN)
    assert {drawing["aria-hidden"] for drawing in drawings} == {"true"}
    assert len({drawing["viewbox"] for drawing in drawings}) == 1
    width = int(re.search(r"0 0 (\d+) 100", drawings[0]["viewbox"])[1])
    for drawing in drawings:
        assert all(0 < float(x) < width for x in re.findall(r"[MC ]([\d.]+) \d", drawing.select_one("path")["d"]))
    assert not page_of(project, "dialects").select("svg")
