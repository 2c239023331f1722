#!/usr/bin/env python3
"""Changes of a gateway that serves: an upload until it serves, and small changes among many, both beside a steady load.

The load comes from oha at a fixed rate, counted from when each request was due, so that stalls show. Prints one line a
figure; `--quick` is for seeing that everything works.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tools  # noqa: E402
from bench import free_ports  # noqa: E402
from process import Process, wait_until  # noqa: E402
from run import default_tools  # noqa: E402
from tools import say  # noqa: E402

TOKEN = "live-bench-token"
RATE = 1000
CONNECTIONS = 32
CHANGES_PER_SECOND = 50


def main() -> int:
    options = parse_arguments()
    programs = tools.programs(options.tools, latency=True)
    origin = options.origin or tools.build("gatehouse-benches", "bench-origin")
    gatehouse = options.gatehouse or tools.build("gatehouse", "gatehouse")
    with tempfile.TemporaryDirectory(prefix="gatehouse-live-") as folder:
        site = Site(Path(folder), programs, origin, gatehouse)
        if options.component:
            with site.serving("uploads", options.component.resolve()):
                uploads(site, options.component, rounds=2 if options.quick else 5)
        with site.serving("changes"):
            site.ask("PUT", "/v1/config", many(1000, 1000) if options.quick else many(10_000, 100_000))
            changes(site, seconds=5 if options.quick else 60)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("component", type=Path, nargs="?", help="the component to upload, of about 1 MB; without one only changes are measured")
    parser.add_argument("--gatehouse", metavar="PATH", help="measure this binary instead of building one")
    parser.add_argument("--origin", metavar="PATH", help="use this bench-origin instead of building one")
    parser.add_argument("--tools", metavar="FOLDER", type=Path, default=default_tools(), help="where oha is kept")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    return parser.parse_args()


class Site:
    """A gateway with all cores, its origin, and what can be asked of them."""

    def __init__(self, folder: Path, programs: dict[str, str], origin: str, gatehouse: str):
        self.folder, self.programs, self.origin, self.gatehouse = folder, programs, origin, gatehouse
        self.port, self.admin, self.origin_port = free_ports(3)
        self.gateway: Process | None = None

    @contextmanager
    def serving(self, name: str, plugin: Path | None = None):
        config = self.folder / "gateway.yaml"
        config.write_text(json.dumps(self.document(plugin)))
        os.environ["GATEHOUSE_ADMIN_TOKEN"] = TOKEN
        cores = "0-" + str(os.cpu_count() - 1)
        command = [self.gatehouse, "run", "--config", str(config), "--data", str(self.folder / name)]
        origin = [self.origin, f"127.0.0.1:{self.origin_port}"]
        with Process(origin, cores, self.folder / "origin.log"), Process(command, cores, self.folder / "gateway.log") as gateway:
            self.gateway = gateway
            if not wait_until(lambda: gateway.ended() or self.is_ready(), 120) or gateway.ended():
                raise SystemExit(gateway.log_tail())
            yield

    def document(self, plugin: Path | None) -> dict:
        routes = [{"name": "load", "match": [{"path": {"prefix": "/orders"}}], "upstream": "origin"}]
        if plugin:
            routes.append({"name": "guest", "match": [{"path": {"prefix": "/guest"}}], "chain": [{"plugin": "guest"}], "upstream": "origin"})
        return {
            "listeners": [{"name": "public", "address": f"127.0.0.1:{self.port}"}],
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            "access_log": {"to": "off"},
            "upstreams": [{"name": "origin", "endpoints": [{"url": f"http://127.0.0.1:{self.origin_port}"}]}],
            "plugins": [{"name": "guest", "source": {"file": str(plugin)}}] if plugin else [],
            "routes": routes,
        }

    def is_ready(self) -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1).status == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | dict | None = None) -> dict:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/json" if isinstance(body, dict) else "application/wasm"
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", data, method=method)
        request.add_header("authorization", f"Bearer {TOKEN}")
        request.add_header("content-type", kind)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def load(self, seconds: float) -> dict:
        """Percentiles in milliseconds under the steady load, and the gateway's CPU, in cores."""
        before, began = self.gateway.cpu_time(), time.monotonic()
        command = [self.programs["oha"], "--no-tui", "--output-format", "json", "-c", str(CONNECTIONS), "-z", f"{seconds}s"]
        command += ["-q", str(RATE), "--latency-correction", "--wait-ongoing-requests-after-deadline"]
        printed = subprocess.run([*command, f"http://127.0.0.1:{self.port}/orders/1"], capture_output=True, check=True).stdout
        cpu = (self.gateway.cpu_time() - before).total / (time.monotonic() - began)
        report = json.loads(printed)
        failed = sum(n for status, n in report["statusCodeDistribution"].items() if status != "200")
        failed += sum(report["errorDistribution"].values())
        times = report["latencyPercentiles"]
        return {"p50": times["p50"] * 1e3, "p99": times["p99"] * 1e3, "failed": failed, "cpu": cpu}


