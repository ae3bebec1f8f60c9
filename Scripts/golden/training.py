"""Writes the training cases: inputs, outputs and weights of one to three steps of tiny networks."""
import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from reference import Run

CONVENTIONS = (
    "row-major; Linear weight [out,in]; patch conv weight [dim,3,p,p]; crops [B,3,H,W]; memory rows [K,dim] "
    "(row = slot); permutation[i] = slot at position i, block b = positions b*block_size..<(b+1)*block_size; "
    "embeddings are view-major: rows v*B..<(v+1)*B are view v, views 0 and 1 global")

# Odd sizes on purpose: heads 3 floats wide, 2 x 2 patches where 3 x 3 were trained, a batch of 3.
BASE = dict(
    seed=0, batch=3, global_crops=2, local_crops=2, image_size=6, local_size=4, patch_size=2, embed_dim=6, depth=1,
    heads=2, mlp_ratio=4, head_layers=3, head_hidden=10, bottleneck=7, memory_size=22, block_size=11,
    student_temp=0.1, teacher_temp=0.04, koleo_weight=0.0, use_bn_in_head=False, use_mean_pooling=False,
    optimizer="adamw", momentum_teacher=0.99, weight_decay=0.04, clip_grad=3.0, lr=[0.001], steps=1,
    layernorm_eps=1e-6)

CASES = {
    "adamw": dict(seed=1, lr=[0.001, 0.0008], steps=2),
    "batchnorm_head": dict(seed=2, use_bn_in_head=True),
    "mean_pooling": dict(seed=3, use_mean_pooling=True),
    "koleo": dict(seed=4, depth=2, koleo_weight=0.1),
    "lars": dict(seed=5, optimizer="lars", lr=[0.3, 0.2], steps=2),
    "sgd": dict(seed=6, optimizer="sgd", lr=[0.1, 0.05], steps=2, clip_grad=0.3),
    "layer_scale": dict(seed=8, depth=2, layer_scale=0.1, optimizer="sgd", lr=[0.1, 0.05], steps=2),
    "registers": dict(seed=9, depth=2, registers=3),
    "registers_mean_pooling": dict(
        seed=10, registers=2, layer_scale=0.1, use_mean_pooling=True, optimizer="lars", lr=[0.3]),
}


def shapes(case):
    """Name -> shape of every tensor, in the order of the layout."""
    d, hidden, patch = case["embed_dim"], case["head_hidden"], case["patch_size"]
    mlp = case["mlp_ratio"] * d
    s = {
        "backbone.cls_token": (1, 1, d),
    }
    if case.get("registers"):
        s["backbone.reg_token"] = (1, case["registers"], d)
    s |= {
        "backbone.pos_embed": (1, 1 + (case["image_size"] // patch) ** 2, d),
        "backbone.patch_embed.proj": (d, 3, patch, patch),
    }
    for i in range(case["depth"]):
        b = f"backbone.blocks.{i}."
        s |= {b + "norm1": (d,), b + "attn.qkv": (3 * d, d), b + "attn.proj": (d, d)}
        s |= {b + "ls1.gamma": (d,)} if case.get("layer_scale") else {}
        s |= {b + "norm2": (d,), b + "mlp.fc1": (mlp, d), b + "mlp.fc2": (d, mlp)}
        s |= {b + "ls2.gamma": (d,)} if case.get("layer_scale") else {}
    s["backbone.fc_norm" if case["use_mean_pooling"] else "backbone.norm"] = (d,)
    sizes = [d, hidden, hidden, case["bottleneck"]]
    for i, layer in enumerate([0, 3, 6] if case["use_bn_in_head"] else [0, 2, 4]):
        s[f"head.mlp.{layer}"] = (sizes[i + 1], sizes[i])
        if case["use_bn_in_head"] and i < 2:
            s[f"head.mlp.{layer + 1}"] = (hidden,)
    return s


def weights(case, generator):
    """Weights large enough for every part of the network to matter."""
    named = {}
    for name, shape in shapes(case).items():
        noise = torch.randn(shape, generator=generator)
        if name in ("backbone.cls_token", "backbone.reg_token", "backbone.pos_embed"):
            named[name] = 0.3 * noise
            continue
        if name.endswith(".gamma"):
            named[name] = 0.5 * noise
            continue
        is_norm = len(shape) == 1
        named[name + ".weight"] = 1 + 0.1 * noise if is_norm else noise * 1.5 / noise[0].numel() ** 0.5
        named[name + ".bias"] = 0.1 * torch.randn(shape[0], generator=generator)
        if is_norm and name.startswith("head."):
            named[name + ".running_mean"] = torch.zeros(shape)
            named[name + ".running_var"] = torch.ones(shape)
    return named


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()


def write_case(name, settings, folder):
    case = BASE | settings
    generator = torch.Generator().manual_seed(case["seed"])
    student, teacher = weights(case, generator), weights(case, generator)
    memory = F.normalize(torch.randn(case["memory_size"], case["bottleneck"], generator=generator), dim=-1)
    # A pointer near the end: the rows wrap around.
    pointer = case["memory_size"] - 2
    run = Run(case, student, teacher, memory, pointer)
    exact = Run(case, student, teacher, memory, pointer, torch.float64)
    tensors = {}
    spread = dict(gradients=0.0, parameters=0.0, loss=0.0, embeddings=0.0)

    def widen(key, a, b):
        spread[key] = max(spread[key], relative(a.double(), b.double()))

    for step in range(case["steps"]):
        at = f"step{step}."
        sizes = [case["image_size"]] * 2 + [case["local_size"]] * case["local_crops"]
        crops = [torch.randn(case["batch"], 3, size, size, generator=generator) for size in sizes]
        permutation = torch.randperm(case["memory_size"], generator=generator)
        tensors |= {at + n: t for n, t in run.tensors().items()}
        tensors |= {f"{at}crop{i}": crop for i, crop in enumerate(crops)}
        tensors[at + "permutation"] = permutation
        tensors[at + "memory"] = run.memory.clone()
        tensors[at + "memory_pointer"] = torch.tensor([run.pointer])
        found = run.step(crops, permutation, case["lr"][step])
        wanted = exact.step(crops, permutation, case["lr"][step])
        for n, g in found.pop("gradients").items():
            tensors[f"{at}gradient.{n}"] = g
            if not n.endswith("qkv.bias"):  # its key part is 0 but for rounding
                widen("gradients", g, wanted["gradients"][n])
        tensors |= {at + n: t for n, t in found.items()}
        widen("loss", found["loss"], wanted["loss"])
        widen("embeddings", found["student_embeddings"], wanted["student_embeddings"])
    last = f"step{case['steps']}."
    tensors |= {last + n: t for n, t in run.tensors().items()}
    tensors |= {last + "memory": run.memory.clone(), last + "memory_pointer": torch.tensor([run.pointer])}
    precise = exact.tensors()
    for n, t in run.tensors().items():
        widen("parameters", t, precise[n])
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / f"{name}.safetensors")
    case |= dict(conventions=CONVENTIONS, fp32_vs_fp64_max_relative_difference=spread)
    (folder / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")


def write(folder):
    torch.set_num_threads(1)
    for name, settings in CASES.items():
        write_case(name, settings, folder)
