"""What every measurement shares: a proxy alone on its core, and a load generator beside the origin."""

import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import probe
from contenders import Contender, Place
from process import Process, core_time, wait_until

PROXY_CORE = 0
LOAD_CORE = 1
CONNECTIONS = 64
BODY_LENGTH = 10_240
START_SECONDS = 60

# Above this share of a core, other programs' work shows in the caches and so in the figures.
NOISY_SHARE = 0.05


class RoundFailed(Exception):
    """A round that gave no figure, with what the program in question printed last."""


@dataclass(frozen=True)
class Origin:
    """The server behind every proxy."""

    process: Process
    address: str


class Patience:
    """How long this run may still wait for others to finish, all its measurements together."""

    def __init__(self, seconds: float):
        self.left = seconds

    def await_quiet(self) -> None:
        started = time.monotonic()
        wait_until(machine_is_quiet, self.left)
        self.left -= time.monotonic() - started


def machine_is_quiet() -> bool:
    """Looks for a quarter of a second whether anybody else is at work on the two cores."""
    before = core_time(PROXY_CORE), core_time(LOAD_CORE)
    time.sleep(0.25)
    after = core_time(PROXY_CORE), core_time(LOAD_CORE)
    return all((now - then).busy / 0.25 <= NOISY_SHARE for then, now in zip(before, after))


@dataclass(frozen=True)
class Bench:
    """Everything the rounds share."""

    folder: Path
    programs: dict[str, str]
    origin: Origin
    jwks: str
    tokens: list[str]
    requests: Path
    header_lines: list[str]
    patience: Patience

    def place(self, contender: Contender) -> Place:
        folder = self.folder / re.sub(r"\W+", "-", contender.name)
        folder.mkdir(exist_ok=True)
        port, admin_port = free_ports(2)
        return Place(folder, port, admin_port, self.origin.address, self.jwks, self.programs)

    def start(self, contender: Contender) -> "Running":
        return Running(self, contender, self.place(contender))


class Running:
    """A proxy that has shown that it does what its row claims, until the `with` block ends."""

    def __init__(self, bench: Bench, contender: Contender, place: Place):
        self.contender = contender
        self.port = place.port
        self.bench = bench
        self.process = Process(contender.command(place), PROXY_CORE, place.folder / "proxy.log")
        try:
            self.become_ready()
        except BaseException:
            self.process.stop()
            raise

    def become_ready(self) -> None:
        token = self.bench.tokens[0]
        wait_until(lambda: self.process.ended() or probe.answers(self.port, token), START_SECONDS)
        try:
            probe.check(self.port, self.bench.tokens, BODY_LENGTH, self.contender.chained)
        except (OSError, probe.Unfit) as error:
            raise RoundFailed(f"{self.contender.name}: {error}\n{self.process.log_tail()}") from error

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_) -> None:
        self.process.stop()


def run_loader(bench: Bench, name: str, command: list, timeout: float) -> str:
    log = bench.folder / f"{name}.log"
    with Process([str(part) for part in command], LOAD_CORE, log, stdout=subprocess.PIPE) as loader:
        try:
            printed, _ = loader.child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise RoundFailed(f"{name} did not end in time\n{loader.log_tail()}") from error
        if loader.child.returncode != 0:
            raise RoundFailed(f"{name} ended with status {loader.child.returncode}\n{loader.log_tail()}")
    return printed.decode()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so none comes twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
