"""The contenders: what each proxy is told and how it is started. Measures nothing."""

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import envoy
import tokens

CONFIGS = Path(__file__).parent / "configs"

JWT = {"plugin": "jwt", "config": {"issuer": "main", "claims_to_headers": {"sub": "x-user"}}}
RATE_LIMIT = {"plugin": "rate-limit", "config": {"rate": 1000000, "burst": 1000000, "key": "client"}}
TRANSFORM = {"plugin": "transform", "config": {"request": {"headers": {"set": {"x-gateway": "gatehouse"}}}}}
REQUEST_ID = {"plugin": "request-id", "config": {}}
CHAIN = [JWT, RATE_LIMIT, TRANSFORM, REQUEST_ID]


@dataclass(frozen=True)
class Place:
    """Where one start of a proxy lives and what it may use."""

    folder: Path
    port: int
    admin_port: int
    origin: str
    jwks: str
    programs: dict[str, str]

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def fill(self, name: str, **values: str) -> str:
        """Fills in a file of `configs/` and writes it into the folder."""
        template = string.Template((CONFIGS / name).read_text())
        common = {"folder": self.folder, "port": self.port, "origin": self.origin}
        return self.write(name, template.substitute(common | values))


@dataclass(frozen=True)
class Contender:
    """One row of the table. `chained` says that it checks tokens and edits requests."""

    name: str
    program: str
    chained: bool
    prepare: Callable[[Place], list[str]]

    def command(self, place: Place) -> list[str]:
        return [place.programs[self.program], *self.prepare(place)]


def nginx(place: Place) -> list[str]:
    return ["-p", str(place.folder), "-c", place.fill("nginx.conf")]


def haproxy(place: Place) -> list[str]:
    return ["-f", place.fill("haproxy.cfg")]


def envoy_with(filters: Callable[[Place], list[dict]]) -> Callable[[Place], list[str]]:
    def prepare(place: Place) -> list[str]:
        document = envoy.bootstrap(place.port, place.admin_port, place.origin, filters(place))
        quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return ["-c", place.write("envoy.json", document), *quiet]

    return prepare


def gatehouse_with(chain: list[dict], isolation: str | None = None) -> Callable[[Place], list[str]]:
    plugins = [{"name": use["plugin"], "isolation": isolation} for use in chain if isolation]

    def prepare(place: Place) -> list[str]:
        # JSON is YAML, so the lists need no template of their own.
        config = place.fill(
            "gatehouse.yaml",
            admin_port=str(place.admin_port),
            issuer=tokens.ISSUER,
            audience=tokens.AUDIENCE,
            jwks=place.write("jwks.json", place.jwks),
            plugins=json.dumps(plugins),
            chain=json.dumps(chain),
        )
        # Compiled plugins stay in the data folder, so only the first start of a run compiles.
        data = str(place.folder.parent / "gatehouse-data")
        return ["run", "--config", config, "--workers", "1", "--data", data]

    return prepare


NGINX = Contender("nginx, plain", "nginx", False, nginx)
HAPROXY = Contender("HAProxy, plain", "haproxy", False, haproxy)
ENVOY = Contender("Envoy, no filter", "envoy", False, envoy_with(lambda _: []))
ENVOY_CHAIN = Contender(
    "Envoy, native chain", "envoy", True, envoy_with(lambda place: envoy.native_chain(place.jwks, cached=True))
)
ENVOY_UNCACHED = Contender(
    "Envoy, native chain, JWT uncached",
    "envoy",
    True,
    envoy_with(lambda place: envoy.native_chain(place.jwks, cached=False)),
)
GATEHOUSE = Contender("Gatehouse, empty chain", "gatehouse", False, gatehouse_with([]))
GATEHOUSE_CHAIN = Contender("Gatehouse, four components", "gatehouse", True, gatehouse_with(CHAIN))
GATEHOUSE_REQUEST = Contender(
    "Gatehouse, four components, isolation: request", "gatehouse", True, gatehouse_with(CHAIN, "request")
)

ALL = [NGINX, HAPROXY, ENVOY, ENVOY_CHAIN, ENVOY_UNCACHED, GATEHOUSE, GATEHOUSE_CHAIN, GATEHOUSE_REQUEST]
