"""A verdict that is changed by hand on a page of the guide fails that page, and with it the build.

The pages are found, not listed: for each chapter, and for each verdict, the claim that takes the least work to reach.
"""

import ast
import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from _ext import execution
from _ext.notebooks import DOCS
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode

CHAPTERS = {"losses", "backprop", "descent", "optimizers", "compare"}
HEAVY = re.compile(r"\b(?:backward|compare|digits|minimize|step|torch|tuned)\w*\(|\bimport torch\b")
OTHER = {"holds": "refuted", "refuted": "holds"}


@dataclass(frozen=True)
class Found:
    """A claim on a page: its cell, where its call ends, and how much work comes before it."""

    docname: str
    id: str
    verdict: str
    cell: int
    source: str
    end: int
    work: int

    @property
    def chapter(self) -> str:
        return self.docname.partition("/")[0]

    def text(self) -> str:
        return (DOCS / f"{self.docname}.md").read_text(encoding="utf-8")

    def changed_by_hand(self) -> str:
        """The page with the other verdict at this claim, and not a letter else."""
        before, after = self.source[: self.end], self.source[self.end :]
        if self.verdict == "refuted":
            start, _, rest = before.rpartition('"refuted"')
            before = f'{start}"holds"{rest}'
        else:
            before = f'{before.rstrip().rstrip(",")}, verdict="refuted"'
        assert self.text().count(self.source) == 1, f"{self.id}: its cell is not found in the page"
        return self.text().replace(self.source, before + after)


def notebook(text: str) -> NotebookNode:
    return read_myst_markdown_notebook(text, config=MdParserConfig(), add_source_map=True)


def claims_of(path: Path) -> list[Found]:
    """Every claim of a page that its source names."""
    found, work = [], 0
    docname = path.relative_to(DOCS).with_suffix("").as_posix()
    for number, cell in enumerate(notebook(path.read_text(encoding="utf-8")).cells):
        if cell.cell_type != "code":
            continue
        work += len(cell.source) + 2000 * len(HEAVY.findall(cell.source))
        for statement in ast.parse(cell.source).body:
            match statement:
                case ast.Expr(ast.Call(ast.Name("claim"), [ast.Constant(name), *_], keywords)):
                    verdict = next((key.value.value for key in keywords if key.arg == "verdict"), "holds")
                    # Offsets count bytes, lines end in one.
                    lines = cell.source.encode().split(b"\n")
                    last, column = statement.value.end_lineno - 1, statement.value.end_col_offset - 1
                    end = len(b"\n".join([*lines[:last], lines[last][:column]]).decode())
                    found.append(Found(docname, name, verdict, number, cell.source, end, work))
    return found


def lightest() -> list[Found]:
    """For each chapter, and for each verdict, the claim that takes the least work to reach."""
    pages = [path for chapter in sorted(CHAPTERS) for path in sorted((DOCS / chapter).glob("*.md"))]
    pages = [path for path in pages if is_myst_markdown_notebook(path.read_text(encoding="utf-8"))]
    first: dict[str, Found] = {}
    for claim in sorted((claim for path in pages for claim in claims_of(path)), key=lambda claim: claim.work):
        first.setdefault(claim.chapter, claim)
        first.setdefault(claim.verdict, claim)
    return list({claim.id: claim for claim in first.values()}.values())


LIGHTEST = lightest()


def errors(docname: str, pages: list[NotebookNode], folder: Path) -> list[str]:
    """Execute versions of a page as the build does; what went wrong in each, or nothing."""
    runs = [execution.Run(docname, page) for page in pages]
    asyncio.run(execution.execute_all(runs, len(runs), 60, execution.kernel_environment(folder)))
    return [run.error for run in runs]


def test_there_is_a_claim_to_change_in_every_chapter_and_for_every_verdict():
    assert {claim.chapter for claim in LIGHTEST} == CHAPTERS
    assert {claim.verdict for claim in LIGHTEST} == set(OTHER)


@pytest.mark.parametrize("claim", LIGHTEST, ids=lambda claim: f"{claim.id}-{claim.verdict}")
def test_a_verdict_changed_by_hand_fails_the_page_and_names_the_claim(claim, tmp_path):
    as_it_is = notebook(claim.text())
    as_it_is.cells = as_it_is.cells[: claim.cell + 1]  # what comes after the claim is not in question
    changed = notebook(claim.changed_by_hand())
    none, error = errors(claim.docname, [as_it_is, changed], tmp_path)
    assert none == ""
    assert f"ClaimError: claim '{claim.id}'" in error
    assert f"the page says '{OTHER[claim.verdict]}', the measurement says '{claim.verdict}'" in error


def test_a_verdict_changed_by_hand_stops_the_build(project):
    claim = min(LIGHTEST, key=lambda claim: claim.work)
    with pytest.raises(SystemExit, match="1 of 1 executed pages failed: index"):
        project({"index.md": claim.changed_by_hand()}, extensions=("_ext.execution",))
