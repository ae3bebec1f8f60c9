"""Writes the cases of mixed precision: a step in fp32, and how far PyTorch's bf16 autocast is from it.

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
CASES = {
    "mixed_precision": BASE | dict(
        seed=7, batch=4, local_crops=2, image_size=16, local_size=8, patch_size=4, embed_dim=32, depth=2, heads=2,
        head_hidden=48, bottleneck=24, memory_size=256, block_size=128)
}
CASES["mixed_precision_registers"] = CASES["mixed_precision"] | dict(seed=11, registers=4, layer_scale=0.1)
# A quarter of the distance between neighbouring bfloat16.
JITTER = 2.0**-10


def step(case, student, teacher, crops, memory, permutation, autocast):
    """Embeddings, loss and gradients by name."""
    student = {n: t.clone().requires_grad_() for n, t in student.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        with torch.no_grad():
            targets = embed(teacher, crops[:2], case, {})
        embeddings = embed(student, crops, case, {})
        loss = consistency(embeddings, targets, memory, permutation, case)
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


def write_case(name, case, folder):
    generator = torch.Generator().manual_seed(case["seed"])
    student, teacher = weights(case, generator), weights(case, generator)
    memory = F.normalize(torch.randn(case["memory_size"], case["bottleneck"], generator=generator), dim=-1)
    sizes = [case["image_size"]] * 2 + [case["local_size"]] * case["local_crops"]
    crops = [torch.randn(case["batch"], 3, size, size, generator=generator) for size in sizes]
    permutation = torch.randperm(case["memory_size"], generator=generator)
    exact = step(case, student, teacher, crops, memory, permutation, autocast=False)

    drawn = []
    for _ in range(DRAWS):
        inputs = [{n: jittered(t, generator) for n, t in network.items()} for network in (student, teacher)]
        inputs += [[jittered(crop, generator) for crop in crops], memory, permutation]
        drawn.append(distances(step(case, *inputs, autocast=True), step(case, *inputs, autocast=False)))
    autocast = dict(
        draws=DRAWS,
        distance={n: (sum(d[n][0] ** 2 for d in drawn) / DRAWS) ** 0.5 for n in exact},
        angle={n: sum(d[n][1] for d in drawn) / DRAWS for n in student})

    tensors = {f"step0.student.{n}": t for n, t in student.items()}
    tensors |= {f"step0.teacher.{n}": t for n, t in teacher.items()}
    tensors |= {f"step0.crop{i}": crop for i, crop in enumerate(crops)}
    tensors |= {"step0.permutation": permutation, "step0.memory": memory}
    for n, tensor in exact.items():
        tensors["step0." + (f"gradient.{n}" if n in student else n.replace(" ", "_"))] = tensor
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / f"{name}.safetensors")
    case |= dict(autocast=autocast, torch=torch.__version__, conventions=CONVENTIONS)
    (folder / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")


def write(folder):
    torch.set_num_threads(1)
    for name, case in CASES.items():
        write_case(name, dict(case), folder)
