"""What a reader takes away is Markdown that any notebook shows."""

import pytest
from _ext import sources
from _ext.notebooks import DOCS
from _ext.plain_markdown import plain


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("(adam-idea)=\n## Idea", "## Idea"),
        ("See {ref}`the idea <adam-idea>` and {ref}`adam`.", "See the idea and adam."),
        ("By {cite:t}`kingma2015`.", "By [kingma2015]."),
        ("A {math}`w_t` and $g$.", "A $w_t$ and $g$."),
        ("```{math}\n:label: one\n\na = b\n```", "$$\na = b\n$$"),
        (":::{note}\nLook.\n:::", "Look."),
        ("```{admonition} Exercise\n:class: important\n\nTry it.\n```", "**Exercise**\n\nTry it."),
        ("::::{grid} 2\n:::{card} One\nText\n:::\n::::", "**One**\n\nText"),
        ("```python\nd = {1: 2}\n```", "```python\nd = {1: 2}\n```"),
        ("Plain *text* with `code`.", "Plain *text* with `code`."),
    ],
)
def test_each_construct_becomes_plain_markdown(page, expected):
    assert plain(page) == expected


def test_the_formula_and_the_code_of_a_rule_are_printed():
    (formula,), code = sources.rule("adam")
    assert plain("Before.\n\n```{rule} adam\n```\n\nAfter.") == (
        f"Before.\n\n$$\n{formula}\n$$\n\n```python\n{code}```\n\nAfter."
    )


def test_copying_shows_its_command():
    assert plain("```{copy} adam huber\n```") == "```console\npython -m lossopt copy adam huber\n```"


def test_no_page_of_the_site_keeps_what_only_sphinx_understands():
    for path in DOCS.rglob("*.md"):
        if "_build" not in path.parts:
            text = plain(path.read_text(encoding="utf-8"))
            assert "{ref}" not in text, path
            assert "```{rule}" not in text, path
