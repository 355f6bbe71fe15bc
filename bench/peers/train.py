#!/usr/bin/env python3
"""One training step (forward, losses, backward, weight decay, SGD with momentum) of the same network on the same batch by
libdet, PyTorch and Keras, alternately in one run; the losses of the first steps are compared. The peers get the targets that
libdet assigned: their own assignment is not part of their time.

    bench/peers/train.py --size 320 --batch 8 --threads 2"""
import os
import resource
import sys

from common import Graph, Partner, arguments, cores, finish, milliseconds, np, race, show, without_bf16
import networks

LEARNING_RATE, MOMENTUM, CHECKED_STEPS = 0.001, 0.9, 3


class Batch:
    """images.bin and the targets of the partner."""

    def __init__(self, folder, graph, count):
        def load(name, dtype, *shape):
            return np.fromfile(os.path.join(folder, name), dtype).reshape(count, *shape)
        side = graph.tensors[0][0]
        self.images = load("images.bin", np.float32, side, side, 3) * np.float32(2 / 255) - 1
        index = load("class_index.bin", np.int32, graph.anchors)
        self.classes = np.zeros((count, graph.anchors, graph.class_slots), np.float32)
        n, a = np.nonzero(index >= 0)
        self.classes[n, a, index[n, a] + 1] = 1
        self.class_weight = load("class_weight.bin", np.float32, graph.anchors)
        self.box_weight = load("box_weight.bin", np.float32, graph.anchors)
        self.boxes = load("encodings.bin", np.float32, graph.anchors, 4)
        self.normalizer = max(float(self.box_weight.sum()), 1.0)


def torch_steps(graph, batch, threads, compiled):
    import torch
    import torch_network
    torch.set_num_threads(threads)
    network = torch_network.Training(graph, batch, "cpu", LEARNING_RATE, MOMENTUM, compiled)
    images = torch.tensor(batch.images)
    return lambda: tuple(network.step(images).tolist())


def keras_steps(graph, batch, threads, jit):
    import tensorflow as tf
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass
    import keras
    model = networks.keras_model(graph, batch=batch.images.shape[0])
    decayed = []
    for layer in model.layers:
        key = getattr(layer, "det_key", None)
        if key is not None and graph.params[key]["l2"] > 0:
            decayed.append((layer.kernel, graph.params[key]["l2"]))
    sgd = keras.optimizers.SGD(LEARNING_RATE, MOMENTUM)
    images, classes, boxes = tf.constant(batch.images), tf.constant(batch.classes), tf.constant(batch.boxes)
    class_weight, box_weight = tf.constant(batch.class_weight)[..., None], tf.constant(batch.box_weight)

    @tf.function(jit_compile=jit)
    def run():
        with tf.GradientTape() as tape:
            encodings, logits = model(images, training=True)
            error = tf.abs(encodings - boxes)
            huber = tf.where(error <= 1, 0.5 * error * error, error - 0.5)
            loc = tf.reduce_sum(tf.reduce_sum(huber, -1) * box_weight) / batch.normalizer / 4
            cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=classes, logits=logits)
            p = tf.sigmoid(logits)
            factor = tf.where(classes > 0, 0.25 * (1 - p) ** 2, 0.75 * p ** 2)
            cls = tf.reduce_sum(cross * factor * class_weight) / batch.normalizer
            decay = tf.add_n([l2 / 2 * tf.reduce_sum(w * w) for w, l2 in decayed])
            total = loc + cls + decay
        sgd.apply_gradients(zip(tape.gradient(total, model.trainable_variables), model.trainable_variables))
        return loc, cls, decay
    return lambda: tuple(float(v) for v in run())


