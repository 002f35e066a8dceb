"""Links inside the documentation lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.docs.pages import BLOCK, PAGES, ROOT, name_of

LINK = re.compile(
    r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:img|source|a)[^>]+(?:src|srcset|href)=\"([^\"]+)\""
)
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z]+:")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: set[str] = set()
    for heading in HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(unique)
    return frozenset(found)


def test_links_lead_to_pages_and_headings() -> None:
    broken: list[str] = []
    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for markdown, html in LINK.findall(text):
            link = markdown or html
            if ELSEWHERE.match(link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            is_broken = not target.exists() or not target.is_relative_to(ROOT)
            if not is_broken and anchor:
                is_broken = anchor not in anchors(target)
            if is_broken:
                broken.append(f"{name_of(page)}: {link}")
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    todo = list(reached)
    while todo:
        page = todo.pop()
        for markdown, _ in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
            target = (page.parent / markdown.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file() and target not in reached:
                reached.add(target)
                todo.append(target)
    lost = sorted(name_of(page) for page in PAGES if page not in reached)
    assert not lost