def many(routes: int, clients: int) -> dict:
    """What the store holds: routes on a hundred hosts, and clients with a key each."""
    return {"routes": [route(n) for n in range(routes)], "clients": [client(n) for n in range(clients)]}


def route(n: int) -> dict:
    match = [{"path": {"prefix": f"/r{n}"}}]
    return {"name": f"route-{n}", "hosts": [f"h{n % 100}.example"], "match": match, "upstream": "origin"}


def client(n: int) -> dict:
    return {"name": f"client-{n}", "keys": [{"sha256": f"{n:064x}"}]}


def uploads(site: Site, component: Path, rounds: int) -> None:
    """How long a component takes from its first byte until it serves, and what others notice of it."""
    body = component.read_bytes()
    site.load(2)
    quiet, busy, took = [], [], []
    for serial in range(rounds):
        quiet.append(site.load(5))
        thread = threading.Timer(0.5, lambda: took.append(upload(site, unlike(body, serial))))
        thread.start()
        busy.append(site.load(5))
        thread.join()
    print(f"upload to serving, {len(body) / 1e6:.2f} MB: " + ", ".join(f"{seconds:.2f} s" for seconds in took))
    show("quiet", quiet)
    show("with an upload", busy)


def upload(site: Site, body: bytes) -> float:
    began = time.monotonic()
    version = site.ask("POST", "/v1/plugins/guest/versions", body)["version"]
    site.ask("PUT", "/v1/plugins/guest/rollout", {"version": version, "weight": 100})
    return time.monotonic() - began


def unlike(component: bytes, serial: int) -> bytes:
    """The same component with a custom section of its own, so that no cache knows it."""
    name, text = b"serial", str(time.time_ns() + serial).encode()
    content = bytes([len(name)]) + name + text
    return component + b"\0" + bytes([len(content)]) + content


def changes(site: Site, seconds: int) -> None:
    """Fifty changes a second for a while: what they cost, and what others notice of them."""
    change(site, 0)
    site.load(2)
    quiet = [site.load(seconds)]
    took, done = [], threading.Event()

    def work():
        began = time.monotonic()
        while not done.is_set():
            took.append(change(site, len(took)))
            time.sleep(max(0.0, began + len(took) / CHANGES_PER_SECOND - time.monotonic()))

    thread = threading.Thread(target=work)
    began = time.monotonic()
    thread.start()
    busy = [site.load(seconds)]
    done.set()
    thread.join()
    took.sort()
    print(f"{len(took) / (time.monotonic() - began):.0f} changes/s, live after p50 {took[len(took) // 2]:.1f} ms, p99 {took[len(took) * 99 // 100]:.1f} ms")
    show("quiet", quiet)
    show("with changes", busy)


def change(site: Site, serial: int) -> float:
    """Milliseconds until all workers serve a changed route."""
    began = time.monotonic()
    route = {"hosts": ["changed.example"], "match": [{"path": {"prefix": f"/{serial}"}}], "upstream": "origin"}
    site.ask("PUT", f"/v1/routes/changed-{serial % 100}?wait=10s", route)
    return (time.monotonic() - began) * 1e3


def show(name: str, loads: list[dict]) -> None:
    middle = {key: sorted(load[key] for load in loads)[len(loads) // 2] for key in ("p50", "p99", "cpu")}
    failed = sum(load["failed"] for load in loads)
    print(f"  {name:16} p50 {middle['p50']:.2f} ms  p99 {middle['p99']:.2f} ms  gateway {middle['cpu'] * 100:.1f} % of a core  {failed} failed")


if __name__ == "__main__":
    say(f"steady load: {RATE} requests a second over {CONNECTIONS} connections")
    raise SystemExit(main())