def bf16(options):
    """libdet's step in bf16 against the one in f32, from the same start."""
    if without_bf16() and not options.anyway:
        print(f"skipped: {without_bf16()}")
        return {"skipped": without_bf16()}
    sides = {name: Partner(options, "train", options.size, options.batch, threads=options.threads, precision=precision)
             for name, precision in (("libdet", "bf16"), ("f32 by libdet", "f32"))}
    losses = [np.array(side("steps", CHECKED_STEPS)["loss"]) for side in sides.values()]
    worst = float(np.abs((losses[0] - losses[1]) / np.maximum(np.abs(losses[1]), 1e-3)).max())
    print(f"{options.size} x {options.size}, batch {options.batch}: losses of {CHECKED_STEPS} steps, "
          f"largest relative difference between bf16 and f32: {worst:.2e}")
    if not worst < 0.05:
        sys.exit("the losses differ")
    runners = {name: (lambda count, side=side: side("steps", count)["ms"]) for name, side in sides.items()}
    figures = show(f"training step, {options.size} batch {options.batch}, {options.threads} thread(s), bf16",
                   race(runners, options.rounds, options.each))
    for side in sides.values():
        side.close()
    return figures


def main():
    options = arguments(__doc__, size=dict(type=int, default=320), batch=dict(type=int, default=8),
                        threads=dict(type=int, default=2), rounds=dict(type=int, default=3),
                        each=dict(type=int, default=2), compiled=dict(action="store_true", help="torch.compile and XLA too: "
                                                                 "minutes of compilation"), only=dict(action="append", help="a peer's name (may be repeated)"),
                        precision=dict(default="f32", choices=["f32", "bf16"], help="bf16: libdet's steps in bf16 against its own in f32, no peers"),
                        anyway=dict(action="store_true", help="bf16 on a processor that has no instructions for it"))
    os.sched_setaffinity(0, {int(c) for c in cores(options.threads).split(",")})
    if options.precision == "bf16":
        return finish(options, [bf16(options)])
    libdet = Partner(options, "train", options.size, options.batch, threads=options.threads)
    libdet("graph", options.scratch)
    graph = Graph(options.scratch)
    batch = Batch(options.scratch, graph, options.batch)
    made = {"PyTorch": lambda: torch_steps(graph, batch, options.threads, False),
            "Keras": lambda: keras_steps(graph, batch, options.threads, False)}
    if options.compiled:
        made["PyTorch, compiled"] = lambda: torch_steps(graph, batch, options.threads, True)
        made["Keras, XLA"] = lambda: keras_steps(graph, batch, options.threads, True)
    ours = libdet("steps", CHECKED_STEPS)["loss"]
    print(f"{options.size} x {options.size}, batch {options.batch}, {libdet.device}; losses of {CHECKED_STEPS} steps "
          "(localization, classification, regularization), largest relative difference:")
    print("  libdet", ours)
    peers = {}
    for name, make in made.items():
        if options.only and name not in options.only:
            continue
        try:
            step = make()
            theirs = [step() for _ in range(CHECKED_STEPS)]
        except Exception as error:
            print(f"  {name}: left out: {type(error).__name__}: {str(error)[:200]}")
            continue
        worst = max(abs(a - b) / max(abs(a), 1e-3) for x, y in zip(ours, theirs) for a, b in zip(x, y))
        print(f"  {name:28s} {worst:.2e}")
        if not worst < 2e-3:
            sys.exit(f"{name} does not train the same network: {theirs}")
        peers[name] = step
    runners = {"libdet": lambda count: libdet("steps", count)["ms"]}
    runners.update({name: (lambda count, step=step: milliseconds(step, count)) for name, step in peers.items()})
    figures = show(f"training step, {options.size} batch {options.batch}, {options.threads} thread(s)",
                   race(runners, options.rounds, options.each))
    with open(f"/proc/{libdet.process.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    libdet.close()
    print(f"  peak memory: libdet {peak / 1e3:.0f} MB; this process with {', '.join(peers)} "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")
    figures["libdet_peak_mb"] = peak / 1e3
    figures["peers_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    finish(options, [figures])


if __name__ == "__main__":
    main()
