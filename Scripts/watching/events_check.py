"""Who is told of what: real runs that finish, lack workers, rows or a coordinator, compute wrongly, and are killed."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

from processes import PROGRAM, RECIPE, Process, eventually, free_port, records


# What Tests/BrokenProcessor knows the head's last layer by.
BROKEN_PROCESSORS_SHAPE = {"--bottleneck-dim": "32", "--head-hidden-dim": "64"}


def told(path):
    """What the command was told, in order."""
    lines = pathlib.Path(path).read_text().splitlines() if os.path.exists(path) else []
    return [(event["event"], event["is_over"]) for event in map(json.loads, lines)]


@contextlib.contextmanager
def coordinator(check, name, recipe, *more):
    """A coordinator that tells; the process, its address, and the file of what was told."""
    events = check.path(f"{name}-events")
    command = [
        "coordinator", "--data", check.path("data/train"), "--run", check.path(name), "--listen", "tcp://127.0.0.1:0",
        "--on-event", f"cat >> {events}", *more]
    with Process(check.path(f"{name}.log"), *command, *recipe) as process:
        address = pathlib.Path(check.path(f"{name}/coordinator.address"))
        eventually(f"an address of {name}", address.exists)
        yield process, address.read_text().strip(), events


def worker(check, name, address, *more, through=()):
    command = ["worker", "--coordinator", address, "--threads", "1", "--row-cache", "0", *more]
    return Process(check.path(f"{name}.log"), *command, through=through)


def lost_rows(check):
    """The only shard that has them is killed, and started again."""
    # With one checkpoint: all its rows may leave the coordinator's files.
    recipe = [*RECIPE, "--extent-rows", "256", "--checkpoint-every-steps", "4", "--keep-checkpoints", "1"]
    with coordinator(check, "lost", recipe, "--row-cache", "0") as (_, address, events):
        shard = [
            "memory", "--coordinator", address, "--capacity", "64MiB", "--directory", check.path("shard"),
            "--listen", f"tcp://127.0.0.1:{free_port()}"]
        with worker(check, "lost-worker", address):
            with Process(check.path("shard.log"), *shard):
                eventually("extents in the shard alone", lambda: has_moved(address))
            eventually("a word of lost rows", lambda: ("rows_lost", False) in told(events))
            with Process(check.path("shard-again.log"), *shard):
                eventually("a word of rows", lambda: told(events) == [("rows_lost", False), ("rows_lost", True)])


def has_moved(address):
    command = [PROGRAM, "memory", "list", "--coordinator", address, "--json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return listed["extents"] > listed["local_extents"] + 2


def has_steps(run, count):
    return os.path.exists(f"{run}/metrics.jsonl") and len(records(run)) >= count


def wrong_host(check):
    """One of two hosts has a processor that is wrong now and then."""
    library = check.path("broken-processor.so")
    subprocess.run(
        ["clang", "-shared", "-fPIC", "-O2", "-o", library, "Tests/BrokenProcessor/broken-processor.c", "-ldl"], check=True)
    broken = ["/usr/bin/env", f"LD_PRELOAD={library}", "BROKEN_PROCESSOR_EVERY=10"]
    recipe = list(RECIPE)
    for flag, value in BROKEN_PROCESSORS_SHAPE.items():
        recipe[recipe.index(flag) + 1] = value
    with coordinator(check, "wrong", recipe, "--audit-rate", "1") as (_, address, events):
        with worker(check, "wrong-good", address, "--host", "good"):
            # Whoever tells of a run tells of nothing that was so at its first look, which these steps outlast.
            eventually("steps of the right host", lambda: has_steps(check.path("wrong"), 40))
            with worker(check, "wrong-bad", address, "--host", "bad", through=broken):
                eventually("a word of a wrong host", lambda: ("host_quarantined", False) in told(events))


def check(check):
    # Those that are silent for a minute are so while the rest is tried.
    with coordinator(check, "silent", RECIPE, "--no-worker-minutes", "60") as (silent, _, events):
        os.kill(silent.process.pid, signal.SIGSTOP)
        lost_rows(check)
        wrong_host(check)
        ends(check)
        eventually("a word of a silent coordinator", lambda: told(events) == [("coordinator_silent", False)])
        os.kill(silent.process.pid, signal.SIGCONT)
        eventually("a word of one that answers", lambda: ("coordinator_silent", True) in told(events))
    check.say(
        "a command is told of the end, of a lack of workers and of rows, of a host that computes wrongly, and of a "
        "coordinator that is silent or was killed")


def ends(check):
    # 1. One that finishes.
    events = check.path("finished-events")
    with check.train("told", free_port(), "--max-steps", "20", "--on-event", f"cat >> {events}") as train:
        assert train.wait() == 0
        assert told(events) == [("finished", False)], told(events)

    # 2. One that has no worker for a while, and whose coordinator is killed: the one that tells is not.
    with coordinator(check, "killed", RECIPE, "--no-worker-minutes", "0.02") as (process, address, events):
        eventually("a word of no workers", lambda: ("no_workers", False) in told(events))
        with worker(check, "killed-worker", address):
            eventually("a word of workers", lambda: ("no_workers", True) in told(events))
            eventually("a step", lambda: os.path.exists(check.path("killed/metrics.jsonl")) and records(check.path("killed")))
            os.kill(process.process.pid, signal.SIGKILL)
            eventually("a word of the end", lambda: told(events)[-1] == ("failed", False))

    # 3. A command that hangs or fails holds up nobody.
    with check.train("untold", free_port(), "--max-steps", "20", "--on-event", "echo no route >&2; exit 3") as train:
        assert train.wait() == 0
        log = pathlib.Path(train.log).read_text()
        assert log.count("The command for 'finished' failed with exit code 3: no route") == 1, log
