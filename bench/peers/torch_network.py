"""The network that libdet wrote, in PyTorch, channels last: its training step, and its inference with batch norms folded."""
import torch
import torch.nn.functional as F

from common import np


def parameter(graph, index, device):
    """In PyTorch's order of axes."""
    value, role = graph.param(index), graph.params[index]["role"]
    if role in ("kernel", "pointwise"):
        value = value.transpose(3, 2, 0, 1)
    elif role == "depthwise":
        value = value.transpose(2, 3, 0, 1)
    made = torch.tensor(np.ascontiguousarray(value), device=device)
    return made.contiguous(memory_format=torch.channels_last) if made.dim() == 4 else made


def convolution(graph, op, x, weight, bias):
    (top, bottom), (left, right) = graph.pads(op)
    padding = (top, left)
    if top != bottom or left != right:
        x, padding = F.pad(x, (left, right, top, bottom)), 0
    return F.conv2d(x, weight, bias, op["stride"], padding, groups=x.shape[1] if op["kind"] == "dwconv" else 1)


def run(graph, x, convolve, normalize):
    """Encodings and logits of NHWC images in [-1, 1]. convolve(op, x), normalize(op, x)."""
    t = {0: x.permute(0, 3, 1, 2)}
    for op in graph.ops:
        y = t[op["in"]]
        if op["kind"] in ("conv", "dwconv"):
            y = convolve(op, y)
        elif op["kind"] == "batch_norm":
            y = normalize(op, y)
        elif op["kind"] == "add":
            y = y + t[op["in2"]]
        else:
            y = F.interpolate(y, scale_factor=2, mode="nearest") + t[op["in2"]]
        t[op["out"]] = F.hardtanh(y, 0.0, 6.0) if op["relu6"] else y

    def gather(chosen, columns):
        return torch.cat([t[k].permute(0, 2, 3, 1).reshape(x.shape[0], -1, columns) for k in chosen], 1)
    return gather(graph.box_outputs, 4), gather(graph.class_outputs, graph.class_slots)


class Training:
    """A step: forward, losses, backward, weight decay, SGD with momentum. batch: train.Batch. fused: the decay's gradient and the
    update in one kernel for all weights, and the decay's loss in few, as a GPU wants it."""

    def __init__(self, graph, batch, device, learning_rate, momentum, compiled=False, fused=False):
        self.graph, self.normalizer, self.fused = graph, batch.normalizer, fused
        self.weights = {i: parameter(graph, i, device).requires_grad_(p["trainable"]) for i, p in enumerate(graph.params)}
        self.decayed = [(self.weights[i], p["l2"]) for i, p in enumerate(graph.params) if p["l2"] > 0]
        if fused:
            rates = {i: p["l2"] for i, p in enumerate(graph.params) if p["trainable"]}
            groups = [{"params": [self.weights[i] for i, l2 in rates.items() if l2 == rate], "weight_decay": rate}
                      for rate in sorted(set(rates.values()))]
            self.sgd = torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, fused=True)
            self.halves = torch.tensor([l2 / 2 for _, l2 in self.decayed], device=device)
        else:
            self.sgd = torch.optim.SGD([w for w in self.weights.values() if w.requires_grad], lr=learning_rate, momentum=momentum,
                                       foreach=True)
        self.classes, self.boxes, self.class_weight, self.box_weight = (
            torch.tensor(value, device=device) for value in (batch.classes, batch.boxes, batch.class_weight[..., None], batch.box_weight))
        self.losses = torch.compile(self.losses) if compiled else self.losses

    def forward(self, x):
        w = self.weights
        return run(self.graph, x, lambda op, y: convolution(self.graph, op, y, w[op["weight"]], w.get(op["bias"])),
                   lambda op, y: F.batch_norm(y, w[op["mean"]], w[op["variance"]], w[op["gamma"]], w[op["beta"]], True, 1 - op["decay"],
                                              op["epsilon"]))

    def losses(self, x):
        encodings, logits = (y.float() for y in self.forward(x))
        loc = (F.huber_loss(encodings, self.boxes, reduction="none", delta=1.0).sum(-1) * self.box_weight).sum() / self.normalizer / 4
        cross = F.binary_cross_entropy_with_logits(logits, self.classes, reduction="none")
        p = torch.sigmoid(logits)
        factor = torch.where(self.classes > 0, 0.25 * (1 - p) ** 2, 0.75 * p ** 2)
        return loc, (cross * factor * self.class_weight).sum() / self.normalizer

    def decay(self):
        if not self.fused:
            return sum(l2 / 2 * (w * w).sum() for w, l2 in self.decayed)
        with torch.no_grad():
            return (torch.stack(torch._foreach_norm([w for w, _ in self.decayed])).square() * self.halves).sum()

    def step(self, x):
        """Localization, classification and regularization loss before the update, on the device."""
        loc, cls = self.losses(x)
        decay = self.decay()
        self.sgd.zero_grad(set_to_none=True)
        (loc + cls if self.fused else loc + cls + decay).backward()
        self.sgd.step()
        return torch.stack([loc.detach(), cls.detach(), decay.detach()])


class Inference:
    """Each batch norm is folded into the convolution before it."""

    def __init__(self, graph, device, dtype):
        self.graph, self.folded = graph, {}
        norms = {op["in"]: op for op in graph.ops if op["kind"] == "batch_norm"}
        for op in graph.ops:
            if op["kind"] not in ("conv", "dwconv"):
                continue
            weight = parameter(graph, op["weight"], device)
            bias = parameter(graph, op["bias"], device) if op["bias"] >= 0 else torch.zeros(weight.shape[0], device=device)
            norm = norms.get(op["out"])
            if norm is not None:
                mean, variance, gamma, beta = (parameter(graph, norm[k], device) for k in ("mean", "variance", "gamma", "beta"))
                scale = gamma / torch.sqrt(variance + norm["epsilon"])
                weight, bias = weight * scale[:, None, None, None], (bias - mean) * scale + beta
            self.folded[op["out"]] = weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)

    def __call__(self, x):
        return run(self.graph, x, lambda op, y: convolution(self.graph, op, y, *self.folded[op["out"]]), lambda op, y: y)
