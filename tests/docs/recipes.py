"""The recipes of docs/api.md, run as they are printed, but on small pages."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.servers import ROOT

DOCUMENT = (ROOT / "docs" / "api.md").read_text()
RECIPES = {
    name: (language, code)
    for name, language, code in re.findall(
        r"<!-- recipe: ([\w-]+) -->\n```(\w+)\n(.*?)```", DOCUMENT, re.DOTALL
    )
}


NEEDED = {"sh": ("curl", "jq"), "python": (), "js": ("node",)}
INTERPRETERS = {
    "sh": ("sh", "-c"),
    "python": (sys.executable, "-c"),
    "js": ("node", "--input-type=module", "-e"),
}


def run(name: str, url: str, key: str, folder, **variables: str) -> str:
    """Run a recipe in a folder and return what it printed; it must succeed."""
    language, code = RECIPES[name]
    if not all(map(shutil.which, NEEDED[language])):
        pytest.skip(f"no {' and '.join(NEEDED[language])}: make test installs what is missing")
    small = re.sub(r"limit(=|\": )200", r"limit\g<1>3", code)
    result = subprocess.run(
        [*INTERPRETERS[language], small.replace("http://localhost:8000", url)],
        cwd=folder,
        env=os.environ | {"KEY": key, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout
