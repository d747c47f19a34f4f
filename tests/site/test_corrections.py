"""Every entry of the page of corrections says what is printed, where and when, what is right, and runs both.

The entries are found, not listed: each is a section whose label begins with `correction-`.
"""

import ast
import re
from dataclasses import dataclass

import pytest
from _ext.notebooks import DOCS
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

PAGE = DOCS / "corrections.md"
PARTS = ["Printed", "Where", "Right", "Run"]
HEADING = r"^(?:\((?P<label>[\w-]+)\)=\n)?## .+\n"
SECTION = re.compile(HEADING + r"(?P<body>(?:(?!(?:\([\w-]+\)=\n)?## ).*\n)*)", re.MULTILINE)
PART = re.compile(r"^\*\*(\w+)\.\*\*(.*?)(?=^\*\*\w+\.\*\*|\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(https://[^)\s]+\)")
DATE = re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b")


@dataclass(frozen=True)
class Entry:
    """A section of the page: its label, its Markdown in front of the first cell, and its cells."""

    label: str
    prose: str
    cells: list
    claims: list[ast.Call]

    @property
    def parts(self) -> dict[str, str]:
        return dict(PART.findall(self.prose))


def sections(text: str) -> list[tuple[str, str]]:
    """The sections of a page: their label, or nothing, and what stands in them."""
    return [(section["label"] or "", section["body"]) for section in SECTION.finditer(text)]


def entry(label: str, body: str, head: str) -> Entry:
    cells = read_myst_markdown_notebook(head + body, config=MdParserConfig(), add_source_map=True).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    calls = [node for cell in code for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    claims = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "claim"]
    return Entry(label, body.partition("```{code-cell}")[0], code, claims)


TEXT = PAGE.read_text(encoding="utf-8")
HEAD = TEXT[: TEXT.index("\n---\n") + len("\n---\n")]
ENTRIES = [entry(label, body, HEAD) for label, body in sections(TEXT) if label.startswith("correction-")]


def verdict(claim: ast.Call) -> str:
    return next((key.value.value for key in claim.keywords if key.arg == "verdict"), "holds")


def test_there_are_at_least_twelve_entries_each_with_its_own_label():
    labels = [entry.label for entry in ENTRIES]
    assert len(labels) >= 12
    assert len(set(labels)) == len(labels)


def test_every_label_of_an_entry_is_that_of_a_section():
    assert re.findall(r"^\((correction-[\w-]+)\)=$", TEXT, re.MULTILINE) == [entry.label for entry in ENTRIES]


def test_a_section_that_has_the_parts_of_an_entry_is_labelled_as_one():
    others = [body for label, body in sections(TEXT) if not label.startswith("correction-")]
    assert [body for body in others if re.search(r"^\*\*Printed\.\*\*", body, re.MULTILINE)] == []


def test_the_opening_table_names_every_entry_once_and_in_order():
    opening = TEXT[: TEXT.index("\n(correction-")]
    assert re.findall(r"^\| \{ref\}`[^`<]+<(correction-[\w-]+)>`", opening, re.MULTILINE) == [
        entry.label for entry in ENTRIES
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_an_entry_has_its_four_parts_in_their_order(entry):
    assert [name for name, _ in PART.findall(entry.prose)] == PARTS
    assert all(text.strip() for name, text in entry.parts.items() if name != "Run")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_an_entry_links_to_the_work_and_dates_the_version(entry):
    assert LINK.search(entry.parts["Where"])
    assert DATE.search(entry.parts["Where"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_an_entry_refers_to_this_guide_or_says_what_is_right_in_code(entry):
    assert re.search(r"\{ref\}`[^`]+`|`[^`]+`", entry.parts["Right"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_an_entry_shows_its_run(entry):
    shown = [cell for cell in entry.cells if not {"remove-input", "hide-input"} & set(cell.metadata.get("tags", []))]
    assert any("print(" in cell.source for cell in shown)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_what_an_entry_says_is_printed_is_claimed_and_refuted(entry):
    assert "refuted" in [verdict(claim) for claim in entry.claims]
    assert all(claim.args[0].value.startswith("corrections-") for claim in entry.claims)


def test_an_entry_without_its_parts_link_date_or_claim_is_seen():
    whole = "(correction-x)=\n## X\n\n**Printed.** $1$\n\n**Where.** [file](https://x.org), 2026-01-01.\n\n**Run.**\n\n"
    whole += '```{code-cell} python\nclaim("corrections-x", "One.", 1, expected=2, verdict="refuted")\n```\n'
    ((label, body),) = sections(whole)
    found = entry(label, body, HEAD)
    assert (found.label, list(found.parts), len(found.claims)) == ("correction-x", ["Printed", "Where", "Run"], 1)
    assert LINK.search(found.parts["Where"])
    assert DATE.search(found.parts["Where"])
    assert not LINK.search(found.parts["Printed"])
