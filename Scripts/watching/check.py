"""Shows real runs in a real browser, TensorBoard and a terminal, and compares what they show with what massl says."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import events_check
import report_check
import tensorboard_check
import terminal_check
from browser import Browser
from processes import (
    PROGRAM, RECIPE, Browsers, Page, Process, eventually, free_port, processor_seconds, records, write_long_metrics)

# Rounds with ten browsers, and as many without any between them; seconds of each.
COST_ROUNDS = int(os.environ.get("COST_ROUNDS", 3))
COST_SECONDS = float(os.environ.get("COST_SECONDS", 4))


class Check:
    def __init__(self, folder, pictures):
        self.folder, self.pictures = folder, pictures
        self.browser = Browser()
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:5.0f} s  {text}", flush=True)

    def path(self, name):
        return str(self.folder / name)

    def train(self, run, port, *more):
        command = ["train", "--data", self.path("data/train"), "--run", self.path(run), "--page", f"127.0.0.1:{port}"]
        return Process(self.path(f"{run}.log"), *command, *RECIPE, *more)

    def shoot(self, name, state):
        """The page in all its looks: nothing to complain of, and all of it readable."""
        browser = self.browser
        for view in browser.VIEWS:
            browser.show(view)
            eventually(f"the page of a {name} run", lambda: browser.run(
                f"return document.getElementById('verdict').dataset.state === {json.dumps(state)}"
                " && document.querySelectorAll('.key').length > 0"))
            browser.screenshot(self.pictures / f"{name}-{view}.png")
            unreadable = browser.unreadable()
            assert not unreadable, f"{name}, {view}: contrast of {unreadable}"
            assert not browser.overflows(), f"{name}, {view}: wider than the screen"
        browser.show("light-wide")
        complaints = browser.complaints()
        assert not complaints, f"{name}: the console says {complaints}"
        self.say(f"{name}: {browser.text('#sentence')}")

    # MARK: a run that goes on

    def running(self):
        port = free_port()
        page, browser = Page(port), self.browser
        with self.train("well", port) as train:
            eventually("the page", lambda: page.step() > 2)
            browser.open(page.url + "/")
            self.shoot("young", "young")
            self.true_figures(page)
            browser.run("window.mark = 'not loaded again'")
            step = page.step()
            eventually("a later step in the browser", lambda: float(browser.figures()["step"]) > step)

            os.kill(train.children("coordinator")[0], signal.SIGKILL)
            eventually("the coordinator's restart", lambda: (page.run() or {}).get("status", {}).get("incarnation") == 2)
            step = page.step()
            eventually("a step of the new coordinator's in the browser", lambda: float(browser.figures()["step"]) > step)
            assert browser.run("return window.mark") == "not loaded again", "the page was loaded again"
            assert not browser.complaints(), "the console complains of the coordinator's restart"
            self.say("the page survived the coordinator's restart")

            eventually("a run that is well", lambda: page.state() == "well")
            self.shoot("well", "well")
            self.metrics(page)
            self.ten_tabs(page)
            self.cost(train, page)
            for worker in train.children("worker"):
                os.kill(worker, signal.SIGSTOP)
            eventually("a stalled run", lambda: page.state() == "stalled")
            self.shoot("stalled", "stalled")
            assert page.get("/healthz")[0] == 503
            browser.leave()

    def true_figures(self, page):
        """What is shown is what status says, the step's record is its line, and the history is all lines', to the digit."""
        # Both of one moment: the page keeps what it shows.
        shown, run = self.browser.run(
            "return [Object.fromEntries([...document.querySelectorAll('[data-figure]')]"
            ".map(e => [e.dataset.figure, e.value])), run]")
        for name in ["step", "loss", "lr", "embedding_spread", "target_entropy", "images_per_second", "seconds_left"]:
            assert float(shown[name]) == run["status"][name], f"{name}: {shown[name]} is shown, not {run['status'][name]}"
        history = json.loads(page.get("/api/history?window=newest")[1])
        saved = records(self.path("well"))
        assert run["record"] == saved[run["record"]["step"]], "the record is not its line of metrics.jsonl"
        # The coordinator may have been asked a step before or after the file was read.
        near = [saved[step] for step in (run["status"]["step"] - 1, run["status"]["step"]) if step in saved]
        assert any(all(run["status"][name] == record[name] for name in ["loss", "lr", "target_entropy"]) for record in near)
        for place, step in enumerate(history["first_step"]):
            for name, values in history["mean"].items():
                assert values[place] == saved[step][name], f"step {step}: {name} is {values[place]}, not {saved[step][name]}"
        said = subprocess.run([PROGRAM, "status", "--run", self.path("well"), "--json"], check=True, capture_output=True)
        assert json.loads(said.stdout).keys() == run["status"].keys() == json.loads(page.get("/api/status")[1]).keys()
        self.say(f"{len(shown)} figures are those of status, and {len(history['first_step'])} steps those of metrics.jsonl")

    def metrics(self, page):
        text = page.get("/metrics")[1]
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
        assert checked.returncode == 0 and not checked.stderr, f"promtool: {checked.stdout}{checked.stderr}"
        assert "\nmassl_slices_waiting " in text
        self.say(f"promtool: {text.count('# TYPE')} metrics, nothing to complain of")
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        used = pathlib.Path("Cluster/grafana/massl.json").read_text()
        missing = set(re.findall(r"massl_[a-z_]+", used)) - names
        # Of runs on many machines, of those that were not resumed lately, and of those whose features are evaluated.
        seldom = {"massl_reduce_seconds", "massl_chosen_share_ratio", "massl_knn_accuracy_ratio", "massl_rank_me", "massl_lidar"}
        assert missing <= seldom, f"the dashboard asks for {missing}"

    def ten_tabs(self, page):
        driver = self.browser.driver
        first = driver.current_window_handle
        for _ in range(9):
            driver.switch_to.new_window("tab")
            driver.get(page.url + "/")
        for handle in driver.window_handles:
            driver.switch_to.window(handle)
            eventually("the figures in each of ten tabs", lambda: self.browser.figures().get("step"))
            if handle != first:
                driver.close()
        driver.switch_to.window(first)
        self.say("ten tabs show the run")

    def cost(self, train, page):
        """What ten browsers take of the processors, and steps a second with and without them. Printed: a loaded machine is
        no fault. The first is what it costs; the second, which all that runs beside it disturbs, is to agree."""
        def measured(seconds):
            """Steps a second, by the steps' own times, and shares of all processors, by process. Nothing is asked."""
            words = ["page", "coordinator"]
            begin, used = time.time(), [processor_seconds(*train.children(word)) for word in words]
            time.sleep(seconds)
            shares = [(processor_seconds(*train.children(word)) - before) / seconds / os.cpu_count() for word, before in zip(words, used)]
            times = [record["unix_seconds"] for record in records(self.path("well")).values() if record["unix_seconds"] > begin]
            return [(len(times) - 1) / (max(times) - min(times)), *shares]

        self.browser.leave()
        pairs = []
        for number in range(COST_ROUNDS):
            found = {}
            # Now these first, now those: a machine that slows down favours neither.
            for count in [0, 10] if number % 2 == 0 else [10, 0]:
                with Browsers(page, count):
                    found[count] = measured(COST_SECONDS)
            pairs.append((found[0], found[10]))
        none, ten = ([sum(column) / COST_ROUNDS for column in zip(*side)] for side in zip(*pairs))
        self.say(f"of the processors ten browsers take {ten[1] - none[1]:.2%} by the page ({none[1]:.2%} without them)"
                 f" and {ten[2] - none[2]:+.2%} by the coordinator ({none[2]:.2%})")
        rounds = ", ".join(f"{after[0] / before[0] - 1:+.1%}" for before, after in pairs)
        self.say(f"steps a second: {none[0]:.2f} without browsers, {ten[0]:.2f} with ten ({ten[0] / none[0] - 1:+.1%}; {rounds})")
        self.browser.open(page.url + "/")

    # MARK: runs that end, or go wrong

    def collapsing(self):
        port = free_port()
        with self.train("collapsing", port, "--lr", "10"):
            page = Page(port)
            eventually("a collapsing run", lambda: page.state() == "collapsing")
            self.browser.open(page.url + "/")
            self.shoot("collapsing", "collapsing")
            assert page.get("/healthz")[0] == 503
            self.browser.leave()

    def finished(self):
        port = free_port()
        with self.train("finished", port, "--max-steps", "60") as train:
            assert train.wait() == 0, "the run failed"
        with Process(self.path("page.log"), "page", "--run", self.path("finished"), "--listen", f"127.0.0.1:{port}"):
            page = Page(port)
            eventually("a finished run", lambda: page.state() == "finished")
            said = subprocess.run(
                [PROGRAM, "status", "--run", self.path("finished"), "--json"], check=True, capture_output=True, text=True).stdout
            assert page.get("/api/status")[1] == said, "/api/status is not what status --json says"
            assert page.get("/healthz")[0] == 200
            self.browser.open(page.url + "/")
            self.shoot("finished", "finished")
            self.browser.leave()

    def million_steps(self):
        """How long a run of a million steps takes to be seen, and how much memory."""
        shutil.copytree(self.path("finished"), self.path("long"))
        write_long_metrics(self.path("finished"), self.path("long/metrics.jsonl"), 1_000_000)
        port = free_port()
        start = time.monotonic()
        with Process(self.path("page.log"), "page", "--run", self.path("long"), "--listen", f"127.0.0.1:{port}") as process:
            page = Page(port)
            eventually("the page", lambda: page.get("/healthz")[0])
            served = time.monotonic() - start
            start = time.monotonic()
            self.browser.open(page.url + "/")
            eventually("a chart", lambda: self.browser.run("return document.querySelectorAll('path.line').length > 5"))
            shown = time.monotonic() - start
            whole = lambda: json.loads(page.get("/api/history")[1])
            eventually("the whole history", lambda: whole()["share_read"] == 1 and whole()["last_step"][-1] == 1_000_000)
            read = time.monotonic() - start
            status = pathlib.Path(f"/proc/{process.process.pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) >> 10
            assert len(whole()["first_step"]) <= 800
            assert peak < 300, f"the page's process took {peak} MiB"
            self.say(f"a million steps: served after {served:.2f} s, seen {shown:.2f} s later, read whole {read:.1f} s later, {peak} MiB")
            self.browser.show("light-wide")
            eventually("the note", lambda: "mean of" in self.browser.text("#history-note"))
            self.browser.screenshot(self.pictures / "million-light-wide.png")
            self.browser.leave()


def main():
    pictures = pathlib.Path(sys.argv[1]).resolve()
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="massl-watching-") as folder:
        check = Check(pathlib.Path(folder), pictures)
        try:
            subprocess.run(
                [PROGRAM, "synthesize", "--out", check.path("data"), "--images", "1000"],
                check=True, stdout=subprocess.DEVNULL)
            check.running()
            check.collapsing()
            check.finished()
            check.million_steps()
            report_check.check(check)
            tensorboard_check.check(check)
            events_check.check(check)
            terminal_check.check(check)
        finally:
            check.browser.quit()
        check.say(f"all is well; look at the pictures in {pictures}")


main()
