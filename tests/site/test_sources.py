"""Formulas and code on a page are the package's own."""

import inspect

import pytest
from _ext import katex, sources
from bs4 import BeautifulSoup

from lossopt import LOSSES, RULES, SCHEDULES, copying, formula, schedules

EXTENSIONS = ("_ext.katex", "_ext.sources")


def built_page(project, directive: str, warnings: str = "") -> BeautifulSoup:
    built = project(
        {"index.md": f"# Page\n\n```{{{directive.replace(' ', '} ', 1)}\n```\n"},
        extensions=EXTENSIONS,
        html_math_renderer="katex",
    )
    assert warnings in built.warnings
    assert bool(built.warnings) == bool(warnings)
    return BeautifulSoup(built.text("index.html"), "html.parser")


@pytest.mark.parametrize("name", RULES)
def test_the_formula_of_every_rule_can_be_set(name):
    assert "katex-error" not in katex.render(formula.latex(RULES[name]), True)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_shows_a_formula_that_can_be_set(name):
    formulas = sources.formulas_of(inspect.getdoc(LOSSES[name].loss))
    assert formulas
    for each in formulas:
        katex.render(each, True)


@pytest.mark.parametrize("name", RULES)
def test_the_code_shown_is_the_code_without_its_docstring(name):
    code = sources.code_of(RULES[name].rule)
    names: dict[str, object] = {}
    exec(compile(code, name, "exec"), dict(vars(inspect.getmodule(RULES[name].rule))), names)
    assert '"""' not in code
    assert names[name].__code__.co_code == inspect.unwrap(RULES[name].rule).__code__.co_code


def test_a_rule_stands_beside_its_formula(project):
    page = built_page(project, "rule adam")
    assert page.select_one(".formula-and-code .formula .katex")
    assert page.select_one(".formula-and-code .code pre").text.strip() == sources.code_of(RULES["adam"].rule).strip()


def test_a_loss_stands_beside_its_formula(project):
    page = built_page(project, "loss huber")
    assert page.select_one(".formula-and-code .formula .katex")
    assert page.select_one(".formula-and-code .code pre").text.startswith("def huber(")


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_code_shown_of_a_schedule_gives_its_rates_and_checks_nothing(name):
    _, code = sources.schedule(name)
    names = dict(vars(schedules))
    exec(code, names)
    needed = {"step_size": 3, "milestones": (2, 7), "gamma": 0.5, "total_steps": 12, "period": 4, "warmup_steps": 3}
    needed["decay_steps"] = 4
    given = {key: value for key, value in needed.items() if key in inspect.signature(SCHEDULES[name]).parameters}
    given.pop("growth", None)
    for t in range(1, 12):
        assert names[name](t, 0.3, **given) == SCHEDULES[name](t, 0.3, **given)
    assert "_check" not in code
    assert "raise" not in code
    assert "Number" not in code


def test_a_schedule_is_shown_by_its_code(project):
    page = built_page(project, "schedule cosine")
    assert page.select_one("pre").text.startswith("def cosine(t, lr, total_steps, final_lr=0.0):")


def test_copying_shows_the_command_and_the_very_file_it_writes(project):
    page = built_page(project, "copy adam huber")
    command, text = page.select(".copy-me pre")
    assert command.text.strip() == "python -m lossopt copy adam huber"
    assert text.text.strip() == copying.text(["adam", "huber"]).strip()


@pytest.mark.parametrize("directive", ["rule adma", "loss hubber", "copy adma", "schedule cosin"])
def test_an_unknown_name_is_an_error_of_the_page_with_a_suggestion(project, directive):
    built_page(
        project, directive, warnings={"adma": "adam", "hubber": "huber", "cosin": "cosine"}[directive.split()[1]]
    )


def test_printed_formulas_and_code_are_not_for_translation(project):
    template = project({"index.md": "# Page\n\n```{rule} adam\n```\n"}, builder="gettext", extensions=EXTENSIONS).text(
        "index.pot"
    )
    assert "beta" not in template


def test_formulas_of_one_line_and_of_several_are_found():
    docstring = """A loss.

    .. math:: r = p - y

    Remark: none.

    .. math::

        c &= r \\\\
        d &= c

    Text after it.
    """
    assert sources.formulas_of(docstring) == ["r = p - y", "c &= r \\\\\nd &= c"]
