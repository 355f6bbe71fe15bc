#!/usr/bin/env python3
"""A training image's way: decode, crop, flip, resize, by libdet and by TensorFlow's ops (the same libjpeg-turbo settings and
the same bilinear resize), one thread each, alternately. The pixels must agree. Then libdet's opt-in reduced decoding on a
photograph of 4 MP, against all of its pixels by either.

    bench/peers/decode.py [--image photo.jpg] [--size 320]"""
import json
import os
import subprocess

from common import arguments, cores, finish, milliseconds, np, show


def photograph(path, width, height):
    """Slopes, edges and grain at a photograph's bit rate."""
    import cv2
    chance = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    base = 90 + 50 * np.sin(x / 97) + 40 * np.cos(y / 71)
    image = np.stack([base + 30 * np.sin((x + y * k) / (40 + 9 * k)) for k in range(3)], -1)
    for _ in range(400):
        cx, cy, r = chance.integers(0, width), chance.integers(0, height), int(chance.integers(5, 120))
        cv2.circle(image, (int(cx), int(cy)), r, [float(v) for v in chance.uniform(0, 255, 3)], -1)
    image += cv2.GaussianBlur(chance.normal(0, 10, image.shape).astype(np.float32), (0, 0), 0.8)
    cv2.imwrite(path, np.clip(image, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def libdet(options, path, least, count, pixels=""):
    """bench --decode prints milliseconds of `count` images; writes the last one's pixels."""
    command = ["taskset", "-c", cores(1), os.path.join(options.bin, "bench"), "--decode",
               f"{path},{options.size},{least},{count},{pixels}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["ms"]


def tensorflow_path(data, size):
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    encoded = tf.constant(data)

    @tf.function
    def run():
        image = tf.io.decode_jpeg(encoded, channels=3)
        h, w = tf.shape(image)[0], tf.shape(image)[1]
        image = image[h // 8:h // 8 + h * 3 // 4, w // 8:w // 8 + w * 3 // 4]
        image = tf.image.flip_left_right(image)
        return tf.compat.v1.image.resize_images(tf.cast(image, tf.float32), [size, size])
    return lambda: run().numpy()


def main():
    options = arguments(__doc__, image=dict(help="a JPEG; without it one of 1280 x 720 is made"),
                        size=dict(type=int, default=320), rounds=dict(type=int, default=5))
    os.sched_setaffinity(0, {int(cores(1))})
    figures = []
    image = options.image or os.path.join(options.scratch, "photo.jpg")
    large = os.path.join(options.scratch, "photo4mp.jpg")
    if not options.image:
        photograph(image, 1280, 720)
    photograph(large, 2464, 1632)
    with open(image, "rb") as file:
        theirs = tensorflow_path(file.read(), options.size)
    pixels = os.path.join(options.scratch, "pixels.bin")
    libdet(options, image, 0, 1, pixels)
    ours = np.fromfile(pixels, np.float32).reshape(options.size, options.size, 3)
    worst = float(np.abs(ours - theirs()).max())
    print(f"largest difference of the pixels (0..255): {worst:.1e}")
    if not worst < 1e-3:
        raise SystemExit("the pixels differ")
    times = {"libdet": [], "TensorFlow": []}
    for _ in range(options.rounds):
        times["libdet"] += libdet(options, image, 0, 11)[1:]
        times["TensorFlow"] += milliseconds(theirs, 11)[1:]
    figures.append(show(f"decode, crop, flip, resize to {options.size}: {image}", times))
    with open(large, "rb") as file:
        theirs = tensorflow_path(file.read(), options.size)
    times = {"libdet": [], "libdet, all pixels": [], "TensorFlow": []}
    for _ in range(options.rounds):
        times["libdet"] += libdet(options, large, 1, 6)[1:]
        times["libdet, all pixels"] += libdet(options, large, 0, 6)[1:]
        times["TensorFlow"] += milliseconds(theirs, 6)[1:]
    figures.append(show("reduced decoding of 4 MP, the same way", times))
    finish(options, figures)


if __name__ == "__main__":
    main()
