"""The crontab line of docs/operations.md, run as cron runs it."""

import re
import subprocess
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from tests.conftest import SERVER_URL, new_database, new_organization, using_database
from tests.servers import ROOT

LINE = re.compile(r"^(?:\S+ ){5}(set -a; .*flask redact-messages)$", re.MULTILINE)


def test_the_line_takes_a_password_with_per_cent_signs_from_the_file(tmp_path):
    (command,) = LINE.findall((ROOT / "docs" / "operations.md").read_text())
    # cron ends a command at a per cent sign, and everybody sees what stands in the line.
    assert "%" not in command
    assert "DATABASE_URL" not in command
    database = new_database(SERVER_URL)
    with using_database(database):
        organization = new_organization(None, retention_days=1)
    given = conninfo_to_dict(database)
    password = quote(str(given.get("password", "p@ss%")), safe="")
    url = (
        f"postgresql://{given['user']}:{password}@/{given['dbname']}?host={given['host']}"
        f"&port={given.get('port', 5432)}"
    )
    settings = tmp_path / "conversations.env"
    settings.write_text(f"# The settings of the service.\nDATABASE_URL='{url}'\n")
    for old, new in (("/etc/conversations.env", settings), ("/srv/conversations", ROOT)):
        assert old in command
        command = command.replace(old, f"'{new}'")
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd="/",
        env={"HOME": "/", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{organization.id}: redacted 0, oldest readable none\n"
