"""Event files of real runs, read back by TensorBoard's own readers and compared with metrics.jsonl and the weights."""

import io
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import urllib.request

import numpy
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from processes import PROGRAM, Process, eventually, free_port, records

NO_FIGURES = {"step", "unix_seconds", "warning"}


class Events:
    """What TensorBoard's reader finds in a folder: by tag the steps, and each one's value."""

    def __init__(self, folder):
        self.reader = EventAccumulator(str(folder), size_guidance={"tensors": 0}, tensor_size_guidance={
            "scalars": 0, "images": 0, "histograms": 0})
        self.reader.Reload()

    def of(self, plugin):
        found = {}
        for tag in self.reader.summary_metadata:
            if self.reader.summary_metadata[tag].plugin_data.plugin_name == plugin:
                events = self.reader.Tensors(tag)
                steps = [event.step for event in events]
                assert len(steps) == len(set(steps)), f"{tag}: a step stands there twice: {steps}"
                found[tag] = {event.step: event.tensor_proto for event in events}
        return found


def number(tensor):
    from tensorboard.util.tensor_util import make_ndarray
    return make_ndarray(tensor)


def key_of(tag):
    """The key in metrics.jsonl that a tag's last part names."""
    group, name = tag.split("/", 1)
    return f"gradient_norm/{name}" if group == "gradient" and name != "gradient_norm" else name


def compare_scalars(run, folder):
    """Every figure of every record, and no other, as 32 bits hold it."""
    saved = records(run)
    found = Events(folder).of("scalars")
    count = 0
    for step, record in saved.items():
        for key, value in record.items():
            if key not in NO_FIGURES and value is not None:
                tag = next(tag for tag in found if key_of(tag) == key)
                assert number(found[tag][step]) == numpy.float32(value), f"step {step}: {tag}"
                count += 1
    assert count == sum(len(steps) for steps in found.values()), "the files have figures that metrics.jsonl has not"
    return count, found


def tensors(path):
    """Those of a safetensors file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, numpy.frombuffer(data[8 + length + begin:8 + length + end], "<f4")


def compare_histograms(run, folder):
    """Of each checkpoint that is still there: as many numbers as the tensor has, between its least and largest."""
    found = Events(folder).of("histograms")
    steps = set(next(iter(found.values())))
    compared = 0
    for checkpoint in sorted(pathlib.Path(run, "checkpoints").glob("step-*")):
        step = int(checkpoint.name.split("-")[1])
        if step not in steps:
            continue
        for network in ["student", "teacher"]:
            for name, values in tensors(checkpoint / f"{network}.safetensors"):
                buckets = number(found[f"{network}/{name}"][step])
                assert buckets[:, 2].sum() == values.size, f"{network}/{name}: {buckets[:, 2].sum()} of {values.size}"
                assert buckets[0, 0] == values.min() and buckets[-1, 1] == values.max(), f"{network}/{name}"
                compared += 1
    assert compared > 0, f"no checkpoint of {run} has histograms; they are of steps {sorted(steps)}"
    return compared, len(steps)


def compare_pictures(folder, size, views):
    """Strips of views that decode, of the size that the views have, and are no plain areas."""
    found = Events(folder).of("images")
    assert sorted(found) == [f"views/{place}" for place in range(4)], sorted(found)
    count = 0
    for steps in found.values():
        assert 0 in steps, "the first batch is not shown"
        for tensor in steps.values():
            width, height, data = number(tensor)[:3]
            picture = Image.open(io.BytesIO(data))
            assert picture.size == (int(width), int(height)) == (size(views), picture.height)
            assert numpy.asarray(picture).std() > 10
            count += 1
    return count


def check(check):
    run, folder = check.path("boarded"), pathlib.Path(check.path("boarded/tensorboard"))
    flags = ["--tensorboard", "--checkpoint-every-steps", "20", "--max-steps", "150"]

    # 1. A run that is killed twice, once with what writes its files, does steps again; none stands there twice.
    with check.train("boarded", free_port(), *flags) as train:
        eventually("event files", lambda: list(folder.glob("*tfevents*")))
        eventually("some steps", lambda: max(records(run), default=0) > 50)
        os.kill(train.children("coordinator")[0], signal.SIGKILL)
        eventually("more steps", lambda: max(records(run), default=0) > 90)
    with check.train("boarded", free_port(), *flags) as train:
        assert train.wait() == 0, "the run failed"
    count, found = compare_scalars(run, folder)
    assert set(found["loss/loss"]) == set(range(1, 151))
    assert any(tag.startswith("gradient/blocks.") for tag in found)
    check.say(f"TensorBoard finds {count} figures of 150 steps under {len(found)} names, none twice")
    compared, steps = compare_histograms(run, folder)
    check.say(f"and histograms of {steps} checkpoints, {compared} of which are those of weights that are there")
    # Two global views of 32 pixels and two local ones of 16, as the recipe has them.
    configuration = pathlib.Path(run, "config.yaml").read_text()
    side = lambda key: int(next(line for line in configuration.splitlines() if line.startswith(f"{key}:")).split()[1])
    width = lambda views: 2 * side("image_size") + side("local_crops_number") * side("local_size") + 2 * (views - 1)
    pictures = compare_pictures(folder, width, 2 + side("local_crops_number"))
    check.say(f"and {pictures} strips of views")

    # 2. Its other reader, which the server runs, and the server itself.
    served(check, folder)

    # 3. What stands there is not written again.
    before = sorted((file.name, file.stat().st_size) for file in folder.iterdir())
    subprocess.run([PROGRAM, "tensorboard", "--run", run, "--data", check.path("data/train")], check=True)
    assert sorted((file.name, file.stat().st_size) for file in folder.iterdir()) == before

    # 4. A full disk, and one that has room again.
    full(check, run)


def served(check, folder):
    port = free_port()
    program = pathlib.Path(".venv-watching/bin/tensorboard")
    server = subprocess.Popen(
        [program, "--logdir", folder.parent, "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def steps():
            url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run=tensorboard&tag=loss%2Floss"
            try:
                return [point[1] for point in json.loads(urllib.request.urlopen(url, timeout=20).read())]
            except OSError:
                return []

        eventually("all steps in TensorBoard", lambda: steps() == list(range(1, 151)))
        check.say("TensorBoard's server shows the same steps")
    finally:
        server.terminate()
        server.wait()


def full(check, run):
    """A limit on the size of its files stands for the disk: what writes them says so once, and nothing is torn."""
    out = pathlib.Path(check.path("full"))
    shutil.rmtree(out, ignore_errors=True)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    said = subprocess.run(
        [PROGRAM, "tensorboard", "--run", run, "--out", out], preexec_fn=limit, restore_signals=False,
        capture_output=True, text=True)
    assert said.returncode == 75 and said.stderr.startswith("Error: Cannot write to "), said
    assert len(said.stderr.splitlines()) == 1, said.stderr
    subprocess.run([PROGRAM, "tensorboard", "--run", run, "--out", out], check=True)
    compare_scalars(run, out)
    check.say("a full disk is one line, and what is missing is written later")
