"""Every claim of every page is in one table, and no two have one name."""

from bs4 import BeautifulSoup

HEAD = "---\nfile_format: mystnb\nkernelspec: {name: python3}\n---\n\n# Page\n\n"
EXTENSIONS = ("_ext.execution", "_ext.ledger")


def claiming(*calls: str) -> str:
    cells = "\n".join(f"```{{code-cell}}\n{call}\n```\n" for call in calls)
    return f"{HEAD}```{{code-cell}}\nfrom lossopt.claims import claim\n```\n\n{cells}"


HALF = 'claim("half", "One half is 0.5.", 1 / 2, expected=0.5)'
THIRD = 'claim("third", "One third is 0.5.", 1 / 3, expected=0.5, tolerance=0.1, verdict="refuted")'
LEDGER = "# Claims\n\n```{claims}\n```\n\n```{toctree}\nguide/first\nsecond\n```\n"


def test_the_claims_of_all_pages_are_listed_with_what_was_measured(project):
    files = {"index.md": LEDGER, "guide/first.md": claiming(HALF, THIRD), "second.md": "# No cells"}
    table = BeautifulSoup(project(files, extensions=EXTENSIONS).text("index.html"), "html.parser").select_one(
        "table.claims"
    )
    rows = [[cell.text.strip() for cell in row.select("td")] for row in table.select("tbody tr")]
    assert rows == [
        ["One half is 0.5.", "0.5", "0.5", "holds", "Page half"],
        ["One third is 0.5.", "0.333333", "0.5 ± 0.1", "refuted", "Page third"],
    ]
    assert [link["href"] for link in table.select("a")] == [
        "guide/first.html#claim-half",
        "guide/first.html#claim-third",
    ]


def test_the_links_lead_to_the_claims(project):
    files = {"index.md": LEDGER, "guide/first.md": claiming(HALF), "second.md": "# No cells"}
    assert 'id="claim-half"' in project(files, extensions=EXTENSIONS).text("guide/first.html")


def test_a_name_used_twice_is_a_warning_that_names_both_pages(project):
    files = {"index.md": LEDGER, "guide/first.md": claiming(HALF), "second.md": claiming(HALF)}
    assert (
        "second.md: WARNING: claim 'half' is made twice: here and on guide/first"
        in project(files, extensions=EXTENSIONS).warnings
    )


def test_a_rebuild_after_a_page_changed_shows_its_new_claims(project):
    files = {"index.md": LEDGER, "guide/first.md": claiming(HALF), "second.md": "# No cells"}
    project(files, extensions=EXTENSIONS)
    assert "One third is 0.5." in project({"second.md": claiming(THIRD)}, extensions=EXTENSIONS).text("index.html")


def test_statements_can_be_translated_and_numbers_need_not_be(project):
    files = {"index.md": LEDGER, "guide/first.md": claiming(THIRD), "second.md": "# No cells"}
    template = project(files, extensions=EXTENSIONS, builder="gettext").text("index.pot")
    assert 'msgid "One third is 0.5."' in template
    assert "0.333333" not in template


def test_a_claim_under_a_cell_is_shown_in_the_language_of_the_edition(project, tmp_path):
    catalogue = tmp_path / "source/locale/ko/LC_MESSAGES/claims.po"
    catalogue.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    (tmp_path / "source/locale/ko/complete.txt").write_text("claims\n", encoding="utf-8")
    catalogue.write_text(head + 'msgid "One half is 0.5."\nmsgstr "1의 절반은 0.5 <이다>."\n', encoding="utf-8")
    files = {
        "index.md": claiming(HALF, THIRD) + "\n```{toctree}\nclaims\n```\n",
        "claims.md": LEDGER[: LEDGER.index("```{toc")],
    }
    edition = project(files, extensions=EXTENSIONS, language="ko", locale_dirs=["locale"])
    korean = edition.text("index.html")
    ledger = BeautifulSoup(edition.text("claims.html"), "html.parser")
    assert {link["lang"] for link in ledger.select("table.claims a")} == {"en"}, "the title of a page in English"
    assert '<span class="claim-statement">1의 절반은 0.5 &lt;이다&gt;.</span>' in korean
    assert '<span class="claim-statement" lang="en">One third is 0.5.</span>' in korean
    english = project(files, extensions=EXTENSIONS, locale_dirs=["locale"]).text("index.html")
    assert '<span class="claim-statement" lang="en">One half is 0.5.</span>' in english
