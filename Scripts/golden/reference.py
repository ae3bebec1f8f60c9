"""METHOD's training step in plain PyTorch: what the golden training cases are computed with.

Networks are functions of a dict of tensors, by the names of the reference's state dict, so that one code runs in
float32 and float64. Written to be read beside docs/method.md, not to be fast.
"""
import math

import torch
import torch.nn.functional as F


# Networks


def positions(embedding, side):
    """[1, 1 + n, D] for a picture of side x side patches; bicubic where that is not the trained side."""
    trained = math.isqrt(embedding.shape[1] - 1)
    if side == trained:
        return embedding
    grid = embedding[:, 1:].reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / trained  # the 0.1 guards against rounding down, and moves the sample points
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    assert grid.shape[-1] == side
    return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).reshape(1, side * side, -1)], dim=1)


def attention(w, name, x, heads):
    batch, tokens, width = x.shape
    qkv = F.linear(x, w[name + "qkv.weight"], w[name + "qkv.bias"])
    q, k, v = qkv.reshape(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    p = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5).softmax(dim=-1)
    mixed = (p @ v).transpose(1, 2).reshape(batch, tokens, width)
    return F.linear(mixed, w[name + "proj.weight"], w[name + "proj.bias"])


def norm(w, name, x, case):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], case["layernorm_eps"])


def backbone(w, x, case):
    """[B, 3, H, H] to [B, D]."""
    patch, side = case["patch_size"], x.shape[-1] // case["patch_size"]
    x = F.conv2d(x, w["backbone.patch_embed.proj.weight"], w["backbone.patch_embed.proj.bias"], stride=patch)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([w["backbone.cls_token"].expand(len(x), -1, -1), x], dim=1)
    x = x + positions(w["backbone.pos_embed"], side)
    registers = case.get("registers", 0)
    if registers:
        x = torch.cat([x[:, :1], w["backbone.reg_token"].expand(len(x), -1, -1), x[:, 1:]], dim=1)
    for i in range(case["depth"]):
        b = f"backbone.blocks.{i}."
        x = x + w.get(b + "ls1.gamma", 1) * attention(w, b + "attn.", norm(w, b + "norm1", x, case), case["heads"])
        h = F.linear(norm(w, b + "norm2", x, case), w[b + "mlp.fc1.weight"], w[b + "mlp.fc1.bias"])
        x = x + w.get(b + "ls2.gamma", 1) * F.linear(F.gelu(h), w[b + "mlp.fc2.weight"], w[b + "mlp.fc2.bias"])
    if case["use_mean_pooling"]:
        return norm(w, "backbone.fc_norm", x[:, 1 + registers :].mean(dim=1), case)
    return norm(w, "backbone.norm", x, case)[:, 0]


def head(w, x, case, statistics):
    """[rows, D] to unit rows [rows, bottleneck]; with BatchNorm `statistics` are the running ones, updated in place."""
    layers = [0, 3, 6] if case["use_bn_in_head"] else [0, 2, 4]
    for layer in layers:
        x = F.linear(x, w[f"head.mlp.{layer}.weight"], w[f"head.mlp.{layer}.bias"])
        if layer == layers[-1]:
            break
        if case["use_bn_in_head"]:
            n = f"head.mlp.{layer + 1}"
            x = F.batch_norm(
                x, statistics[n + ".running_mean"], statistics[n + ".running_var"], w[n + ".weight"], w[n + ".bias"],
                training=True, momentum=0.1, eps=1e-5)
        x = F.gelu(x)
    return F.normalize(x, dim=-1, eps=1e-6)


def embed(w, crops, case, statistics):
    """The embeddings of all crops, view-major; the head sees all of them at once."""
    return head(w, torch.cat([backbone(w, crop, case) for crop in crops]), case, statistics)


# Loss


def consistency(student, teacher, memory, permutation, case):
    """The mean over pairs of views, blocks and images of the cross entropy within a block."""
    batch, size = case["batch"], case["block_size"]
    views = len(student) // batch
    total, terms = 0, 0
    for block in permutation.split(size):
        rows = memory[block]
        log_p = (student @ rows.T / case["student_temp"]).log_softmax(dim=-1).split(batch)
        q = (teacher @ rows.T / case["teacher_temp"]).softmax(dim=-1).split(batch)
        for i in range(views):
            for j in range(2):
                if i != j:
                    total = total - (q[j] * log_p[i]).sum(dim=-1).mean()
                    terms += 1
    return total / terms


