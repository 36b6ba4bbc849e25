"""Takes the picture of the inbox page in the README: `python -m tools.inbox_picture LINK`.

LINK is the one that `make run` prints, http://localhost:8000/inbox#key=…, of an unchanged demo.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "inbox.png"
CONVERSATION_ID = "JxHXrXXWLcV-S1QSpzzy4Q"  # The demo's conversation with +15554443333.
LOADING_MS = 10_000  # Chromium's virtual time, which passes quickly.


def take(link: str, picture: Path) -> None:
    """Open the link and a conversation in headless Chromium and store what that shows, as PNG."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        sys.exit("There is no Chromium: apt-get install chromium, or make tools.")
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            "--window-size=1160,720",
            "--force-device-scale-factor=2",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={LOADING_MS}",
            f"--screenshot={picture}",
        ]
        address = f"{link}&conversation={CONVERSATION_ID}"
        subprocess.run([browser, *options, address], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) != 2 or "#key=" not in sys.argv[1]:
        sys.exit("Usage: python -m tools.inbox_picture http://localhost:8000/inbox#key=…")
    take(sys.argv[1], PICTURE)
