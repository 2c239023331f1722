#!/usr/bin/env python3
"""The load bench: Gatehouse and its peers in one go, in interleaved rounds. README.md says what and why.

Standard library only; it installs the programs it needs and says so. The tables go to stdout.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Iterator

# The bench leaves nothing behind, compiled modules included.
sys.dont_write_bytecode = True

import contenders  # noqa: E402
import report  # noqa: E402
import tokens  # noqa: E402
import tools  # noqa: E402
from bench import LOAD_CORE, Bench, Origin, Patience, RoundFailed  # noqa: E402
from contenders import Contender  # noqa: E402
from latency import Latency, measure_latency  # noqa: E402
from process import Process  # noqa: E402
from rate import Rate, measure_rate  # noqa: E402
from tools import say  # noqa: E402

TOKENS = 200


def main() -> int:
    options = parse_arguments()
    end_on_signals()
    programs = tools.programs(options.tools, latency=not options.no_latency)
    origin = options.origin or tools.build("gatehouse-benches", "bench-origin")
    lineup = choose(options, programs)
    say("contenders: " + "; ".join(contender.name for contender in lineup))
    # From here on the harness keeps off the proxy's core.
    os.sched_setaffinity(0, {LOAD_CORE})
    with work_folder(options.keep) as folder, running_origin(origin, folder) as served:
        bench = prepare(folder, programs, served, options.patience)
        rounds = measure_rounds(bench, lineup, options)
        latencies = measure_latencies(bench, lineup, rounds, options)
    return conclude(lineup, rounds, latencies, options.out)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=at_least_one, help="interleaved rounds (5, quick: 2)")
    parser.add_argument("--seconds", type=at_least_one, help="length of one measurement (4, quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short rounds, to see that everything works")
    parser.add_argument("--only", metavar="TEXT", help="only contenders whose name contains this; nginx always runs")
    parser.add_argument("--no-latency", action="store_true", help="leave out the second part")
    parser.add_argument("--peers-only", action="store_true", help="leave Gatehouse out, and say so")
    parser.add_argument("--gatehouse", metavar="PATH", help="measure this binary instead of building one")
    parser.add_argument("--origin", metavar="PATH", help="use this bench-origin instead of building one")
    parser.add_argument("--tools", metavar="FOLDER", type=Path, default=default_tools(), help="where Envoy and oha are kept")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write every round's figures here, one JSON object a line")
    parser.add_argument("--patience", metavar="SECONDS", type=seconds, help="longest wait for a quiet machine, in all (120, quick: 0)")
    parser.add_argument("--keep", action="store_true", help="keep configurations and logs of the proxies")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 4)
    options.patience = options.patience if options.patience is not None else (0 if options.quick else 120)
    return options


def seconds(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(text)


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def default_tools() -> Path:
    """In the target folder, so that `cargo clean` takes them along."""
    target = os.environ.get("CARGO_TARGET_DIR", tools.REPOSITORY / "target")
    return Path(target).resolve() / "bench-load"


def end_on_signals() -> None:
    """Turns the signals that end a program into an exception, so that every `with` cleans up."""
    def leave(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def choose(options: argparse.Namespace, programs: dict[str, str]) -> list[Contender]:
    """The rows of the table. A Gatehouse that does not build is an error unless it was left out."""
    wanted = [c for c in contenders.ALL if c is contenders.NGINX or (options.only or "").lower() in c.name.lower()]
    if options.peers_only:
        say("Gatehouse is left out, as --peers-only asks")
        return [contender for contender in wanted if contender.program != "gatehouse"]
    if any(contender.program == "gatehouse" for contender in wanted):
        programs["gatehouse"] = options.gatehouse or tools.build("gatehouse", "gatehouse")
    return wanted


@contextmanager
def work_folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
    # nginx's worker gives up root and must still reach its own folders.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if keep:
            say(f"configurations and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_origin(program: str, folder: Path) -> Iterator[Origin]:
    with Process([program, "127.0.0.1:0"], LOAD_CORE, folder / "origin.log", stdout=subprocess.PIPE) as process:
        address = process.child.stdout.readline().decode().strip()
        if not address:
            raise SystemExit(f"bench-load: the origin did not start\n{process.log_tail()}")
        yield Origin(process, address)


def prepare(folder: Path, programs: dict[str, str], origin: Origin, patience: float) -> Bench:
    say(f"making a key and {TOKENS} tokens")
    key = tokens.make_key(folder)
    made = tokens.make_tokens(key, TOKENS)
    heads = [tokens.request_head("/orders/1", token) for token in made]
    say(f"request heads of {len(heads[0])} bytes")
    requests = folder / "requests"
    requests.write_bytes(b"".join(heads))
    # oha sends the same headers every time, so its part has one token.
    header_lines = heads[0].decode().strip().split("\r\n")[1:]
    return Bench(folder, programs, origin, tokens.make_jwks(key), made, requests, header_lines, Patience(patience))


def measure_rounds(bench: Bench, lineup: list[Contender], options: argparse.Namespace) -> report.Rounds:
    rounds = []
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        # A new order every round, so that nobody always follows the same neighbour's heat.
        first = number % len(lineup)
        order = lineup[first:] + lineup[:first]
        rounds.append({contender.name: tell(measure_rate(bench, contender, options.seconds)) for contender in order})
    return rounds


def tell(rate: Rate) -> Rate:
    say(f"  {rate.contender:47} {rate.requests_per_second:7,.0f}/s {rate.cpu:6.1f} µs, others {rate.noise:.0%}")
    return rate


def measure_latencies(
    bench: Bench, lineup: list[Contender], rounds: report.Rounds, options: argparse.Namespace
) -> list[Latency]:
    if options.no_latency:
        return []
    say("latency at half of each contender's peak")
    latencies = []
    for contender in lineup:
        peak = median(figures[contender.name].requests_per_second for figures in rounds)
        latencies.append(measure_latency(bench, contender, peak / 2, options.seconds + 1))
    return latencies


def conclude(lineup: list[Contender], rounds: report.Rounds, latencies: list[Latency], out: Path | None) -> int:
    """Prints everything; any error among the answers fails the run, for its figures are worth nothing."""
    figures = [rate for by_name in rounds for rate in by_name.values()] + latencies
    if out:
        out.write_text(report.records(figures))
    print(report.rate_table(lineup, rounds))
    if latencies:
        print("\n" + report.latency_table(latencies))
    for line in ["", *report.targets(rounds)]:
        print(line)
    for line in report.warnings(lineup, rounds):
        say(f"noise: {line}")
    failures = report.errors(figures)
    for line in failures:
        say(f"error: {line}")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RoundFailed, tools.BuildFailed) as error:
        sys.exit(f"bench-load: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
