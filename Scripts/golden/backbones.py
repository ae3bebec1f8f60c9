"""Writes cases of timm's own networks: weights, pictures, features, and every parameter's gradient.

Nothing of reference.py is used: the weights have timm's names, and massl reads them as it reads anybody's. The picture's
side is the trained one, for timm interpolates positions otherwise than the method does.
"""
import json

import timm
import torch
from safetensors.torch import save_file

# Odd sizes on purpose: heads 3 floats wide, 3 x 3 patches, 5 pictures.
BASE = dict(
    library="timm", images=5, image_size=6, patch_size=2, embed_dim=6, depth=3, heads=2, use_mean_pooling=False,
    registers=0, layer_scale=0.0, positions_of_the_class_token=True)

CASES = {
    "timm_layer_scale": dict(seed=21, layer_scale=0.1),
    # As DINOv2's with registers: patches alone have positions.
    "timm_registers": dict(seed=22, layer_scale=1e-5, registers=4, positions_of_the_class_token=False),
    "timm_registers_mean_pooling": dict(
        seed=23, registers=2, use_mean_pooling=True, positions_of_the_class_token=False),
    # Registers with positions of their own, which massl adds to them.
    "timm_registers_with_positions": dict(seed=24, registers=3),
}


def network(case):
    return timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=case["image_size"], patch_size=case["patch_size"],
        embed_dim=case["embed_dim"], depth=case["depth"], num_heads=case["heads"], reg_tokens=case["registers"],
        no_embed_class=not case["positions_of_the_class_token"], init_values=case["layer_scale"] or None,
        global_pool="avg" if case["use_mean_pooling"] else "token")


def write_case(name, settings, folder):
    case = BASE | settings
    torch.manual_seed(case["seed"])
    model = network(case).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # weights large enough for every part of the network to matter
            parameter.add_(0.3 * torch.randn_like(parameter))
    pixels = torch.randn(case["images"], 3, case["image_size"], case["image_size"])
    features = model(pixels)
    weight = torch.randn_like(features)
    (features * weight).sum().backward()
    tensors = {n: p.detach() for n, p in model.named_parameters()}
    tensors |= {f"case.gradient.{n}": p.grad for n, p in model.named_parameters()}
    tensors |= {"case.pixels": pixels, "case.features": features.detach(), "case.feature_gradient": weight}
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / f"{name}.safetensors")
    case |= dict(timm=timm.__version__, torch=torch.__version__)
    (folder / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")


def write(folder):
    torch.set_num_threads(1)
    for name, settings in CASES.items():
        write_case(name, settings, folder)
