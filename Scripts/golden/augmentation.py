"""Writes the augmentation cases: what Pillow makes of a small picture, one operation at a time and in a chain."""
import io
import json

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from safetensors.torch import save_file

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(width, height, seed):
    """Smooth colour, edges and noise: something for every operation to get wrong."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (3 + 2 * c) + seed) + np.cos(y / (4 + c) - x / 9) for c in range(3)]
    values = 128 + 50 * np.stack(waves, axis=-1) + random.normal(0, 12, (height, width, 3))
    values[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    values[(x + 2 * y) % 17 == 0] = (5, 240, 200)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def crop_resize(image, top, left, height, width, size):
    return image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BICUBIC)


def hue(image, shift):
    h, s, v = image.convert("HSV").split()
    # A turn is 256 levels of Pillow's hue; the shift is cut towards zero and wraps around.
    turned = (np.asarray(h).astype(np.int32) + int(shift * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), s, v)).convert("RGB")


OPERATIONS = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": hue,
    "grayscale": lambda image: image.convert("L").convert("RGB"),
    "solarize": lambda image, threshold: ImageOps.solarize(image, threshold),
    "blur": lambda image, sigma: image.filter(ImageFilter.GaussianBlur(sigma)),
    "flip": ImageOps.mirror,
    "crop_resize": crop_resize,
    "jpeg_crop_resize": lambda image, **box: crop_resize(image.convert("RGB"), **box),
}


def normalize(image):
    values = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
    return (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def chain(image, order, **box):
    """A crop, then the operations of `order`: a name and its number."""
    image = crop_resize(image, **box)
    for step in order:
        name, *numbers = step.split()
        if name == "normalize":
            return normalize(image)
        image = OPERATIONS[name](image, *(float(number) for number in numbers))


def boxes(width, height):
    """The whole picture; enlarged; shrunk with odd borders."""
    yield dict(top=0, left=0, height=height, width=width, size=25)
    yield dict(top=3, left=5, height=height // 3, width=width // 4, size=20)
    yield dict(top=1, left=2, height=height - 3, width=width - 5, size=12)


def jpegs():
    colour = picture(45, 34, seed=2)
    # CMYK as Adobe writes it is inverted; Pillow turns it around in both directions.
    for name, image, options in (
        ("baseline", colour, dict(quality=90)), ("progressive", colour, dict(quality=90, progressive=True)),
        ("420", colour, dict(quality=75, subsampling="4:2:0")), ("444", colour, dict(quality=75, subsampling="4:4:4")),
        ("grey", colour.convert("L"), dict(quality=90)), ("cmyk", colour.convert("CMYK"), dict(quality=90))):
        data = io.BytesIO()
        image.save(data, "JPEG", **options)
        yield name, data.getvalue()


def write(folder):
    cases, tensors = [], {}

    def add(op, source, image, **settings):
        name = f"{op}{len(cases)}"
        cases.append(dict(name=name, op=op, source=source, **settings))
        result = chain(image, **settings) if op == "chain" else OPERATIONS[op](image, **settings)
        is_tensor = isinstance(result, torch.Tensor)
        tensors[name] = result if is_tensor else torch.from_numpy(np.asarray(result).copy())

    source = picture(27, 21, seed=1)
    tensors["source0"] = torch.from_numpy(np.asarray(source).copy())
    for box in boxes(*source.size):
        add("crop_resize", "source0", source, **box)
    for op, key, values in (
        ("brightness", "factor", (0.6, 1.37)), ("contrast", "factor", (0.6, 1.37)), ("saturation", "factor", (0.8, 1.19)),
        ("hue", "shift", (-0.1, 0.031, 0.1)), ("solarize", "threshold", (128,)), ("blur", "sigma", (0.1, 0.9, 2.0))):
        for value in values:
            add(op, "source0", source, **{key: value})
    add("grayscale", "source0", source)
    order = "flip,saturation 0.9,brightness 1.2,hue 0.05,contrast 0.75,blur 1.1,solarize 128,normalize".split(",")
    add("chain", "source0", source, top=2, left=3, height=17, width=22, size=16, order=order)
    for kind, data in jpegs():
        tensors["jpeg0_" + kind] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        image = Image.open(io.BytesIO(data))
        for box in list(boxes(*image.size))[::2]:
            add("jpeg_crop_resize", "jpeg0_" + kind, image, **box)

    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "augment.safetensors")
    conventions = (
        "pictures uint8 [height, width, 3], RGB; jpeg sources: the bytes of a JPEG file; chain: float [3, size, size]")
    (folder / "augment.json").write_text(json.dumps(dict(conventions=conventions, cases=cases), indent=1) + "\n")
