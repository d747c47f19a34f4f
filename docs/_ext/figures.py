"""One SVG for the light and the dark page.

Figures are drawn in one ink on no background (`lossopt/lossopt.mplstyle`).
After the build each file is given a style that turns the ink light where the page that shows it is dark:
an image follows the colour scheme of its page, so the theme switch reaches it too.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

INK, LIGHT = "#1a1a1b", "#e6e6e6"
STYLE = (
    "<style>@media (prefers-color-scheme: dark) {"
    f' [style*="stroke: {INK}"] {{ stroke: {LIGHT} !important }}'
    f' [style*="fill: {INK}"] {{ fill: {LIGHT} !important }} }}</style>'
)


def for_both_themes(svg: str) -> str:
    """The SVG with the style as its first child; unchanged if it has it, or has no ink of ours."""
    if STYLE in svg or INK not in svg:
        return svg
    end_of_tag = svg.index(">", svg.index("<svg")) + 1
    return svg[:end_of_tag] + STYLE + svg[end_of_tag:]


def after_build(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir, "_images").glob("*.svg"):
            before = path.read_text(encoding="utf-8")
            after = for_both_themes(before)
            if after != before:
                path.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
