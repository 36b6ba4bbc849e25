"""Settings: what each variable takes, and the one line that says what is wrong."""

import dataclasses

import pytest

from conversations import settings

pytestmark = pytest.mark.no_database

SECRET = "postgresql://svc:geheim@[db/inbox"


def complaint(**environ: str) -> str:
    with pytest.raises(SystemExit) as ended:
        settings.load(environ)
    return ended.value.code


def test_every_setting_has_a_variable_and_a_default():
    fields = {field.name.upper() for field in dataclasses.fields(settings.Settings)}
    assert fields == set(settings.VARIABLES)
    assert settings.load({}).host == ("0.0.0.0",)  # noqa: S104


def test_an_empty_variable_is_unset():
    assert settings.load(dict.fromkeys(settings.VARIABLES, "")) == settings.load({})


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("0.0.0.0, [::]", ("0.0.0.0", "::")),  # noqa: S104
        ("::1,[::1],0:0::1", ("::1",)),
        ("fe80::1%eth0", ("fe80::1%eth0",)),
        ("localhost,db-1.example.com", ("localhost", "db-1.example.com")),
    ],
)
def test_host_takes_addresses_and_names(value, hosts):
    assert settings.load({"HOST": value}).host == hosts


NO_HOSTS = [",", "127.0.0.1,", "127.0.0.1:80", "[::1]:80", "[127.0.0.1]", "1.2.3", "a b", "é"]


def test_host_refuses_the_rest(subtests):
    for value in NO_HOSTS:
        with subtests.test(value=value):
            sentence = "HOST must be addresses or host names, separated by commas, without a port"
            assert complaint(HOST=value) == sentence


def test_the_address_of_the_metrics_needs_a_port(subtests):
    for value in ("localhost", "127.0.0.1", "::1", "[::1]", ":9464", "a b:9464"):
        with subtests.test(value=value):
            sentence = "must be an address or host name with a port, such as 127.0.0.1:9464"
            assert complaint(METRICS_ADDRESS=value) == f"METRICS_ADDRESS {sentence}"
    assert complaint(METRICS_ADDRESS="localhost:0") == "METRICS_ADDRESS must be 1..65535"


def test_a_count_is_a_whole_number_in_ascii_digits(subtests):
    for value in ("8_0", "+80", "8 0", "80.0", "0x50", "٨٠", "1e3", "-1"):
        with subtests.test(value=value):
            assert complaint(PORT=value) == "PORT must be a whole number"


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("PORT", 1, 65535),
        ("WEB_CONCURRENCY", 1, 64),
        ("WEB_THREADS", 1, 256),
        ("DATABASE_POOL_SIZE", 1, 64),
    ],
)
def test_a_count_has_bounds(name, low, high):
    for number in (low, high):
        assert getattr(settings.load({name: str(number)}), name.lower()) == number
    for number in (low - 1, high + 1, 10**30):
        assert complaint(**{name: str(number)}) == f"{name} must be {low}..{high}"


def test_white_space_around_a_value_is_none_of_it():
    given = {
        "DATABASE_URL": "postgres://db/inbox\n",
        "PORT": " 80\r\n",
        "METRICS": "true ",
        "HOST": " ",
    }
    loaded = settings.load(given)
    assert (loaded.database_url, loaded.port, loaded.metrics) == ("postgres://db/inbox", 80, True)
    assert loaded.host == settings.load({}).host


@pytest.mark.parametrize("name", ["METRICS", "DATABASE_PREPARED_STATEMENTS"])
def test_a_switch_is_true_or_false(name):
    for text, value in (("true", True), ("false", False)):
        assert getattr(settings.load({name: text}), name.lower()) is value
    for text in ("True", "1", "yes", "on", "fal se"):
        assert complaint(**{name: text}) == f"{name} must be true or false"


def test_one_line_names_every_bad_variable_and_shows_no_url():
    line = complaint(LOG_FORMAT="xml", PORT="http", DATABASE_URL=SECRET)
    names = [sentence.split()[0] for sentence in line.split("; ")]
    assert names == ["DATABASE_URL", "PORT", "LOG_FORMAT"]
    assert "geheim" not in line
    assert "\n" not in line
