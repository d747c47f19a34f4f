"""Search in Korean by pairs of syllables.

Korean joins words and particles,
so a word typed by a reader (손실) is usually a part of the word on the page (손실함수를).
Both the index and the query are cut into overlapping pairs: 손실함수 becomes 손실, 실함, 함수.
Words in Latin letters are stemmed as in the English search.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

WORD = re.compile(r"[가-힣]+|[^\W가-힣]+")


class SearchKorean(SearchEnglish):
    """`language_name` stays English: it names the stemmer that the browser loads."""

    lang = "ko"
    # A particle after a word of two syllables or more is dropped from what was typed: 모멘텀을 finds 모멘텀의.
    # A lone syllable beside other words is most likely a particle too: Adam은 searches for Adam.
    js_splitter_code = r"""
function splitQuery(query) {
  const words = query.match(/[가-힣]+|(?:(?![가-힣])[\p{Letter}\p{Number}_])+/gu) || [];
  const terms = words.flatMap((word) => {
    if (!/^[가-힣]{2}/.test(word)) return [word];
    const stem = word.length > 2 ? word.replace(/(?:에서|으로|[을를이가은는의에로와과도])$/, "") : word;
    if (stem.length < 2) return [word];
    return Array.from({ length: stem.length - 1 }, (_, i) => stem.slice(i, i + 2));
  });
  const long = terms.filter((term) => !/^[가-힣]$/.test(term));
  return long.length ? long : terms;
}
"""

    def split(self, input: str) -> list[str]:
        return [term for word in WORD.findall(input) for term in pairs(word)]


def pairs(word: str) -> list[str]:
    """The overlapping pairs of a Korean word of two syllables or more; any other word as it is."""
    if len(word) < 2 or not "가" <= word[0] <= "힣":
        return [word]
    return [word[i : i + 2] for i in range(len(word) - 1)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchKorean)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
