"""From a module to a component: `python -m gatehouse_build plugin.py -o plugin.wasm`.

The component imports the capabilities whose modules the plugin imports, and no others, so that the operator grants what
is used.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from modulefinder import ModuleFinder
from pathlib import Path

SDK = Path(__file__).resolve().parent
WIT = SDK.parent.parent / "wit"
CAPABILITIES = ["log", "kv", "jwt", "introspection", "keys", "rate-limit", "http", "metrics"]
WORLD_IMPORT = "  import {};\n"

ENTRY = """\
import {module}
from gatehouse_plugin.runtime import WitWorld
"""


def main() -> int:
    arguments = argparse.ArgumentParser(prog="gatehouse_build", description="Builds a plugin's component.")
    arguments.add_argument("module", nargs="?", type=Path, default=Path("plugin.py"), help="the plugin's file (plugin.py)")
    arguments.add_argument("-o", "--output", type=Path, default=Path("plugin.wasm"), help="the component (plugin.wasm)")
    given = arguments.parse_args()
    if not given.module.is_file():
        print(f"{given.module}: no such file", file=sys.stderr)
        return 2
    return build(given.module, given.output)


def build(module: Path, output: Path) -> int:
    """Builds a component. The exit code of the tool that did."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        entry = work / "gatehouse_entry.py"
        entry.write_text(ENTRY.format(module=module.stem))
        contract(capabilities(entry, module.parent), work / "wit")
        paths = [work, module.parent.resolve(), SDK, *site_packages()]
        output.parent.mkdir(parents=True, exist_ok=True)
        return componentize(work / "wit", paths, entry.stem, output)


def capabilities(entry: Path, project: Path) -> list[str]:
    """The capabilities whose modules the plugin imports, itself or by what it imports."""
    finder = ModuleFinder(path=[str(project), str(SDK), *map(str, site_packages()), *sys.path])
    finder.run_script(str(entry))
    return [name for name in CAPABILITIES if f"gatehouse_plugin.{name.replace('-', '_')}" in finder.modules]


def contract(used: list[str], folder: Path) -> None:
    """The contract, with a world that imports only what is used."""
    folder.mkdir()
    for file in WIT.glob("*.wit"):
        text = file.read_text()
        if file.name == "plugin.wit":
            for name in ["about", *CAPABILITIES]:
                text = text if name in used else text.replace(WORLD_IMPORT.format(name), "")
        (folder / file.name).write_text(text)


def site_packages() -> list[Path]:
    """Where the packages that the plugin uses are installed."""
    return [Path(sysconfig.get_path("purelib"))]


def componentize(wit: Path, paths: list[Path], module: str, output: Path) -> int:
    """Runs componentize-py."""
    tool = Path(sysconfig.get_path("scripts")) / "componentize-py"
    if not tool.is_file():
        requirements = SDK / "requirements.txt"
        print(f"componentize-py is missing; install it: {sys.executable} -m pip install -r {requirements}", file=sys.stderr)
        return 2
    command = [tool, "--quiet", "-d", wit, "-w", "plugin", "componentize", module, "-o", output]
    for path in paths:
        command.extend(["-p", path])
    # What a module raises is told by its own traceback; the tool's own says nothing more.
    return subprocess.run(command, check=False, env=os.environ | {"RUST_BACKTRACE": "0"}).returncode


if __name__ == "__main__":
    sys.exit(main())
