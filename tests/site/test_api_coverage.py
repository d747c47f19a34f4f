"""Public names are found, entered, and missed when they have no entry."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _ext import api_coverage

RULES = """import math


def adam(w):
    '''Step.'''


def adamw(w):
    '''Step, too.'''


def _helper():
    pass
"""
REGISTRY = """__all__ = ["RULES", "describe"]
RULES = {"adam": 1}


def describe(rule):
    '''Describe.'''
"""
IMPORTS = "from .adam import *\nfrom .registry import RULES as RULES\nfrom .registry import describe as describe\n"
FILES = {
    "__init__.py": "from .rules import RULES as RULES\n",
    "rules/__init__.py": IMPORTS,
    "rules/adam.py": RULES,
    "rules/registry.py": REGISTRY,
    "_private.py": "def hidden():\n    pass\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, text in FILES.items():
        path = tmp_path / "package" / "tinyopt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "package")
    yield "tinyopt"
    for name in [name for name in sys.modules if name.split(".")[0] == "tinyopt"]:
        del sys.modules[name]


def test_public_names_are_found_and_private_ones_are_not(package):
    assert api_coverage.undocumented(package, set()) == [
        "tinyopt.RULES",
        "tinyopt.rules.adam",
        "tinyopt.rules.adamw",
        "tinyopt.rules.describe",
    ]


def test_an_entry_under_any_of_its_names_is_enough(package):
    documented = {
        "tinyopt.rules.registry.RULES",
        "tinyopt.rules.adam",
        "tinyopt.rules.adam.adamw",
        "tinyopt.rules.registry.describe",
    }
    assert api_coverage.undocumented(package, documented) == []


def test_a_page_that_enters_every_module_passes(project, package):
    page = "# API\n\n```{api} tinyopt.rules.registry\n```\n\n```{api} tinyopt.rules\n```\n"
    built = project(
        {"index.md": page},
        extensions=("sphinx.ext.autodoc", "_ext.api_coverage"),
        api_package=package,
        api_page="index",
    )
    assert built.warnings == ""
    html = built.text("index.html")
    assert 'id="tinyopt.rules.adam"' in html
    assert 'id="tinyopt.rules.registry.describe"' in html
    assert 'id="tinyopt.rules.describe"' not in html, "one entry for an object with two names"
    assert "_helper" not in html


def test_a_missing_entry_is_a_warning(project, package):
    page = "# API\n\n```{api} tinyopt.rules.registry\n```\n"
    built = project(
        {"index.md": page},
        extensions=("sphinx.ext.autodoc", "_ext.api_coverage"),
        api_package=package,
        api_page="index",
    )
    assert "tinyopt.rules.adam is public and has no entry in the API reference" in built.warnings
    assert "RULES is public" not in built.warnings


def test_a_module_that_is_not_there_is_an_error_of_the_page(project, package):
    page = "# API\n\n```{api} tinyopt.nothing\n```\n"
    built = project(
        {"index.md": page},
        extensions=("sphinx.ext.autodoc", "_ext.api_coverage"),
        api_package=package,
        api_page="index",
    )
    assert "api: there is no module tinyopt.nothing" in built.warnings
