"""Every page of the documentation, followed as a reader would: files saved, commands given, Python run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"[Ss]ave this as `([\w./-]+)`[^`]*\Z")


def blocks(page):
    """(kind, text, the name under which the page says to save it) of every block of a page, in order."""
    text = page.read_text()
    for match in BLOCK.finditer(text):
        kind, content = match.groups()
        titled = re.match(r"# ([\w-]+\.yaml)\n", content)
        saved = SAVED.search(text[: match.start()])
        yield kind, content, saved[1] if saved else titled[1] if titled else None


def follow(page, folder, kinds):
    """Goes through a page's blocks in an empty folder: saves files, plans studies, runs what `kinds` names."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "100", "MPLBACKEND": "Agg"}
    for kind, content, name in blocks(page):
        if name:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            planned = name.endswith(".yaml") and "recording:" not in content  # whose file a block before it may write
            command = ["amc", "plan", name] if planned else []
        elif kind in kinds:
            command = ["bash", "-e", "-c", content] if kind in ("bash", "sh") else [sys.executable, "-c", content]
        else:
            continue
        if command:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, f"{page.name}: {content}\n{done.stdout}\n{done.stderr}"


def test_every_block_says_what_it_is():
    for page in PAGES:
        opened = re.findall(r"^```(\S*)", page.read_text(), re.MULTILINE)[::2]
        assert set(opened) <= {"bash", "sh", "python", "text", "yaml", "{toctree}", "{eval-rst}"}, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_studies_of_a_page_can_be_planned(page, tmp_path):
    if any(name for _, _, name in blocks(page)):
        follow(page, tmp_path, kinds=())


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page, tmp_path):
    follow(page, tmp_path, kinds=("bash", "sh", "python"))


@pytest.mark.full
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "roll-off" in (tmp_path / "study-file.html").read_text().lower()
    for page in (ROOT / "docs").glob("*.md"):
        text = (tmp_path / f"{page.stem}.html").read_text()
        links = re.findall(r'(?:href|src)="(?!https?:|mailto:|#|data:)([^"#?]+)', text)
        missing = [link for link in links if not (tmp_path / link).exists()]
        assert not missing, (page.name, missing)
