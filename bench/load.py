"""Load over loopback: wrk where it is installed (apt-get install wrk), else a client in Python."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).parent / "load.lua"
CONNECTIONS = 16


class Failed(Exception):
    """Requests were not answered, or not with 2xx or 3xx."""


@dataclass(frozen=True)
class Requests:
    """Requests that are sent in turn: one or several paths, or one path and several bodies."""

    paths: list[str]
    headers: dict = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """What a client saw: requests a second, and latency in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def run(origin: str, what: Requests, seconds: int, connections: int = CONNECTIONS) -> Result:
    """Keep that many connections busy for a while. Raises Failed if a request did."""
    seen, errors = attempt(origin, what, seconds, connections)
    if errors:
        raise Failed(f"{errors} of {seen.requests} requests to {what.paths[0]}")
    return seen


def attempt(
    origin: str, what: Requests, seconds: int, connections: int = CONNECTIONS
) -> tuple[Result, int]:
    """Keep that many connections busy for a while; return also how many requests failed."""
    client = _run_wrk if shutil.which("wrk") else _run_python
    seen = client(origin, what, seconds, connections)
    errors = seen.pop("errors")
    return Result(**seen), errors


def _run_wrk(origin: str, what: Requests, seconds: int, connections: int) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        method = "POST" if what.bodies else "GET"
        file.write("\n".join([method, *what.paths, *what.bodies]))
        file.flush()
        headers = [part for item in what.headers.items() for part in ("-H", ": ".join(item))]
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), *headers]
        output = subprocess.run(
            [*command, origin, "--", file.name], capture_output=True, text=True, check=True
        ).stdout
    return json.loads(output.splitlines()[-1])


def _run_python(origin: str, what: Requests, seconds: int, connections: int) -> dict:
    return asyncio.run(_drive(origin, what, seconds, connections))


async def _drive(origin: str, what: Requests, seconds: int, connections: int) -> dict:
    address = urlsplit(origin)
    requests = [_raw(address.netloc, path, what.headers) for path in what.paths]
    if what.bodies:
        requests = [_raw(address.netloc, what.paths[0], what.headers, b) for b in what.bodies]
    latencies, errors, started = [], 0, time.perf_counter()

    async def one_connection(offset: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (sent := time.perf_counter()) < started + seconds:
            writer.write(requests[(offset + len(latencies)) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            errors += head.split(maxsplit=2)[1][:1] not in b"23"
            latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*map(one_connection, range(connections)))
    latencies.sort()
    return {
        "requests": len(latencies),
        "seconds": time.perf_counter() - started,
        "p50": latencies[len(latencies) // 2] * 1e3,
        "p99": latencies[len(latencies) * 99 // 100] * 1e3,
        "errors": errors,
    }


def _raw(host: str, path: str, headers: dict, body: str = "") -> bytes:
    head = {"Host": host, **headers} | ({"Content-Length": str(len(body.encode()))} if body else {})
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", *map(": ".join, head.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
