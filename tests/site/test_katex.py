"""Formulas are set at build time, and a bad one is found where it stands."""

import pytest
from _ext import katex


def test_a_formula_becomes_html_and_mathml_without_a_script(project):
    html = project(
        {"index.md": "# Page\n\nA weight $w_t$."}, extensions=["_ext.katex"], html_math_renderer="katex"
    ).text("index.html")
    assert '<span class="katex">' in html
    assert "<msub><mi>w</mi><mi>t</mi></msub>" in html
    assert "mathjax" not in html.lower()


def test_a_numbered_formula_keeps_its_number_and_anchor(project):
    page = "# Page\n\n```{math}\n:label: rule\nw - \\eta g\n```\n\nSee {eq}`rule`."
    html = project({"index.md": page}, extensions=["_ext.katex"], html_math_renderer="katex").text("index.html")
    assert 'id="equation-rule"' in html
    assert '<span class="eqno">(1)' in html
    assert 'href="#equation-rule"' in html


@pytest.mark.parametrize("formula", [r"\frac{a", r"\undefinedmacro", r"a_b_c", r"\begin{aligned} a"])
def test_a_bad_formula_is_a_warning_with_its_page_and_line(project, formula):
    page = f"# Page\n\nFirst line.\n\nThen ${formula}$ here."
    warnings = project({"index.md": page}, extensions=["_ext.katex"], html_math_renderer="katex").warnings
    assert "index.md:5: WARNING: bad formula" in warnings
    assert formula in warnings


def test_rendering_twice_gives_the_same_html():
    assert katex.render("x^2", True) == katex.render.__wrapped__("x^2", True)
    assert katex.render("x^2", True) != katex.render("x^2", False)