def koleo(z):
    with torch.no_grad():
        dots = z @ z.T
        dots.fill_diagonal_(-1)
        nearest = dots.argmax(dim=1)
    return -(F.pairwise_distance(z, z[nearest], eps=1e-8) + 1e-8).log().mean()


# Update


class LARS(torch.optim.Optimizer):
    """SGD with momentum, each tensor's step in proportion to its weights; 1-D tensors take plain steps."""

    def __init__(self, groups, momentum=0.9, eta=0.001):
        super().__init__(groups, dict(lr=0, weight_decay=0, momentum=momentum, eta=eta))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                direction = p.grad
                if p.ndim != 1:
                    direction = direction + group["weight_decay"] * p
                    weights, update = p.norm(), direction.norm()
                    if weights > 0 and update > 0:
                        direction = direction * (group["eta"] * weights / update)
                momentum = self.state[p].setdefault("mu", torch.zeros_like(p))
                momentum.mul_(group["momentum"]).add_(direction)
                p.sub_(group["lr"] * momentum)


def make_optimizer(weights, case):
    decaying = [t for n, t in weights.items() if t.ndim > 1 and not n.endswith(".bias")]
    others = [t for n, t in weights.items() if t.ndim == 1 or n.endswith(".bias")]
    groups = [dict(params=decaying), dict(params=others)]
    if case["optimizer"] == "adamw":
        optimizer = torch.optim.AdamW(groups, foreach=False)
    elif case["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=0, momentum=0.9, foreach=False)
    else:
        optimizer = LARS(groups)
    optimizer.param_groups[0]["weight_decay"] = case["weight_decay"]
    optimizer.param_groups[1]["weight_decay"] = 0
    return optimizer


class Run:
    """Student, teacher, memory and optimizer of one case; `step` is METHOD's update, in its order."""

    def __init__(self, case, student, teacher, memory, pointer=0, dtype=torch.float32):
        def split(tensors):
            tensors = {n: t.to(dtype).clone() for n, t in tensors.items()}
            running = {n: t for n, t in tensors.items() if ".running_" in n}
            return {n: t for n, t in tensors.items() if n not in running}, running

        self.case, self.dtype = case, dtype
        self.student, self.student_statistics = split(student)
        self.teacher, self.teacher_statistics = split(teacher)
        for t in self.student.values():
            t.requires_grad_()
        self.memory, self.pointer = memory.to(dtype).clone(), pointer
        self.optimizer = make_optimizer(self.student, case)

    def step(self, crops, permutation, lr):
        """Returns the step's outputs: embeddings, losses, and each tensor's gradient before clipping."""
        case, batch = self.case, self.case["batch"]
        crops = [c.to(self.dtype) for c in crops]
        with torch.no_grad():
            teacher = embed(self.teacher, crops[:2], case, self.teacher_statistics)
        student = embed(self.student, crops, case, self.student_statistics)
        ce = consistency(student, teacher, self.memory, permutation, case)
        spread = (koleo(student[:batch]) + koleo(student[batch : 2 * batch])) / 2
        loss = ce + case["koleo_weight"] * spread
        self.optimizer.zero_grad()
        loss.backward()
        gradients = {n: t.grad.clone() for n, t in self.student.items()}
        with torch.no_grad():
            # 1. Clip each tensor; 2. step; 3. average the teacher; 4. enqueue.
            for t in self.student.values():
                t.grad.mul_(min(1.0, case["clip_grad"] / (t.grad.norm().item() + 1e-6)))
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.step()
            m = case["momentum_teacher"]
            for n, t in self.teacher.items():
                t.mul_(m).add_((1 - m) * self.student[n])
            slots = [(self.pointer + i) % case["memory_size"] for i in range(batch)]
            self.memory[slots] = teacher[batch:]
            self.pointer = (self.pointer + batch) % case["memory_size"]
        return dict(
            student_embeddings=student.detach(), teacher_embeddings=teacher, loss=loss.detach().reshape(1),
            loss_ce=ce.detach().reshape(1), loss_koleo=spread.detach().reshape(1), gradients=gradients)

    def tensors(self):
        """All weights and running statistics, student's and teacher's."""
        named = {}
        for who, parts in ("student", (self.student, self.student_statistics)), (
            "teacher", (self.teacher, self.teacher_statistics)):
            for part in parts:
                named |= {f"{who}.{n}": t.detach().clone() for n, t in part.items()}
        return named
