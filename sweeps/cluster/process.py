"""The Ray process as the sweep sees it: started, spoken to, ended. Imports no Ray."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeps import SweepError
from sweeps.cluster import address as addresses
from sweeps.cluster import tokens
from sweeps.cluster.environment import environment, plain_python
from sweeps.cluster.logs import tail
from sweeps.cluster.messages import Close, Connected, Refused
from sweeps.errors import gist_of
from sweeps.executors.events import NodeResources
from sweeps.machine.processes import descendants, kill
from sweeps.plan.users_code import UsersCode
from sweeps.worker import snapshot

ATTEMPTS_AT_A_LOCAL_RAY = 3
"""How often a local Ray is started: Ray gives a node 30 s, too few where many programs compete for a CPU."""

CONNECT_SECONDS = 300.0
"""How long Ray may take to answer: Ray itself gives up a cluster that takes no client after two minutes."""


class RayLost(Exception):
    """The Ray process ended: Ray or a node of it was lost."""


class RayProcess:
    """A process that speaks to Ray, in a process group of its own, which a Ctrl-C does not reach.

    Args:
        address: of a cluster, as a user gives it; None for a local Ray.
        log: file to which it and Ray write.
        scratch: folder for a local Ray and for Tune.
        users_code: what workers import besides the project.
        dashboard: whether a local Ray starts its dashboard, whose address is a `Notice`.

    Raises:
        SweepError: the address is none, no Ray listens there, it does not take the token, or the code
            cannot be copied for the workers.
    """

    _killed: bool

    def __init__(
        self,
        address: str | None,
        log: Path,
        scratch: Path,
        users_code: UsersCode | None = None,
        dashboard: bool = False,
    ) -> None:
        """Copy the code and start it from the copy; `connect` waits for Ray."""
        self._given, self._log, self._scratch = address, log, scratch
        self._code = scratch / "code"
        snapshot.take(self._code, users_code or UsersCode(()))
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
            raise SweepError(f"{answer.reason}; see {self._log}")
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
        kill(descendants(self._process.pid), self._process.pid)
        self._process.wait()
        with suppress(OSError):
            self._connection.close()  # last: without it the process removes the scratch folder and ends

    def _answer(self) -> Connected | Refused:
        """Return what it says first; where it ends without a word, what it wrote last."""
        deadline = time.monotonic() + CONNECT_SECONDS
        where = f"no Ray at {self._given or 'this machine'}"
        try:
            while (answer := self.receive(1.0)) is None:
                if time.monotonic() > deadline:
                    return Refused(f"{where}: no answer within {CONNECT_SECONDS:g} s{self._said()}")
        except RayLost as error:
            return Refused(f"{where}: {error}{self._said()}")
        assert isinstance(answer, Connected | Refused)
        return answer

    def _said(self) -> str:
        """Return what the process and Ray wrote last into the log, as the end of a sentence."""
        lines = [line for line in tail(self._log, self._log_start).splitlines() if line.strip()]
        trace = [place for place, line in enumerate(lines) if line.startswith("Traceback")]
        cause = gist_of("\n".join(lines[trace[-1] :] if trace else lines[-1:]))
        return f": {cause}" if cause else ""

    def _start(self) -> None:
        address = addresses.resolve(self._given)
        token = address is not None and tokens.is_demanded(address)
        ours, theirs = socket.socketpair()
        python = plain_python(self._scratch / "link") if address is None else sys.executable
        command = [python, "-P", "-m", "sweeps.cluster.serving", str(theirs.fileno()), address or ""]
        command += [str(self._scratch), self._dashboard]
        with self._log.open("ab") as log, theirs:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._code,  # Ray lets workers import from its driver's working folder, first of all
                env=environment(address, token, self._code),
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
