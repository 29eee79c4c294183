"""The Ray process as the sweep sees it: started, spoken to, ended. Imports no Ray."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeps import SweepError
from sweeps.cluster import address as addresses
from sweeps.cluster import tokens
from sweeps.cluster.environment import environment
from sweeps.cluster.messages import Close, Connected, NodeResources, Refused
from sweeps.processes import descendants, kill

ATTEMPTS_AT_A_LOCAL_RAY = 3
"""How often a local Ray is started: Ray gives a node 30 s, too few where many programs compete for a CPU."""


class RayLost(Exception):
    """The Ray process ended: Ray or a node of it was lost."""


class RayProcess:
    """A process that speaks to Ray, in a process group of its own, which a Ctrl-C does not reach.

    Args:
        address: of a cluster, as a user gives it; None for a local Ray.
        log: file to which it and Ray write.
        scratch: folder for a local Ray and for Tune.
        modules: files and folders of users' own modules, which workers import.
        dashboard: whether a local Ray starts its dashboard, whose address is a `Notice`.

    Raises:
        SweepError: the address is none, no Ray listens there, or it does not take the token.
    """

    _killed: bool

    def __init__(
        self,
        address: str | None,
        log: Path,
        scratch: Path,
        modules: Sequence[Path] = (),
        dashboard: bool = False,
    ) -> None:
        """Start it; `connect` waits for Ray."""
        self._given, self._log, self._scratch, self._modules = address, log, scratch, modules
        self._dashboard = "dashboard" if dashboard else ""
        self._start()

    def connect(self) -> Sequence[NodeResources]:
        """Wait for Ray and return the nodes that there are.

        Raises:
            SweepError: Ray cannot be reached or started.
        """
        answer = self._answer()
        for _ in range(ATTEMPTS_AT_A_LOCAL_RAY - 1):
            if isinstance(answer, Connected) or self._given is not None:
                break
            self.kill()
            self._start()
            answer = self._answer()
        if isinstance(answer, Refused):
            raise SweepError(answer.reason)
        return answer.nodes

    def restart(self) -> Sequence[NodeResources]:
        """Start it again after it was lost, and return the nodes that there are. Raises as `connect`."""
        self.kill()
        self._start()
        return self.connect()

    def send(self, message: object) -> None:
        """Send a message. Raises RayLost."""
        try:
            self._connection.send(message)
        except OSError:
            raise RayLost(self._fate()) from None

    def receive(self, timeout: float) -> Any:
        """Return the next message, or None after `timeout` seconds without one. Raises RayLost."""
        try:
            return self._connection.recv() if self._connection.poll(timeout) else None
        except (EOFError, OSError):
            raise RayLost(self._fate()) from None

    def end(self, patience: float = 10.0) -> None:
        """End it; a local Ray, which would take a second to end in good order, is killed."""
        if self._given is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._connection.send(Close())
                self._process.wait(patience)
        self.kill()

    def kill(self) -> None:
        """Kill it at once, and a local Ray with all of its workers."""
        if self._killed:
            return
        self._killed = True
        with suppress(OSError):
            self._connection.close()
        kill(descendants(self._process.pid), self._process.pid)
        self._process.wait()

    def _answer(self) -> Connected | Refused:
        """Return what it says first."""
        try:
            while (answer := self.receive(1.0)) is None:
                continue
        except RayLost as error:
            return Refused(f"no Ray at {self._given or 'this machine'}: {error}; see {self._log}")
        assert isinstance(answer, Connected | Refused)
        return answer

    def _start(self) -> None:
        address = addresses.resolve(self._given)
        token = address is not None and tokens.is_demanded(address)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "sweeps.cluster.serving", str(theirs.fileno()), address or ""]
        command += [str(self._scratch), self._dashboard, *map(str, self._modules)]
        with self._log.open("ab") as log, theirs:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._scratch,  # which stays, as the working folder may not
                env=environment(address, token),
                process_group=0,
            )
        self._connection = Connection(ours.detach())
        self._killed = False

    def _fate(self) -> str:
        """Say how the process ended."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "the Ray process does not answer"
        return f"the Ray process ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"
