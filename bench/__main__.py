"""`python -m bench`: one table of what the service does, and of what it is compared with."""

import argparse
import functools

from bench import anatomy, database, flat, growth, load, reading, servers, since, skewed, writing
from bench.servers import Usage

print = functools.partial(print, flush=True)

FLAT_SIZES = 10_000, 1_000_000
FLAT = 1.15


def main() -> None:
    """Run the parts that were asked for; without one, `read`, `write` and `profile`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts = {"read": read, "write": write, "profile": profile, "flat": compare_sizes}
    parts |= {"skewed": find_few, "since": count_matching}
    parser.add_argument("parts", nargs="*", choices=[[], *parts], metavar="|".join(parts))
    parser.add_argument("--conversations", type=int, default=100_000, help="10 messages each")
    parser.add_argument("--messages", type=int, default=100_000, help="how many to import")
    parser.add_argument("--rounds", type=int, default=3, help="runs a row, of which the median")
    parser.add_argument("--seconds", type=int, default=1, help="length of a run")
    options = parser.parse_args()
    with database.running_server() as postgres:
        for part in options.parts or ["read", "write", "profile"]:
            parts[part](postgres, options)


def read(postgres, options) -> None:
    """Print the table of the lists, the limits and the peers, and the ratios between them."""
    inbox = database.inbox(postgres.url, options.conversations, print)
    with servers.product(inbox.url) as server, reading.peers(server, inbox) as (peers, bare):
        rows = reading.rows(server, inbox)
        # Neighbours in time are what the ratios are between.
        rows = [rows[-1], rows[0], *peers, *bare, *rows[1:-1]]
        runs = reading.measure(rows, postgres.pid, options.rounds, options.seconds)
        resident = {row.server: Usage.of(row.server.pid).resident for row in rows}
    statements = reading.statement_rates(inbox, options.seconds)
    print(
        f"\n{inbox.conversations:,} conversations, {inbox.conversations * 10:,} messages;"
        f" {load.CONNECTIONS} connections, {servers.WORKERS} workers; medians of {options.rounds}"
        f" runs of {options.seconds} s; CPU in microseconds a request\n"
    )
    heads = ("requests/s", "p50 ms", "p99 ms", "CPU", "PostgreSQL", "RSS MB")
    print(f"{'':38}", *(f"{head:>10}" for head in heads))
    for row, run in zip(rows, runs, strict=True):
        rate, p50, p99, service, database_cpu = reading.typical(run)
        memory = resident[row.server] / 2**20
        print(
            f"{row.name:38} {rate:10,.0f} {p50:10.2f} {p99:10.2f} {service * 1e6:10,.0f}"
            f" {database_cpu * 1e6:10,.0f} {memory:10.0f}"
        )
    for name, rate in statements.items():
        print(f"{f'statements alone: {name}':38} {rate:10,.0f}")
    found = {row.name: run for row, run in zip(rows, runs, strict=True)}
    pairs = [(reading.PAGE_ONE, row.name) for row in (rows[0], *peers, *bare)]
    if reading.POLL in found:
        pairs.append((reading.POLL, reading.PAGE_ONE))
    print(f"\n{'how many times':58} {'as fast':>10} {'as cheap':>10}")
    for ours, theirs in pairs:
        fast, cheap = reading.compare(found[ours], found[theirs])
        print(f"{f'{ours} / {theirs}':58} {fast:10.2f} {cheap:10.2f}")


def write(postgres, options) -> None:
    """Print the rates of the write path."""
    url = postgres.url
    rates, copied = writing.import_rates(url, options.messages)
    ndjson = rates["ndjson"]
    print(f"\nimport of {options.messages:,} messages:")
    for format, rate in rates.items():
        print(f"  {format:11} {rate:8,.0f} rows/s ({rate / ndjson:.2f} of ndjson)")
    print(f"COPY into a table like messages: {copied:,.0f} rows/s ({ndjson / copied:.2f} x)")
    posted = writing.posts(url, options.seconds * 3)
    print(
        f"posts from {writing.POSTING_CONNECTIONS} connections: {posted.rate:,.0f} requests/s,"
        f" p50 {posted.p50:.1f} ms, p99 {posted.p99:.1f} ms"
    )
    counted, uncounted = writing.counting(url, options.rounds, options.seconds)
    print(
        f"the statements of a post alone: {counted:,.0f}/s, without the counts {uncounted:,.0f}/s"
        f" ({counted / uncounted:.2f} x)"
    )


def profile(postgres, options) -> None:
    """Print where the time of one page goes."""
    inbox = database.inbox(postgres.url, options.conversations, print)
    headers = {"Authorization": f"Bearer {inbox.key}"}
    with servers.product(inbox.url) as server:
        constant = load.run(server.origin, load.Requests(["/livez"]), options.seconds, 1)
    alone = anatomy.of_one_request(inbox.url, "/livez", {})
    steps = anatomy.of_one_request(inbox.url, "/v1/conversations", headers)
    gunicorn = constant.p50 * 1e3 - sum(alone.values())
    print("\none page, one request at a time: microseconds")
    for name, microseconds in {"gunicorn and the client": gunicorn, **steps}.items():
        print(f"{microseconds:8,.0f}  {name}")


def compare_sizes(postgres, options) -> None:
    """Print how the latency of each request grows from the small inbox to the large one."""
    small, large = (database.inbox(postgres.url, size, print) for size in FLAT_SIZES)
    _print_growth(f"{FLAT_SIZES[1]:,}", flat.measure(postgres.url, [small, large], options.rounds))
    for axis in growth.AXES:
        _print_growth(axis, flat.measure(postgres.url, [small] * 2, options.rounds, axis))


def _print_growth(larger: str, found: dict[str, list[float]]) -> None:
    print(f"\np50 in ms, in {FLAT_SIZES[0]:,} conversations and with {larger}")
    for name, (small, large) in found.items():
        note = "" if large / small <= FLAT else f"  over {FLAT}"
        print(f"{name:38} {small:10.2f} {large:10.2f} {large / small:8.2f} x{note}")


def find_few(postgres, options) -> None:
    """Print how long the lists of the few take in a large inbox."""
    times = skewed.times(postgres.url, options.conversations)
    print(f"\n{options.conversations:,} conversations; milliseconds of the statement")
    print(f"{'':38} {'not told':>10} {'told':>10}")
    for name, (uninformed, informed) in times.items():
        print(f"{name:38} {uninformed:10,.1f} {informed:10,.1f}")


def count_matching(postgres, options) -> None:
    """Print how long a list with `since` takes, by the number of conversations that match."""
    inbox = database.inbox(postgres.url, options.conversations, print)
    with servers.product(inbox.url) as server:
        found = since.measure(server, inbox, options.seconds)
    print(f"\n{options.conversations:,} conversations; p50 and p99 in ms by number of connections")
    print(f"{'conversations since then':26}", *(f"{f'{n}':>20}" for n in since.CONNECTIONS))
    for name, results in found.items():
        print(f"{name:26}", *(f"{run.p50:10.1f}{run.p99:10.1f}" for run in results))


if __name__ == "__main__":
    main()
