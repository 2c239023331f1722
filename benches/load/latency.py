"""A fixed rate: how long answers take, counted from when each request was due, so that stalls show."""

import json
from dataclasses import dataclass

from bench import BODY_LENGTH, CONNECTIONS, Bench, run_loader
from contenders import Contender
from rate import WARM_UP_SECONDS, run_wrk


@dataclass(frozen=True)
class Latency:
    """What oha showed at a fixed rate. Times in seconds, from when a request was due to its last byte."""

    contender: str
    asked_rate: float
    reached_rate: float
    p50: float
    p99: float
    p999: float
    errors: int
    first_error: str


def measure_latency(bench: Bench, contender: Contender, rate: float, seconds: float) -> Latency:
    bench.patience.await_quiet()
    with bench.start(contender) as proxy:
        run_wrk(bench, proxy.port, WARM_UP_SECONDS)
        report = json.loads(run_oha(bench, proxy.port, rate, seconds))
    statuses = report["statusCodeDistribution"]
    failures = report["errorDistribution"]
    wrong = {**{f"status {status}": n for status, n in statuses.items() if status != "200"}, **failures}
    completed = sum(statuses.values())
    # oha does not show lengths one by one, but their sum leaves no room for a short answer.
    if report["summary"]["totalData"] != completed * BODY_LENGTH:
        wrong["bodies of another length"] = 1
    percentiles = report["latencyPercentiles"]
    return Latency(
        contender=contender.name,
        asked_rate=rate,
        reached_rate=completed / report["summary"]["total"],
        p50=percentiles["p50"],
        p99=percentiles["p99"],
        p999=percentiles["p99.9"],
        errors=sum(wrong.values()),
        first_error=next(iter(wrong), ""),
    )


def run_oha(bench: Bench, port: int, rate: float, seconds: float) -> str:
    command = [bench.programs["oha"], "--no-tui", "--output-format", "json", "--disable-compression"]
    command += ["-c", CONNECTIONS, "-z", f"{round(seconds)}s", "-q", round(rate), "--latency-correction"]
    # Requests under way at the end are waited for, so that none counts as an error.
    command += ["--wait-ongoing-requests-after-deadline"]
    for line in bench.header_lines:
        command += ["-H", line]
    return run_loader(bench, "oha", [*command, f"http://127.0.0.1:{port}/orders/1"], round(seconds) + 60)
