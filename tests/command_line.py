"""Commands as an operator runs them: in this process, over the tests' database."""

import os
import subprocess
import sys
from pathlib import Path

import app as service

ROOT = Path(__file__).parent.parent
FLASK = Path(sys.executable).parent / "flask"


def flask(*args: object, input: bytes | None = None, ends_with: int = 0):
    """Run a command and return its result: `stdout`, `stderr`, `exit_code`."""
    result = service.app.test_cli_runner().invoke(args=[str(arg) for arg in args], input=input)
    assert result.exit_code == ends_with, result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def flask_process(*args: object, cwd: Path = ROOT, input: bytes | None = None, **env: str | None):
    """Run a command as a process of its own; a variable that is None is unset."""
    variables = {k: v for k, v in {**os.environ, **env}.items() if v is not None}
    return subprocess.run(
        [FLASK, *map(str, args)],
        cwd=cwd,
        env=variables,
        input=input,
        capture_output=True,
        timeout=60,
        check=False,
    )
