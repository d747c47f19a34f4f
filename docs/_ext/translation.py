"""The gate of the Korean edition: each page in docs/locale/ko/complete.txt is translated, all of it, as it is today.

`catalogue_problems` compares a page's catalogue with the English source of today, `page_problems` reads the built page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from .glossary import Term

HANGUL = re.compile(r"[가-힣]")
# What stays the same in every language: roles, code, formulas, link targets.
ROLE = re.compile(r"\{(?P<role>[\w:.-]+)\}`(?:[^`<]*<(?P<target>[^`>]+)>|(?P<whole>[^`]+))`")
CODE = re.compile(r"(`+)(?P<code>.+?)\1")
FORMULA = re.compile(r"\$\$?[^$]+\$\$?")
TARGET = re.compile(r"\]\((?P<target>[^)]*)\)|\]\[(?P<label>[^\]]*)\]")


def load(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def fixed_parts(text: str) -> Counter[str]:
    """The parts of a message that a translation must repeat, each as often."""
    parts = Counter(f"{found['role']} {found['target'] or found['whole']}" for found in ROLE.finditer(text))
    text = ROLE.sub(" ", text)
    parts.update(found["code"] for found in CODE.finditer(text))
    text = CODE.sub(" ", text)
    parts.update(FORMULA.findall(text))
    parts.update(found["target"] or found["label"] for found in TARGET.finditer(text))
    return parts


def prose(text: str) -> str:
    """A message without its roles, code, formulas and link targets."""
    for pattern in (ROLE, CODE, FORMULA, TARGET):
        text = pattern.sub(" ", text)
    return text


def has_open_emphasis(text: str) -> bool:
    """Whether asterisks would be printed: `**확률적(SGD)**은` does not close in CommonMark."""
    tokens = MarkdownIt().parseInline(CODE.sub("", FORMULA.sub("", text)))[0].children or []
    return any("**" in token.content for token in tokens if token.type == "text")


def term_problems(source: str, translation: str, terms: list[Term]) -> Iterator[str]:
    """Terms of the source that the translation does not use, and words that would be second names."""
    rest, korean = prose(source), prose(translation)
    for term in sorted(terms, key=lambda each: -len(each.en)):  # "cross-entropy loss" is not also "loss"
        if term.pattern.search(rest) and term.ko not in korean:
            yield f"{term.en!r} is {term.ko!r} here"
        rest = term.pattern.sub(" ", rest)
        for other in term.never:
            if other in korean:
                yield f"{other!r} is called {term.ko!r} here"


def catalogue_problems(template: Catalog, catalogue: Catalog, terms: list[Term]) -> Iterator[str]:
    """What keeps a catalogue from being the translation of today's template."""
    wanted = {str(message.id) for message in template if message.id}
    for message in catalogue:
        source, translation = str(message.id), str(message.string or "")
        if not source:
            continue
        start = f"{source[:60]!r}"
        if source not in wanted:
            yield f"{start}: no longer in the page"
        elif not translation:
            yield f"{start}: not translated"
        elif message.fuzzy:
            yield f"{start}: marked fuzzy; check it and remove the mark"
        elif source.startswith("\\"):  # a displayed formula, which Sphinx cannot set anew
            if translation != source:
                yield f"{start}: a formula is the same in every language"
        else:
            if fixed_parts(source) != fixed_parts(translation):
                missing, extra = (
                    fixed_parts(source) - fixed_parts(translation),
                    fixed_parts(translation) - fixed_parts(source),
                )
                yield f"{start}: roles, code, formulas or links differ: missing {list(missing)}, extra {list(extra)}"
            if has_open_emphasis(translation):
                yield f"{start}: its bold does not close before a particle; put the parenthesis outside it"
            yield from (f"{start}: {problem}" for problem in term_problems(source, translation, terms))
    for missing_source in sorted(wanted - {str(message.id) for message in catalogue}):
        yield f"{missing_source[:60]!r}: missing; run 'python docs/build.py translate'"
    for obsolete_source in catalogue.obsolete:
        yield f"{str(obsolete_source)[:60]!r}: obsolete; run 'python docs/build.py translate'"


def page_problems(html: str) -> Iterator[str]:
    """What is still English, or unreadable, in a built Korean page."""
    article = BeautifulSoup(html, "html.parser").select_one("article")
    if article is None:
        yield "has no article"
        return
    for image in article.select("img"):
        alt = image.get("alt")
        if not alt or re.search(r"\.(svg|png)$", str(alt)):
            yield f"an image has no alternative text: {image.get('src')}"
    for part in article.select("pre, code, .math, .headerlink, .cell_output, .citation, script, style, [lang=en]"):
        part.decompose()
    for block in article.select("p, li, td, th, h1, h2, h3, h4, h5, h6, figcaption, summary, label, dt"):
        text = block.get_text(" ", strip=True)
        if "**" in text:
            yield f"asterisks are printed: {text[:60]!r}"
        # A name alone (Adam, PyTorch) is the same in both languages; a word in lower case is one left in English.
        if not HANGUL.search(text) and re.search(r"\b[a-z]{2,}\b", text):
            yield f"still English: {text[:60]!r}"
