"""Writes the schedules of a short run, step by step, in double precision."""
import json

import numpy as np

EPOCHS, STEPS_PER_EPOCH = 10, 7


def cosine(base, final, warmup_epochs=0, start=0.0):
    warmup = np.linspace(start, base, warmup_epochs * STEPS_PER_EPOCH)
    i = np.arange(EPOCHS * STEPS_PER_EPOCH - len(warmup))
    return np.concatenate([warmup, final + 0.5 * (base - final) * (1 + np.cos(np.pi * i / len(i)))])


def write(folder):
    steps = EPOCHS * STEPS_PER_EPOCH
    temperature = np.full(steps, 0.07)
    temperature[: 4 * STEPS_PER_EPOCH] = np.linspace(0.04, 0.07, 4 * STEPS_PER_EPOCH)
    values = dict(
        epochs=EPOCHS,
        steps_per_epoch=STEPS_PER_EPOCH,
        note="lr: base 5e-4*128/256, final 1e-6, no warmup; lr_warm: base 7.5e-4*128/256, final 2e-6, 3 warmup epochs "
        "from 0; wd 0.04->0.4; momentum 0.992->1; teacher_temp 0.04->0.07 over 4 warmup epochs then constant",
        lr=cosine(5e-4 * 128 / 256, 1e-6),
        lr_warm=cosine(7.5e-4 * 128 / 256, 2e-6, warmup_epochs=3),
        wd=cosine(0.04, 0.4),
        momentum=cosine(0.992, 1.0),
        teacher_temp=temperature)
    (folder / "schedules.json").write_text(json.dumps(values, default=lambda a: a.tolist()) + "\n")
