"""Formulas are set by KaTeX while the site is built, inside a small JavaScript engine.

So no script is needed to read one, and a formula KaTeX cannot read is a Sphinx warning with its page and line.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import quickjs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
SOURCE = Path(__file__).parent / "vendor" / "katex.min.js"
RENDER = """
function render(formula, displayMode) {
  try {
    return {html: katex.renderToString(formula, {displayMode, throwOnError: true, strict: "error"})};
  } catch (error) {
    return {error: error.message};
  }
}
"""


class FormulaError(ValueError):
    """KaTeX could not read a formula."""


@functools.cache
def engine() -> quickjs.Context:
    context = quickjs.Context()
    context.eval(SOURCE.read_text(encoding="utf-8"))
    context.eval(RENDER)
    return context


@functools.cache
def render(formula: str, display: bool) -> str:
    """The HTML (with MathML for screen readers) of one formula; FormulaError where KaTeX cannot read it."""
    answer = engine().eval(f"JSON.stringify(render({json.dumps(formula)}, {json.dumps(display)}))")
    result: dict[str, str] = json.loads(answer)
    if "error" in result:
        raise FormulaError(result["error"])
    return result["html"]


def located(node: nodes.Element, formula: str, display: bool) -> str:
    """Render, or warn where the formula stands and show its source."""
    try:
        return render(formula, display)
    except FormulaError as error:
        logger.warning("bad formula: %s: %s", error, formula, location=node, type="katex")
        return f"<code>{nodes.unescape(formula)}</code>"


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(f'<span class="math notranslate">{located(node, node.astext(), display=False)}</span>')
    raise nodes.SkipNode


def visit_display(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append(located(node, node.astext(), display=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (visit_math, None), (visit_display, None))
    app.add_css_file("vendor/katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
