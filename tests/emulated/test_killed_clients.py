"""kill -9 of a verb that works on a running network leaves nothing of it, in the network or outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from short_run import processes, wait_until_gone
from terminal import DEADLINE_S, Terminal
from waiting import wait_for


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path_factory.mktemp("killed"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--detach", "--lease", "10 min")
    assert done.returncode == 0, done.stderr
    terminal.run("exec", "gp-c", "--", "true")
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (("exec", "gp-c", "--", "sh", "-c", "trap '' HUP INT TERM; sleep 1000"), 2),
        (("cli",), 1),
        (("capture", "gp-c", "-w", "-"), 0),
        (("verify", "--live"), 0),
        (("verify", "--all"), 0),
        (("status",), 0),
        (("link", "set", "gp-c", "--delay", "1 ms"), 0),
    ],
)
def test_nothing_is_left(terminal: Terminal, words: tuple[str, ...], others: int) -> None:
    """``others``: processes beside the client that there are before it is killed."""
    before = set(processes(terminal.directory))
    with terminal.ending(*words) as client:
        wait_for(
            lambda: client.poll() is not None or len(set(processes(terminal.directory)) - before) > others,
            "the verb's processes",
        )
        client.kill()
        client.wait(DEADLINE_S)
    wait_for(lambda: set(processes(terminal.directory)) <= before, "the end of what the verb started")
    assert terminal.run("status").returncode == 0
