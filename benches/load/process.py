"""Processes pinned to a core, their CPU time by pid, and stopping them whatever happens.

Knows nothing of what the processes are.
"""

import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
GRACE_SECONDS = 10


@dataclass(frozen=True)
class CpuTime:
    """Seconds of CPU, in user space and in the kernel."""

    user: float
    system: float

    def __add__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.user + other.user, self.system + other.system)

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


class Process:
    """One process and its children, pinned to a core, stopped on leaving the `with` block."""

    def __init__(self, command: list[str], core: int, log: Path, stdout=None):
        self.log = log
        with log.open("ab") as file:
            # The death signal covers the one case no clean-up of ours can: a harness that is killed.
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=stdout or file,
                stderr=file,
                start_new_session=True,
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks it to end, then insists, on the session that only this process started."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def ended(self) -> bool:
        return self.child.poll() is not None

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def cpu_time(self) -> CpuTime:
        """CPU so far of every thread and child, the children that have ended included."""
        user = system = 0
        for pid in family(self.child.pid):
            times = stat_fields(pid)
            if times is None:
                continue
            user += int(times[11]) + int(times[13])
            system += int(times[12]) + int(times[14])
        return CpuTime(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)


def ended_children() -> CpuTime:
    """CPU of our own children that have ended, such as load generators."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return CpuTime(used.ru_utime, used.ru_stime)


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may hold spaces and brackets itself."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def family(root: int) -> list[int]:
    """The process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat_fields(int(entry))):
            parents[int(entry)] = int(fields[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


@dataclass(frozen=True)
class CoreTime:
    """Seconds a core has spent working, and waiting for the hypervisor to give it back."""

    busy: float
    stolen: float

    def __sub__(self, earlier: "CoreTime") -> "CoreTime":
        return CoreTime(self.busy - earlier.busy, self.stolen - earlier.stolen)


def core_time(core: int) -> CoreTime:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
            busy = user + nice + system + irq + softirq
            return CoreTime(busy / TICKS_PER_SECOND, steal / TICKS_PER_SECOND)
    raise SystemExit(f"bench-load: this machine has no core {core}; the bench needs two")


def wait_until(condition, seconds: float) -> bool:
    """Polls, because what it waits for are other programs that tell nobody when they are ready."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
