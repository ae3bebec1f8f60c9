"""Writes the case of mixed precision: a step in fp32, and how far PyTorch's bf16 autocast is from it.

A single rounding of a small tensor may be lucky. So autocast computes the step many times, each time with weights and
pictures that differ from the case's by less than they are rounded by, and is compared with fp32 of the same numbers.
"""
import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from reference import consistency, embed
from training import BASE, CONVENTIONS, weights

DRAWS = 16
# Tensors of some hundreds of numbers, so that chance averages out, and inner sizes that bf16 adds up over.
CASE = BASE | dict(
    seed=7, batch=4, local_crops=2, image_size=16, local_size=8, patch_size=4, embed_dim=32, depth=2, heads=2,
    head_hidden=48, bottleneck=24, memory_size=256, block_size=128)
# A quarter of the distance between neighbouring bfloat16.
JITTER = 2.0**-10


def step(student, teacher, crops, memory, permutation, autocast):
    """Embeddings, loss and gradients by name."""
    student = {n: t.clone().requires_grad_() for n, t in student.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        with torch.no_grad():
            targets = embed(teacher, crops[:2], CASE, {})
        embeddings = embed(student, crops, CASE, {})
        loss = consistency(embeddings, targets, memory, permutation, CASE)
    loss.backward()
    found = {"student embeddings": embeddings.detach(), "teacher embeddings": targets, "loss": loss.detach().reshape(1)}
    return {n: t.float() for n, t in found.items()} | {n: t.grad.float() for n, t in student.items()}


def jittered(tensor, generator):
    return tensor * (1 + JITTER * (2 * torch.rand(tensor.shape, generator=generator) - 1))


def distances(found, wanted):
    """Of each tensor the relative distance and 1 - cosine, in double precision."""
    of = {}
    for name, exact in wanted.items():
        a, b = found[name].double().flatten(), exact.double().flatten()
        of[name] = ((a - b).norm() / b.norm()).item(), (1 - a @ b / (a.norm() * b.norm())).item()
    return of


def write(folder):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(CASE["seed"])
    student, teacher = weights(CASE, generator), weights(CASE, generator)
    memory = F.normalize(torch.randn(CASE["memory_size"], CASE["bottleneck"], generator=generator), dim=-1)
    sizes = [CASE["image_size"]] * 2 + [CASE["local_size"]] * CASE["local_crops"]
    crops = [torch.randn(CASE["batch"], 3, size, size, generator=generator) for size in sizes]
    permutation = torch.randperm(CASE["memory_size"], generator=generator)
    exact = step(student, teacher, crops, memory, permutation, autocast=False)

    drawn = []
    for _ in range(DRAWS):
        inputs = [{n: jittered(t, generator) for n, t in network.items()} for network in (student, teacher)]
        inputs += [[jittered(crop, generator) for crop in crops], memory, permutation]
        drawn.append(distances(step(*inputs, autocast=True), step(*inputs, autocast=False)))
    autocast = dict(
        draws=DRAWS,
        distance={n: (sum(d[n][0] ** 2 for d in drawn) / DRAWS) ** 0.5 for n in exact},
        angle={n: sum(d[n][1] for d in drawn) / DRAWS for n in student})

    tensors = {f"step0.student.{n}": t for n, t in student.items()}
    tensors |= {f"step0.teacher.{n}": t for n, t in teacher.items()}
    tensors |= {f"step0.crop{i}": crop for i, crop in enumerate(crops)}
    tensors |= {"step0.permutation": permutation, "step0.memory": memory}
    for name, tensor in exact.items():
        tensors["step0." + (f"gradient.{name}" if name in student else name.replace(" ", "_"))] = tensor
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "mixed_precision.safetensors")
    case = CASE | dict(autocast=autocast, torch=torch.__version__, conventions=CONVENTIONS)
    (folder / "mixed_precision.json").write_text(json.dumps(case, indent=1) + "\n")
