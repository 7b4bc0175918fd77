"""A real Slurm cluster on this machine: munged, slurmctld and two slurmd, on loopback and as this user.

    apt-get install -y --no-install-recommends slurm-wlm munge
    python tests/engine/slurm_cluster.py /tmp/cluster           # runs until Ctrl-C, and says how to reach it

Partitions share the nodes `n1` and `n2`: jobs of `urgent` preempt those of `batch`, which go back into the queue. Jobs
of `short` may take one minute.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from servers import free_port, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
NODES = ("n1", "n2")
MOST_TASKS = 6  # MaxArraySize: small, so that a sweep of eight jobs needs two arrays
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_CONFIG = """
ClusterName=infomcr
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=20
MinJobAge=300
SlurmdTimeout=15
MaxArraySize={most_tasks}
{nodes}
PartitionName=batch Nodes={names} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=graceful Nodes={names} MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=short Nodes={names} MaxTime=1 State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes={names} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing_program() -> str | None:
    """Return a program of Slurm or munge that is not installed, None if all are."""
    return next((program for program in PROGRAMS if shutil.which(program, path=_PATH) is None), None)


class SlurmCluster:
    """Starts the daemons; `close` ends them.

    Args:
        cores: of each node, whatever the machine has.
    """

    def __init__(self, folder: Path, cores: int = 1) -> None:
        # A munge socket wants a short path, and folders that others cannot write.
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        assert not self._is_in_use(), f"a cluster runs in {folder}"
        self.folder.chmod(0o755)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(exist_ok=True)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._write_config(cores)
        try:
            self._start_munge()
            self._start("slurmctld", "slurmctld", "-D", "-f", str(self.config))
            for node in NODES:
                self.start_node(node)
            wait_until(lambda: self.node_states().count("idle") == len(NODES), 60)
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> Path:
        """The file that `SLURM_CONF` must name."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which Slurm's commands reach this cluster."""
        return {"SLURM_CONF": str(self.config)}

    def command(self, *words: str) -> str:
        """Run a command of Slurm and return what it prints."""
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def node_states(self) -> list[str]:
        """Return the states of the nodes, as `sinfo` names them."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            return self.command("sinfo", "--noheader", "--Node", "--partition=batch", "--format=%t").split()
        return []

    def queue(self) -> list[list[str]]:
        """Return id, state, node and process name of each task that has not ended."""
        listed = self.command("squeue", "--noheader", "--array", "--format=%F_%K|%T|%N|%j")
        return [line.split("|") for line in listed.splitlines()]

    def running(self) -> list[str]:
        """Return the ids of the tasks that run."""
        return [row[0] for row in self.queue() if row[1] == "RUNNING"]

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self._start(name, "slurmd", "-D", "-N", name, "-f", str(self.config))

    def lose_node(self, name: str) -> None:
        """Kill a node's daemon and all it runs, as a machine that goes down would."""
        daemon = self._daemons.pop(name)
        tasks = [process for process in psutil.process_iter() if self._runs_on(process, name)]
        steps = [process.parent() for process in tasks]
        for process in (*tasks, *filter(None, steps)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        daemon.kill()
        daemon.wait()

    def tasks(self) -> list[psutil.Process]:
        """Return the processes of the batch scripts that run."""
        return [process for name in NODES for process in psutil.process_iter() if self._runs_on(process, name)]

    def start_at_once(self) -> None:
        """Let jobs start that went back into the queue: Slurm holds them there for two minutes."""
        listed = self.command("squeue", "--noheader", "--array", "--states=PENDING", "--format=%F_%K|%r")
        for line in listed.splitlines():
            task, reason = line.split("|")
            if reason == "BeginTime":
                with suppress(AssertionError):  # it has begun meanwhile
                    self.command("scontrol", "update", f"JobId={task.removesuffix('_N/A')}", "StartTime=now")

    def _runs_on(self, process: psutil.Process, node: str) -> bool:
        try:
            environ, parent = process.environ(), process.parent()
            is_script = parent is not None and "slurmstepd" in parent.name()
        except psutil.Error:
            return False
        return is_script and environ.get("SLURM_CONF") == str(self.config) and environ.get("SLURMD_NODENAME") == node

    def close(self) -> None:
        """End all jobs and daemons."""
        if "slurmctld" in self._daemons:
            with suppress(AssertionError, subprocess.TimeoutExpired):
                self.command("scancel", f"--user={getpass.getuser()}")
                self.command("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}")
                wait_until(lambda: not self.queue(), 20)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _is_in_use(self) -> bool:
        """Two controllers of one folder would abort each other's jobs."""
        with suppress(OSError, ValueError):
            return psutil.pid_exists(int((self.folder / "munge.pid").read_text()))
        return False

    def _write_config(self, cores: int) -> None:
        user = getpass.getuser()
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={free_port()} "
            f"CPUs={cores} RealMemory=1000 State=UNKNOWN"
            for name in NODES
        )
        text = _CONFIG.format(
            host=socket.gethostname(),
            controller=free_port(),
            user=user,
            folder=self.folder,
            most_tasks=MOST_TASKS,
            nodes=nodes,
            names=",".join(NODES),
        )
        self.config.write_text(text)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        places = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munge.pid"}
        places |= {"log-file": self.folder / "munge.log", "seed-file": self.folder / "munge.seed"}
        options = [f"--{name}={place}" for name, place in places.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        wait_until((self.folder / "munge.socket").exists, 20)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=_PATH)
        assert path is not None, f"{program} is not installed"
        with open(self.folder / f"{name}.out", "ab") as log:
            environment = {**os.environ, **self.environment, "PATH": _PATH}
            self._daemons[name] = subprocess.Popen(
                [path, *arguments], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )


def short_folder() -> Path:
    """Return a new folder whose path is short enough for a socket."""
    return Path(tempfile.mkdtemp(prefix="infomcr-slurm-", dir="/tmp"))


@contextmanager
def running_cluster() -> Iterator[SlurmCluster]:
    """Start a cluster; it is stopped and its folder removed whatever happens."""
    folder = short_folder()
    cluster = SlurmCluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    own = SlurmCluster(Path(sys.argv[1]) if len(sys.argv) > 1 else short_folder())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # a shell's `&` ignores SIGINT
    print(f"export SLURM_CONF={own.config}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    own.close()
