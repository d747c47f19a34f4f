"""One SVG serves the light and the dark page."""

from _ext.figures import INK, LIGHT, STYLE, for_both_themes
from _ext.notebooks import DOCS

from lossopt import plot

SVG = f"""<?xml version="1.0"?>
<svg width="9" xmlns="http://www.w3.org/2000/svg">
 <path style="stroke: {INK}"/>
</svg>
"""


def test_a_figure_turns_its_ink_light_on_a_dark_page():
    out = for_both_themes(SVG)
    assert out.index("<svg") < out.index(STYLE) < out.index("<path")
    assert LIGHT in STYLE
    assert "prefers-color-scheme: dark" in STYLE


def test_a_second_build_leaves_the_figure_as_it_is():
    once = for_both_themes(SVG)
    assert for_both_themes(once) == once


def test_a_figure_without_our_ink_is_left_alone():
    other = SVG.replace(INK, "#123456")
    assert for_both_themes(other) == other


def test_the_ink_is_the_ink_of_the_packages_figures():
    assert INK == plot.INK


def test_the_build_styles_the_figures_it_wrote(project, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "figure.svg").write_text(SVG)
    built = project({"index.md": "# Page\n\n![A line](figure.svg)"}, extensions=["_ext.figures"])
    assert STYLE in built.text("_images/figure.svg")
    assert STYLE not in (source / "figure.svg").read_text()


def test_the_pages_style_sheet_lets_figures_follow_the_theme():
    css = (DOCS / "_static" / "site.css").read_text()
    assert 'html[data-theme="dark"] { color-scheme: dark; }' in css
