"""The pages say what the code says, and what they point at is there."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from flows.docs import PAGE, reference
from flows.shipped import find_recipe
from tasks.shared.recipe_file import load_recipe
from tests.benchmarks import students

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What links to a page's headings look like on GitHub."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def committed() -> set[Path] | None:
    """All files that git knows; None where this is no clone."""
    if not (ROOT / ".git").exists():
        return None
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {(ROOT / name).resolve() for name in names.split("\0") if name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    """Found by a reviewer: two pictures that were never committed."""
    tracked = committed()
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert tracked is None or target.is_dir() or target in tracked, f"{link} is not committed"
        assert not anchor or anchor in anchors(target), link


def test_the_reference_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_results_page_is_what_was_measured() -> None:
    written = students.PAGE.read_text(encoding="utf-8")
    assert written == students.page(), "run `.venv/bin/python -m tests.benchmarks.students --write`"


@pytest.mark.parametrize("name", students.ROWS)
def test_the_recipe_of_a_row_of_results_can_be_carried_out(name: str) -> None:
    row = students.ROWS[name]
    recipe = load_recipe(find_recipe(row.recipe), row.settings)
    assert recipe.seeds, "one at least"
