"""Placers that are killed at any moment: no cell is promised twice, and nothing is left behind.

``--claim-rounds 1000`` runs as many rounds; without it, a few.
"""

from __future__ import annotations

import mmap
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from hosts import GIB, host

from numaprobe import DoesNotFit, place, probe
from numaprobe.cli import main
from numaprobe.placement.ledger import Ledger, visible_claims

PLACERS = 16
SIZES = (GIB, 2 * GIB, 3 * GIB)
COUNT = struct.Struct("=q")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("claim_rounds"))


def forked(work: Callable[[], None]) -> int:
    """A child that does this and nothing else."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


@contextmanager
def ended(children: set[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for child in children:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def placer(folder: Path, seed: int, done: mmap.mmap, at: int, rounds: int) -> None:
    """Checks under the lock that no cell and no CPU is promised twice, claims, and gives back."""
    dice = random.Random(seed)
    machine = host([8 * GIB, 8 * GIB], cpus=8)
    while COUNT.unpack_from(done, at)[0] < rounds:
        with Ledger(folder) as ledger:
            claims = ledger.current()
            for cell in (0, 1):
                assert sum(claim.memory.get(cell, 0) for claim in claims) <= 8 * GIB
            alone = [cpu for claim in claims for cpu in claim.cpus]
            assert len(alone) == len(set(alone))
            try:
                size, pinned = dice.choice(SIZES), dice.random() < 0.5
                plan = place(machine, vcpus=1, memory=size, pinned=pinned, reserve=0, claims=claims, most_rejected=0)
            except DoesNotFit:
                plan = None
            if plan is not None:
                (mine,) = ledger.add([plan], pid=os.getpid())
        if plan is not None:
            with Ledger(folder) as ledger:
                ledger.release(mine.id)
        COUNT.pack_into(done, at, COUNT.unpack_from(done, at)[0] + 1)


@pytest.mark.crowds
def test_sixteen_placers_that_are_killed_never_take_the_same_room(folder: Path, rounds: int) -> None:
    """Each is killed and started again, somewhere in its work, until it has done its rounds."""
    dice = random.Random(1)
    done = mmap.mmap(-1, PLACERS * COUNT.size)
    seeds = iter(range(1 << 30))

    def start(n: int) -> int:
        return forked(partial(placer, folder, next(seeds), done, n * COUNT.size, rounds))

    running = {start(n): n for n in range(PLACERS)}
    children = set(running)
    killed = 0
    with ended(children):
        while running:
            time.sleep(dice.random() * 0.02)
            # Each kill costs a round at most, so that the placers come to an end.
            victim = dice.choice(sorted(running))
            if killed < PLACERS * rounds / 20:
                os.kill(victim, signal.SIGKILL)
            for child in list(running):
                ended_child, status = os.waitpid(child, os.WNOHANG)
                if not ended_child:
                    continue
                children.discard(child)
                n = running.pop(child)
                if os.WIFSIGNALED(status):
                    killed += 1
                    again = start(n)
                    running[again] = n
                    children.add(again)
                else:
                    assert os.WEXITSTATUS(status) == 0, "a placer saw room that was promised twice"
    assert killed > PLACERS * rounds / 40
    assert all(COUNT.unpack_from(done, n * COUNT.size)[0] >= rounds for n in range(PLACERS))
    assert visible_claims(folder=str(folder)) == ()


def claimer(words: list[str], out: int, delay: float) -> None:
    """Runs ``place --claim`` for itself, says how it ended, and stays for as long as its claim is to hold."""
    time.sleep(delay)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    status = main([*words, "--claim-pid", str(os.getpid())])
    os.write(out, bytes([status]))
    signal.pause()


def outcomes(out: int, alive: set[int], seconds: float) -> list[int]:
    """What the claimers say until all that are alive have."""
    said: list[int] = []
    end = time.monotonic() + seconds
    while len(said) < len(alive) and time.monotonic() < end:
        if select.select([out], [], [], 0.05)[0]:
            said += os.read(out, 16)
    return said


def test_of_two_placers_at_once_one_gets_the_slot(folder: Path, rounds: int) -> None:
    """Each wants more than half of the CPUs for itself, and in half of the rounds one of them is killed."""
    machine = probe(allowed=True)
    allowed = None if machine.allowed is None else machine.allowed.cpus
    usable = [cpu for cpu in machine.cpus if cpu.online and not cpu.isolated and (allowed is None or cpu.id in allowed)]
    vcpus = len(usable) // 2 + 1
    quota = None if machine.allowed is None else machine.allowed.quota
    if quota is not None and quota < vcpus:
        pytest.skip(f"this process may use {quota:g} CPUs of {len(usable)}")
    words = ["place", "--vcpus", str(vcpus), "--memory", "1M", "--pinned", "--smt", "share", "--no-domains"]
    words += ["--reserve", "0", "--ledger", str(folder), "--claim"]
    dice = random.Random(2)
    won = 0
    for _ in range(rounds):
        reader, writer = os.pipe()
        try:
            alive = {forked(partial(claimer, words, writer, dice.random() * 0.003)) for _ in range(2)}
            with ended(set(alive)):
                if dice.random() < 0.5:
                    time.sleep(dice.random() * 0.03)
                    victim = alive.pop()
                    os.kill(victim, signal.SIGKILL)
                    os.waitpid(victim, 0)
                said = outcomes(reader, alive, 60.0)
                # What the victim said before it was killed is among these.
                held = [claim for claim in visible_claims(folder=str(folder)) if claim.pid in alive]
                assert len(held) <= 1
                if len(alive) == 2:
                    assert sorted(said) == [0, 3]
                won += bool(held)
        finally:
            os.close(reader)
            os.close(writer)
        assert visible_claims(folder=str(folder)) == ()
    assert won > rounds / 2
