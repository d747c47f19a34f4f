"""Sphinx's settings for both editions; the environment variable LOSSOPT_LANGUAGE (en or ko) chooses one."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from _ext import notebooks  # noqa: E402  (found through the line above)

language = os.environ.get("LOSSOPT_LANGUAGE", "en")
korean = language == "ko"

project = "lossopt"
author = "the lossopt authors"
project_copyright = author
root_doc = "index"
exclude_patterns = ["_build", "_ext", "_static", "**/jupyter_execute"]
nitpicky = True
numfig = True

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "_ext.accessibility",
    "_ext.api_coverage",
    "_ext.description",
    "_ext.downloads",
    "_ext.execution",
    "_ext.family_tree",
    "_ext.figures",
    "_ext.glossary",
    "_ext.icons",
    "_ext.inventories",
    "_ext.katex",
    "_ext.korean_search",
    "_ext.language_switch",
    "_ext.ledger",
    "_ext.playground",
    "_ext.quiz",
    "_ext.sources",
]

# Pages
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_update_mathjax = False
myst_disable_syntax = ["html_block", "html_inline"]

# Execution: _ext/execution.py fills the cache before myst-nb looks into it.
nb_execution_mode = "cache"
nb_execution_cache_path = str(notebooks.cache_folder())
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "warn"
nb_merge_streams = True
# Alternative texts of figures are translated only if the gettext builder takes the figure of an output, not its text;
# a table is an output too, shared by the editions, and no text of the page.
nb_mime_priority_overrides = [("gettext", "image/svg+xml", 1), ("gettext", "image/png", 2), ("gettext", "text/html", 3)]
# A claim shows as HTML; its machine-readable form beside it is read by _ext/ledger.py.
suppress_warnings = ["mystnb.unknown_mime_type"]
nb_code_prompt_show = "코드 보기" if korean else "Show code"
nb_code_prompt_hide = "코드 숨기기" if korean else "Hide code"
execution_at_once = int(os.environ.get("LOSSOPT_KERNELS", os.cpu_count() or 1))

# Translation; the theme's own words are kept apart, since updating `locale` would drop what no template of ours says.
locale_dirs = ["locale", "theme_locale"]
gettext_compact = False
gettext_location = False

# Reference
toc_object_entries = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
# Types are said in words ("float in [0, 1)"), so they are shown as text and not looked up.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Extends", "Source", ("Attributes", "params_style")]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

# HTML
html_theme = "pydata_sphinx_theme"
html_title = "lossopt: 손실 함수, 역전파, SGD 계열" if korean else "lossopt: losses, backprop and the SGD family"
html_short_title = "lossopt"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
templates_path = ["_templates"]
html_math_renderer = "katex"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"**": ["guide.html"]}
html_theme_options = {
    "logo": {"text": "lossopt"},
    "navbar_start": ["navbar-logo"],
    "navbar_center": [],
    "navbar_persistent": ["search-open"],
    "navbar_end": ["language-switch", "theme-switcher"],
    "article_header_start": ["breadcrumbs", "untranslated"],
    "secondary_sidebar_items": ["page-toc", "downloads"],
    "article_footer_items": ["downloads-below"],
    "footer_start": ["footer"],
    "footer_end": [],
    "search_bar_text": "검색어를 입력하세요" if korean else "Search the guide",
    "show_nav_level": 2,
    "back_to_top_button": False,
}


def setup(app):
    """Read every page again when an extension of ours has changed: Sphinx would keep what the old one made."""
    app.add_config_value("our_extensions", notebooks.fingerprint(DOCS / "_ext"), "env")
