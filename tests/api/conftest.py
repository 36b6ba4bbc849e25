"""The fixtures of the tests of the hooks."""

import pytest

from tests.api.hooks import CARRIERS, Hook


@pytest.fixture
def hook(alice) -> Hook:
    return Hook(alice)


@pytest.fixture(params=CARRIERS)
def carrier(request) -> str:
    return request.param


@pytest.fixture(params=["telnyx", "smsgate", "httpsms"])
def gateway(request) -> str:
    """A carrier that sends JSON."""
    return request.param


@pytest.fixture
def reasons(log_lines):
    """The reasons of the log line of the last request."""

    def read() -> str:
        line = log_lines()[-1]
        return line.partition(" reason=")[2].strip('"')

    return read
