"""`{quiz}`: a question whose options open to say why they are right or wrong; it needs no script.

The body is the question, then a list of options;
in each item the first paragraph is the option, the rest its explanation.
`:answer:` is the number of the right option, counted from 1.
"""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator


class QuizNode(nodes.General, nodes.Element):
    """The question's blocks, then its options."""


class OptionNode(nodes.General, nodes.Element):
    """A `LabelNode`, then the explanation's blocks; `right` says whether it is the answer."""


class LabelNode(nodes.General, nodes.TextElement):
    """What the reader chooses: one paragraph's text, translated like any paragraph."""


class Quiz(SphinxDirective):
    has_content = True
    option_spec: ClassVar = {"answer": directives.positive_int}

    def run(self) -> list[nodes.Node]:
        if "answer" not in self.options:
            raise self.error("quiz: say which option is right, as in ':answer: 2'")
        body = self.parse_content_to_nodes()
        if len(body) < 2 or not isinstance(body[-1], nodes.bullet_list):
            raise self.error("quiz: write the question, then a list of options")
        items = body.pop().children
        if self.options["answer"] > len(items):
            raise self.error(f"quiz: :answer: must lie in 1..{len(items)}, got {self.options['answer']}")
        name = f"quiz-{self.env.new_serialno('quiz')}"
        return [
            QuizNode(
                "", *body, *(self.option(name, number, item) for number, item in enumerate(items, start=1)), name=name
            )
        ]

    def option(self, name: str, number: int, item: nodes.Element) -> OptionNode:
        text, *explanation = item.children
        if not explanation:
            raise self.error(f"quiz: option {number} ({text.astext()!r}) has no explanation")
        label = LabelNode(text.rawsource, "", *text.children)
        label.source, label.line = text.source, text.line
        return OptionNode("", label, *explanation, right=number == self.options["answer"], name=name)


def visit_quiz(self: HTML5Translator, node: QuizNode) -> None:
    self.body.append(f'<div class="quiz" role="group" aria-label="{_("Question")}">')


def depart_quiz(self: HTML5Translator, node: QuizNode) -> None:
    self.body.append("</div>\n")


def visit_option(self: HTML5Translator, node: OptionNode) -> None:
    self.body.append(f'<details name="{node["name"]}" class="{"right" if node["right"] else "wrong"}">')


def depart_option(self: HTML5Translator, node: OptionNode) -> None:
    self.body.append("</details>\n")


def visit_label(self: HTML5Translator, node: LabelNode) -> None:
    self.body.append("<summary>")


def depart_label(self: HTML5Translator, node: LabelNode) -> None:
    verdict = _("Right.") if node.parent["right"] else _("Not this one.")
    self.body.append(f'</summary>\n<p class="verdict">{verdict}</p>\n')


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("quiz", Quiz)
    app.add_node(QuizNode, html=(visit_quiz, depart_quiz))
    app.add_node(OptionNode, html=(visit_option, depart_option))
    app.add_node(LabelNode, html=(visit_label, depart_label))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
