"""Programs as a platform starts them: with its variables, and the installed ones in the path."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.servers import ROOT


def environment(**variables: object) -> dict:
    """The variables of a platform's process, with the installed programs in its path."""
    env = os.environ | {name: str(value) for name, value in variables.items()}
    return env | {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}


def start(command: list[str], env: dict, folder: Path = ROOT) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def variables(text: str) -> dict[str, str]:
    """Return the variables of a file such as .env, those in comments too."""
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
