#!/usr/bin/env python3
"""bench_cuda's whole jobs in PyTorch on the same GPU: channels last, cuDNN's fastest algorithms, a fused update, each job one CUDA
graph: the training step (without target assignment) from float images on the host to the losses, inference from a picture on the
host to the 100 highest scores and their encodings (without decoding and suppression). torch.compile is left out: it works for
minutes on each job, longer than the machine is there. Rows like bench_cuda's on stdout, kind "peer", most wanted first; what is not
reached in DET_GPU_SECONDS is named in rows of kind "skipped".

    bench/peers/gpu_torch.py [--device cpu --size 320 --batch 1 --repeat 3]     on a CPU, to try the script: no graph
    bench/peers/gpu_torch.py --warm 1     only reads what PyTorch will read"""
import contextlib
import glob
import json
import os
import sys
import threading
import time

START = time.monotonic()
IN_PART, NO_TORCH = 3, 4  # exit statuses that gpu_check.sh takes as "passed in part" and "skipped"
try:
    from common import Graph, Partner, arguments, np
    import torch
    import torch_network
    from train import LEARNING_RATE, MOMENTUM, Batch
except ImportError as error:
    print(f"PyTorch cannot be used: {error}", file=sys.stderr)
    sys.exit(NO_TORCH)


class Job:
    """body: static input -> output, both on the device; recorded as a CUDA graph where there is a GPU."""

    def __init__(self, body, host, device):
        self.device, self.body = device, body
        self.host = host.pin_memory() if device == "cuda" else host
        self.input = self.host.to(device)
        self.graph = None
        for _ in range(3):
            if device == "cuda":
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    body(self.input)
                torch.cuda.current_stream().wait_stream(side)
            else:
                body(self.input)
        if device == "cuda":
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.output = body(self.input)

    def __call__(self):
        """From the host's input to the result on the host."""
        self.input.copy_(self.host, non_blocking=True)
        if self.graph is not None:
            self.graph.replay()
        else:
            self.output = self.body(self.input)
        return self.output.cpu()


def report(job, name, size, batch, precision, repeat, without):
    times = []
    for i in range(-3, repeat):
        start = time.perf_counter()
        result = job()
        if i >= 0:
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    row = {"kind": "peer", "job": name, "size": size, "batch": batch, "precision": precision,
           "device": f"PyTorch {torch.__version__}, {torch.cuda.get_device_name() if job.graph else 'CPU'}", "p50_ms": times[repeat // 2],
           "p99_ms": times[repeat * 99 // 100], "runs": repeat, "without": without, "finite": bool(torch.isfinite(result).all())}
    print(json.dumps(row), flush=True)


def normalized(x, dtype):
    return x.to(dtype) * (2 / 255) - 1


def training(graph, batch, precision, device):
    network = torch_network.Training(graph, batch, device, LEARNING_RATE, MOMENTUM, fused=True)

    def body(x):
        with torch.autocast(device, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext():
            return network.step(normalized(x, torch.float32))
    return Job(body, torch.tensor((batch.images + 1) * np.float32(255 / 2)), device)


def inference(graph, size, precision, device):
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    network = torch_network.Inference(graph, device, dtype)

    def body(x):
        with torch.no_grad():
            encodings, logits = network(normalized(x[None], dtype))
            scores, at = torch.sigmoid(logits[0, :, 1:].float()).amax(1).topk(100)
            return torch.cat([scores[:, None], encodings[0, at].float()], 1)
    return Job(body, torch.randint(0, 256, (size, size, 3), dtype=torch.uint8), device)


def network_of(options, size, batch):
    """libdet's own process writes the network, the images and the targets."""
    partner = Partner(options, "train", size, batch, threads=0)
    partner("graph", options.scratch)
    partner.close()
    return Graph(options.scratch)


def read_libraries():
    """Into the page cache, with what importing PyTorch has read already."""
    here = os.path.dirname(torch.__file__)
    for pattern in ("lib/*.so*", "../nvidia/*/lib/libcudnn*", "../nvidia/*/lib/libcublas*"):
        for name in sorted(glob.glob(os.path.join(here, pattern))):
            with open(name, "rb") as file:
                while file.read(1 << 24):
                    pass


def end_in_time(left):
    """Before gpu_check.sh ends it, whatever PyTorch is at: `left` has the jobs without a row."""
    seconds = float(os.environ.get("DET_GPU_SECONDS", "inf"))
    if seconds == float("inf"):
        return

    def end():
        why = f"PyTorch: not reached in {seconds:.0f} s"
        for precision, job, size, batch in left:
            print(json.dumps({"kind": "skipped", "job": job, "size": size, "batch": batch, "precision": precision, "why": why}), flush=True)
        print(why + ": " + ", ".join(f"{job} {size} {precision}" for precision, job, size, _ in left), file=sys.stderr, flush=True)
        os._exit(IN_PART)
    timer = threading.Timer(max(seconds - 1 - (time.monotonic() - START), 0), end)
    timer.daemon = True
    timer.start()


def main():
    options = arguments(__doc__, device=dict(default="cuda", choices=["cuda", "cpu"]), size=dict(type=int, default=640),
                        batch=dict(type=int, default=8), repeat=dict(type=int, default=50), warm=dict(type=int, default=0))
    if options.warm:
        read_libraries()
        return 0
    if options.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no GPU", file=sys.stderr)
        return NO_TORCH
    torch.backends.cudnn.benchmark = True
    left = [(precision, job, size, batch) for precision in ("bf16", "tf32", "f32")
            for job, size, batch in (("training", options.size, options.batch), ("inference", 640, 1), ("inference", 320, 1))]
    end_in_time(left)
    graphs = {options.size: network_of(options, options.size, options.batch)}
    batch = Batch(options.scratch, graphs[options.size], options.batch)
    while left:
        precision, job, size, count = left[0]
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        if size not in graphs:
            graphs[size] = network_of(options, size, 1)
        if job == "training":
            made, without = training(graphs[size], batch, precision, options.device), "target assignment"
        else:
            made, without = inference(graphs[size], size, precision, options.device), "decoding, suppression"
        report(made, job, size, count, precision, options.repeat, without)
        left.pop(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
