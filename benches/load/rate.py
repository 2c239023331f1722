"""Full speed: requests per second, and the CPU that the proxy's processes spent on each."""

import json
import time
from dataclasses import dataclass, fields
from pathlib import Path

from bench import BODY_LENGTH, CONNECTIONS, LOAD_CORE, NOISY_SHARE, PROXY_CORE, Bench, RoundFailed, run_loader
from contenders import Contender
from process import CoreTime, CpuTime, Process, core_time, ended_children

WARM_UP_SECONDS = 1
TRIES = 2


@dataclass(frozen=True)
class Rate:
    """What one round at full speed showed. Times in microseconds per request, shares of one core."""

    contender: str
    requests_per_second: float
    user: float
    system: float
    proxy_share: float
    load_share: float
    others_on_proxy_core: float
    others_on_load_core: float
    stolen_share: float
    errors: int
    first_error: str

    @property
    def cpu(self) -> float:
        return self.user + self.system

    @property
    def noise(self) -> float:
        return max(self.others_on_proxy_core, self.others_on_load_core, self.stolen_share)


@dataclass(frozen=True)
class Reading:
    """The clocks a round is measured by."""

    wall: float
    proxy: CpuTime
    load: CpuTime
    proxy_core: CoreTime
    load_core: CoreTime

    def __sub__(self, earlier: "Reading") -> "Reading":
        return Reading(*(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)))

    @staticmethod
    def take(proxy: Process, origin: Process) -> "Reading":
        load = origin.cpu_time() + ended_children()
        return Reading(time.monotonic(), proxy.cpu_time(), load, core_time(PROXY_CORE), core_time(LOAD_CORE))


def measure_rate(bench: Bench, contender: Contender, seconds: float) -> Rate:
    """Measures again when others were at work meanwhile, and keeps the quietest try, not the fastest."""
    quietest = None
    for _ in range(TRIES):
        bench.patience.await_quiet()
        rate = measure_rate_once(bench, contender, seconds)
        if quietest is None or rate.noise < quietest.noise:
            quietest = rate
        # A wrong answer is never measured away.
        if rate.errors or quietest.noise <= NOISY_SHARE:
            return rate if rate.errors else quietest
    return quietest


def measure_rate_once(bench: Bench, contender: Contender, seconds: float) -> Rate:
    with bench.start(contender) as proxy:
        run_wrk(bench, proxy.port, WARM_UP_SECONDS)
        before = Reading.take(proxy.process, bench.origin.process)
        result = run_wrk(bench, proxy.port, seconds)
        spent = Reading.take(proxy.process, bench.origin.process) - before
    completed = result["completed"]
    if completed == 0:
        raise RoundFailed(f"{contender.name}: no request was answered")
    return Rate(
        contender=contender.name,
        requests_per_second=completed / (result["microseconds"] / 1e6),
        user=spent.proxy.user / completed * 1e6,
        system=spent.proxy.system / completed * 1e6,
        proxy_share=spent.proxy.total / spent.wall,
        load_share=spent.load.total / spent.wall,
        others_on_proxy_core=max(0.0, spent.proxy_core.busy - spent.proxy.total) / spent.wall,
        others_on_load_core=max(0.0, spent.load_core.busy - spent.load.total) / spent.wall,
        stolen_share=(spent.proxy_core.stolen + spent.load_core.stolen) / spent.wall,
        errors=result["wrong"] + result["socket_errors"],
        first_error=result["first_wrong"] or ("socket errors" if result["socket_errors"] else ""),
    )


def run_wrk(bench: Bench, port: int, seconds: float) -> dict:
    script = Path(__file__).parent / "wrk.lua"
    command = [bench.programs["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}s", "-s", script]
    command += [f"http://127.0.0.1:{port}/", "--", bench.requests, BODY_LENGTH]
    printed = run_loader(bench, "wrk", command, round(seconds) + 30)
    for line in printed.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise RoundFailed(f"wrk printed no result:\n{printed}")
