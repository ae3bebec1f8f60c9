"""Who is told of what: real runs that finish, lack workers, and are killed."""

import json
import os
import pathlib
import signal

from processes import RECIPE, Process, eventually, free_port, records


def told(path):
    """What the command was told, in order."""
    lines = pathlib.Path(path).read_text().splitlines() if os.path.exists(path) else []
    return [(event["event"], event["is_over"]) for event in map(json.loads, lines)]


def check(check):
    # 1. One that finishes.
    events = check.path("finished-events")
    with check.train("told", free_port(), "--max-steps", "20", "--on-event", f"cat >> {events}") as train:
        assert train.wait() == 0
        assert told(events) == [("finished", False)], told(events)

    # 2. One that has no worker for a while, and whose coordinator is killed: the one that tells is not.
    events = check.path("killed-events")
    command = [
        "coordinator", "--data", check.path("data/train"), "--run", check.path("killed"), "--listen", "tcp://127.0.0.1:0",
        "--on-event", f"cat >> {events}", "--no-worker-minutes", "0.02"]
    with Process(check.path("killed.log"), *command, *RECIPE) as coordinator:
        eventually("a word of no workers", lambda: ("no_workers", False) in told(events))
        address = pathlib.Path(check.path("killed/coordinator.address")).read_text().strip()
        with Process(check.path("worker.log"), "worker", "--coordinator", address, "--threads", "1"):
            eventually("a word of workers", lambda: ("no_workers", True) in told(events))
            eventually("a step", lambda: os.path.exists(check.path("killed/metrics.jsonl")) and records(check.path("killed")))
            os.kill(coordinator.process.pid, signal.SIGKILL)
            eventually("a word of the end", lambda: told(events)[-1] == ("failed", False))

    # 3. A command that hangs or fails holds up nobody.
    with check.train("untold", free_port(), "--max-steps", "20", "--on-event", "echo no route >&2; exit 3") as train:
        assert train.wait() == 0
        log = pathlib.Path(train.log).read_text()
        assert log.count("The command for 'finished' failed with exit code 3: no route") == 1, log
    check.say("a command is told of the end, of a lack of workers, and of a coordinator that was killed")
