"""Writes all golden cases into Tests/Golden, or into the folder given."""
import pathlib
import sys

import augmentation
import backbones
import mixed_precision
import schedules
import training

if __name__ == "__main__":
    default = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Golden"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for kind in (training, mixed_precision, backbones, augmentation, schedules):
        kind.write(folder)
