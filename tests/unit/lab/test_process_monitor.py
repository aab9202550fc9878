"""The end of a process is reported at once, also if it ended before it was added."""

from __future__ import annotations

import os
import subprocess
import threading

from helsewan.lab.processes.process_monitor import ProcessMonitor


def test_an_end_is_heard_of_once_for_each_process() -> None:
    ends = threading.Semaphore(0)
    process_monitor = ProcessMonitor(ends.release)
    processes = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(3)]
    pidfds = [os.pidfd_open(process.pid) for process in processes]
    process_monitor.add(pidfds)
    process_monitor.add(pidfds)  # again is no harm
    assert not ends.acquire(timeout=0.05)
    for process in processes:
        process.kill()
        assert ends.acquire(timeout=20)
        process.communicate()
    assert not ends.acquire(timeout=0.05)
    for pidfd in pidfds:
        os.close(pidfd)


def test_one_that_ended_before_is_told_at_once() -> None:
    heard = threading.Event()
    process = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    ProcessMonitor(heard.set).add([pidfd])
    assert heard.wait(20)
    process.wait()
    os.close(pidfd)
