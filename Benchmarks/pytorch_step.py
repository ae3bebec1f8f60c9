"""The PyTorch side of Benchmarks/compare: images/s of one whole training step, or of the objective alone.

    make bench-peers
    .venv-bench/bin/python Benchmarks/pytorch_step.py [--threads 2] [--steps 8] [--objective] [--autocast]

timm's blocks (fused attention), the projection head, the block loss over the whole memory, per-tensor clipping, AdamW
and the teacher's average: all that a step does but reading and cropping pictures, which are random here. Prints one
line of JSON.
"""
import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from timm.models.vision_transformer import Block


class VisionTransformer(nn.Module):
    def __init__(self, image_size, patch, width, depth, heads):
        super().__init__()
        self.side = image_size // patch
        self.patch_embed = nn.Conv2d(3, width, patch, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + self.side**2, width) * 0.02)
        rates = [0.1 * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def positions(self, side):
        if side == self.side:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        scale = (side + 0.1) / self.side
        grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x):
        x = self.patch_embed(x)
        side = x.shape[-1]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        x = x + self.positions(side)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


class Network(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.backbone = VisionTransformer(o.image_size, o.patch_size, o.embed_dim, o.depth, o.heads)
        h = o.head_hidden
        self.head = nn.Sequential(
            nn.Linear(o.embed_dim, h), nn.GELU(), nn.Linear(h, h), nn.GELU(), nn.Linear(h, o.bottleneck))

    def forward(self, groups):
        """Pictures of one size are one batch, as in the reference."""
        return F.normalize(self.head(torch.cat([self.backbone(g) for g in groups])), dim=-1, eps=1e-6)


def block_loss(student, teacher, memory, o):
    """Targets of a student view are summed first; one log-softmax a student view and block."""
    views = len(student) // o.batch
    pairs, blocks = 2 * views - 2, memory[torch.randperm(len(memory))].split(o.block_size)
    total = 0
    for block in blocks:
        with torch.no_grad():
            first, second = (teacher @ block.T / 0.04).softmax(dim=-1).split(o.batch)
            targets = torch.cat([second, first] + [first + second] * (views - 2))
        total = total - (targets * (student @ block.T / 0.1).log_softmax(dim=-1)).sum()
    return total / (pairs * len(blocks) * o.batch)


def main():
    p = argparse.ArgumentParser()
    for name, value in dict(
        threads=2, steps=8, warmup=2, batch=64, image_size=32, local_size=16, local_crops=4, patch_size=4,
        embed_dim=192, depth=4, heads=3, head_hidden=2048, bottleneck=256, memory_size=8192, block_size=1024).items():
        p.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    p.add_argument("--objective", action="store_true", help="the block loss and its gradient alone")
    p.add_argument("--autocast", action="store_true", help="networks and loss in bf16 autocast")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    step = objective(o) if o.objective else training(o)
    seconds = []
    for _ in range(o.warmup + o.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    measured = sorted(seconds[o.warmup :])
    print(json.dumps(dict(
        images_per_second=o.batch / measured[len(measured) // 2], fastest=o.batch / measured[0],
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, torch=torch.__version__, **vars(o))))


def autocast(o):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.autocast)


def objective(o):
    def unit(rows):
        return F.normalize(torch.randn(rows, o.bottleneck), dim=-1)

    memory, teacher = unit(o.memory_size), unit(2 * o.batch)
    student = unit((2 + o.local_crops) * o.batch).requires_grad_()

    def step():
        student.grad = None
        with autocast(o):
            loss = block_loss(student, teacher, memory, o)
        loss.backward()

    return step


def training(o):
    student, teacher = Network(o), Network(o)
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False).eval()
    decaying = [t for t in student.parameters() if t.ndim > 1]
    others = [t for t in student.parameters() if t.ndim == 1]
    groups = [dict(params=decaying, weight_decay=0.04), dict(params=others, weight_decay=0)]
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    memory = F.normalize(torch.randn(o.memory_size, o.bottleneck), dim=-1)
    globals_ = torch.randn(2 * o.batch, 3, o.image_size, o.image_size)
    locals_ = torch.randn(o.local_crops * o.batch, 3, o.local_size, o.local_size)
    pointer = 0

    def step():
        nonlocal pointer
        with autocast(o):
            with torch.no_grad():
                targets = teacher([globals_])
            loss = block_loss(student([globals_, locals_]), targets, memory, o)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            for t in student.parameters():
                t.grad.mul_((3 / (t.grad.norm() + 1e-6)).clamp(max=1))
            optimizer.step()
            torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - 0.99)
            memory[pointer : pointer + o.batch] = targets[o.batch :]
            pointer = (pointer + o.batch) % o.memory_size
        assert loss.isfinite()

    return step


if __name__ == "__main__":
    main()
