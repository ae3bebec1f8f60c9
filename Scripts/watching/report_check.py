"""The report of an evaluation, and a run's curves, in the browser: true figures, all pictures there, all text readable."""

import json
import pathlib
import subprocess

from processes import PROGRAM


def massl(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def check(check):
    browser, run = check.browser, check.path("finished")
    judged = ["--run", run, "--train", check.path("data/train"), "--test", check.path("data/test"), "--k", "10", "20"]
    said = massl("evaluate", "knn", *judged, "--json")
    pathlib.Path(check.path("knn.json")).write_text(said)
    page = check.path("report.html")
    massl("evaluate", "report", *judged, "--show", "4", "--include", check.path("knn.json"), "--out", page)
    browser.open(f"file://{page}")
    for view in browser.VIEWS:
        browser.show(view)
        browser.screenshot(check.pictures / f"report-{view}.png")
        unreadable = browser.unreadable()
        assert not unreadable, f"report, {view}: contrast of {unreadable}"
        assert not browser.overflows(), f"report, {view}: wider than the screen"
    figures = json.loads(browser.run("return document.getElementById('figures').textContent"))
    assert figures["knn"] == json.loads(said)["knn"], f"{figures['knn']} is shown, not {said}"
    pictures = browser.run("return [...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(pictures) > 50 and all(pictures), f"pictures that are not there: {pictures}"
    points = browser.run("return document.querySelectorAll('svg.map circle').length")
    assert points == figures["map"]["points"] == figures["queries"]
    curves = check.path("curves.svg")
    massl("visualize", "curves", "--run", run, "--out", curves)
    browser.open(f"file://{curves}")
    for view in ["light-wide", "dark-wide"]:
        browser.show(view)
        browser.screenshot(check.pictures / f"curves-{view}.png")
    assert browser.run("return document.querySelectorAll('path.line').length") > 5
    complaints = browser.complaints()
    assert not complaints, f"report: the console says {complaints}"
    check.say(f"report: {len(pictures)} pictures, {points} points, and the figures of evaluate knn")
    browser.leave()
