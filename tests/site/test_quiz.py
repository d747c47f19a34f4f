"""A quiz is read, answered and translated without a script."""

import pytest
from bs4 import BeautifulSoup

QUIZ = """# Page

:::{quiz}
:answer: 2

How long is the *first* step?

- It grows with the gradient.

  No: both moments grow.
- About `lr`.

  Yes: $1 = 1$.

  Always.
:::
"""


def test_each_option_opens_to_its_own_verdict_and_explanation(project):
    page = BeautifulSoup(project({"index.md": QUIZ}, extensions=["_ext.quiz"]).text("index.html"), "html.parser")
    wrong, right = page.select(".quiz > details")
    assert wrong.summary.text.strip() == "It grows with the gradient."
    assert "Not this one." in wrong.text
    assert "both moments grow" in wrong.text
    assert right["class"] == ["right"]
    assert "Right." in right.text
    assert "Always." in right.text
    assert right.summary.code.text == "lr"
    assert "both moments" not in right.text
    assert page.select_one(".quiz > p").text == "How long is the first step?"


def test_the_options_of_one_question_share_a_name_and_no_other_question_has_it(project):
    page = BeautifulSoup(
        project({"index.md": QUIZ + QUIZ[7:]}, extensions=["_ext.quiz"]).text("index.html"), "html.parser"
    )
    first, second = ({option["name"] for option in quiz.select("details")} for quiz in page.select(".quiz"))
    assert len(first) == len(second) == 1
    assert first != second


def test_every_sentence_of_it_can_be_translated(project):
    template = project({"index.md": QUIZ}, builder="gettext", extensions=["_ext.quiz"]).text("index.pot")
    for sentence in ["How long is the *first* step?", "It grows with the gradient.", "About `lr`.", "Always."]:
        assert f'msgid "{sentence}"' in template


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (QUIZ.replace(":answer: 2\n", ""), "say which option is right"),
        (QUIZ.replace(":answer: 2", ":answer: 3"), ":answer: must lie in 1..2, got 3"),
        (QUIZ.replace("  No: both moments grow.\n", ""), "option 1 ('It grows with the gradient.') has no explanation"),
        (QUIZ[: QUIZ.index("- It")] + ":::\n", "write the question, then a list of options"),
    ],
)
def test_a_broken_quiz_says_what_is_wrong(project, broken, message):
    assert message in project({"index.md": broken}, extensions=["_ext.quiz"]).warnings
