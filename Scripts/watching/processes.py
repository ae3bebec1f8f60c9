"""Runs of massl on small made-up pictures, and what their pages answer."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

PROGRAM = pathlib.Path(".build/release/massl").resolve()
# The demo's, of a smaller network that learns on few pictures, and without an end that comes too soon.
RECIPE = (
    "--config Recipes/demo.yaml --embed-dim 64 --depth 2 --head-hidden-dim 128 --bottleneck-dim 64 --slice-size 16 "
    "--local-crops-number 2 --memory-size 4096 --block-size 256 --epochs 10000 --warmup-epochs 0"
).split()
PATIENCE = 600


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def eventually(what, condition):
    """Looks until a condition holds; what it found. A limit for what hangs, not for what is slow."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"check-watching: {what} did not come to be within {PATIENCE} s")


def processor_seconds(*numbers):
    """What processes have used of all processors, by their numbers."""
    used = 0
    for number in numbers:
        # After the name in brackets: the state is the third figure, user's and system's time are the 14th and 15th.
        figures = pathlib.Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        used += int(figures[11]) + int(figures[12])
    return used / os.sysconf("SC_CLK_TCK")


class Process:
    """A massl process, killed at the end with all that it started."""

    def __init__(self, log, *arguments, through=()):
        self.log = log
        self.process = subprocess.Popen(
            [*through, PROGRAM, *map(str, arguments)], stdout=open(log, "ab"), stderr=subprocess.STDOUT, start_new_session=True
        )

    def children(self, word):
        """Numbers of the processes in its session whose command line has a word."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if os.getsid(int(entry.name)) == self.process.pid and word.encode() in words:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def wait(self):
        return self.process.wait(timeout=PATIENCE)

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Page:
    """What a page's process answers."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path, headers={}):
        """Status and text."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def run(self):
        status, text = self.get("/api/run")
        return json.loads(text) if status == 200 else None

    def state(self):
        run = self.run()
        return run and run["run"]["verdict"]["state"]

    def step(self):
        run = self.run()
        return run["status"]["step"] if run and run["status"] else 0


class Browsers:
    """What so many open pages ask, as page.js does: every 1.5 s, of histories what came since. In one thread and over
    connections that stay, so that asking takes little: a browser is on another machine."""

    PAUSE = 1.5

    def __init__(self, page, count):
        self.host, self.count = page.url.removeprefix("http://"), count
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.problem = None

    def run(self):
        try:
            self.ask()
        except Exception as problem:
            self.problem = problem

    def ask(self):
        if self.count == 0:
            return
        connections = [http.client.HTTPConnection(self.host, timeout=20) for _ in range(self.count)]
        since = [{"whole": "", "evaluations": ""} for _ in connections]
        while True:
            for connection, known in zip(connections, since):
                if self.stop.wait(self.PAUSE / self.count):
                    return
                self.get(connection, "/api/run")
                for window in known:
                    text = self.get(connection, f"/api/history?window={window}{known[window]}")
                    key = re.search(rb'"key":"([^"]*)"', text).group(1).decode()
                    steps = re.search(rb'"last_step":\[([^]]*)\]', text).group(1).split(b",")
                    # Nothing came since: what is known stays.
                    if steps[-1] or key not in known[window]:
                        known[window] = f"&key={key}&since={int(steps[-1] or 0)}"

    @staticmethod
    def get(connection, path):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return text

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        if self.problem:
            raise self.problem


def records(run):
    """The records of metrics.jsonl by their steps; a line that is being written is none."""
    found = {}
    for line in pathlib.Path(run, "metrics.jsonl").read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[record["step"]] = record
    return found


def write_long_metrics(source, target, steps):
    """As many records as asked for, each with the figures of one of a run that was."""
    samples = []
    for _, record in sorted(records(source).items()):
        del record["step"], record["unix_seconds"]
        # As massl writes them: without blanks.
        samples.append(json.dumps(record, separators=(",", ":"))[1:])
    with open(target, "w") as file:
        for step in range(1, steps + 1):
            sample = samples[step * len(samples) // (steps + 1)]
            file.write(f'{{"step":{step},"unix_seconds":{1.7e9 + step},{sample}\n')
