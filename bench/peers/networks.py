"""The same network for each peer, built from the graph that libdet wrote: inference (folded) as ONNX and for ncnn, and with
Keras, which also makes the TFLite file."""
import numpy as np


def onnx_model(graph, path):
    """NCHW inside, which is what ONNX engines like best; input and outputs as libdet's."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    nodes, constants = [], {}

    def constant(name, value):
        constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    constant("zero", np.float32(0))
    constant("six", np.float32(6))
    constant("twice", np.array([1, 1, 2, 2], np.float32))
    node("Transpose", ["x"], "t0", perm=[0, 3, 1, 2])
    for op in graph.ops:
        out = f"t{op['out']}"
        raw = out + "_raw" if op["relu6"] else out
        if op["kind"] in ("conv", "dwconv"):
            weight = graph.param(op["weight"])
            depthwise = op["kind"] == "dwconv"
            w = weight.transpose(2, 3, 0, 1) if depthwise else weight.transpose(3, 2, 0, 1)
            inputs = [f"t{op['in']}", constant(f"p{op['weight']}", w)]
            if op["bias"] >= 0:
                inputs.append(constant(f"p{op['bias']}", graph.param(op["bias"])))
            (top, bottom), (left, right) = graph.pads(op)
            node("Conv", inputs, raw, kernel_shape=[op["kernel"]] * 2, strides=[op["stride"]] * 2,
                 pads=[top, left, bottom, right], group=weight.shape[2] if depthwise else 1)
        elif op["kind"] == "add":
            node("Add", [f"t{op['in']}", f"t{op['in2']}"], raw)
        else:
            low = node("Resize", [f"t{op['in']}", "", "twice"], out + "_up", mode="nearest",
                       coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            node("Add", [low, f"t{op['in2']}"], raw)
        if op["relu6"]:
            node("Clip", [raw, "zero", "six"], out)
    for name, tensors, columns in (("boxes", graph.box_outputs, 4), ("logits", graph.class_outputs, graph.class_slots)):
        parts = []
        shape = constant(name + "_shape", np.array([1, -1, columns], np.int64))
        for t in tensors:
            node("Transpose", [f"t{t}"], f"{name}{t}_nhwc", perm=[0, 2, 3, 1])
            parts.append(node("Reshape", [f"{name}{t}_nhwc", shape], f"{name}{t}"))
        node("Concat", parts, name, axis=1)
    side = graph.tensors[0]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *side])]
    outputs = [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, graph.anchors, 4]),
               helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, graph.anchors, graph.class_slots])]
    made = helper.make_graph(nodes, "net", inputs, outputs, list(constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def ncnn_model(graph, param_path, bin_path):
    """ncnn's own text and weights. A blob that several layers read goes through Split, as ncnn wants it."""
    readers = {}
    for op in graph.ops:
        for t in (op["in"], op["in2"]):
            if t >= 0:
                readers[t] = readers.get(t, 0) + 1
    for t in graph.box_outputs + graph.class_outputs:
        readers[t] = readers.get(t, 0) + 1
    layers, blobs, taken = [], 0, {}

    def layer(kind, name, inputs, outputs, *settings):
        nonlocal blobs
        blobs += len(outputs)
        layers.append(" ".join([kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, *settings]))

    def made(t):
        """After tensor t was made: one copy for each reader."""
        if readers.get(t, 0) > 1:
            layer("Split", f"split{t}", [f"t{t}"], [f"t{t}_{i}" for i in range(readers[t])])

    def read(t):
        if readers[t] == 1:
            return f"t{t}"
        taken[t] = taken.get(t, -1) + 1
        return f"t{t}_{taken[t]}"

    with open(bin_path, "wb") as weights:
        layer("Input", "t0", [], ["t0"])
        made(0)
        for number, op in enumerate(graph.ops):
            out, name = f"t{op['out']}", f"op{number}"
            if op["kind"] in ("conv", "dwconv"):
                weight = graph.param(op["weight"])
                depthwise = op["kind"] == "dwconv"
                w = weight.transpose(2, 3, 0, 1) if depthwise else weight.transpose(3, 2, 0, 1)
                weights.write(np.int32(0).tobytes() + np.ascontiguousarray(w).tobytes())
                if op["bias"] >= 0:
                    weights.write(graph.param(op["bias"]).tobytes())
                (top, bottom), (left, right) = graph.pads(op)
                settings = [f"0={w.shape[0]}", f"1={op['kernel']}", f"3={op['stride']}", f"4={left}", f"14={top}",
                            f"15={right}", f"16={bottom}", f"5={int(op['bias'] >= 0)}", f"6={w.size}"]
                if depthwise:
                    settings.append(f"7={w.shape[0]}")
                if op["relu6"]:
                    settings += ["9=3", "-23310=2,0.0,6.0"]
                layer("ConvolutionDepthWise" if depthwise else "Convolution", name, [read(op["in"])], [out], *settings)
            elif op["kind"] == "add":
                layer("BinaryOp", name, [read(op["in"]), read(op["in2"])], [out], "0=0")
            else:
                layer("Interp", name + "up", [read(op["in"])], [out + "up"], "0=1", "1=2.0", "2=2.0")
                layer("BinaryOp", name, [out + "up", read(op["in2"])], [out], "0=0")
            made(op["out"])
        for name, tensors, columns in (("boxes", graph.box_outputs, 4),
                                       ("logits", graph.class_outputs, graph.class_slots)):
            parts = []
            for t in tensors:
                h, w, c = graph.tensors[t]
                layer("Permute", f"{name}{t}p", [read(t)], [f"{name}{t}p"], "0=3")
                layer("Reshape", f"{name}{t}", [f"{name}{t}p"], [f"{name}{t}"], f"0={columns}", f"1={h * w * c // columns}")
                parts.append(f"{name}{t}")
            layer("Concat", name, parts, [name], "0=0")
    with open(param_path, "w") as text:
        text.write(f"7767517\n{len(layers)} {blobs}\n" + "\n".join(layers) + "\n")


def keras_model(graph, batch=None):
    """Folded or in training form; every trainable parameter of libdet's is a weight of a layer."""
    import keras
    from keras import layers
    tensors = {0: keras.Input(graph.tensors[0], batch_size=batch)}
    filled = []
    for op in graph.ops:
        x = tensors[op["in"]]
        if op["kind"] in ("conv", "dwconv"):
            weight = graph.param(op["weight"])
            values = [weight] + ([graph.param(op["bias"])] if op["bias"] >= 0 else [])
            settings = dict(kernel_size=op["kernel"], strides=op["stride"], padding="same", use_bias=op["bias"] >= 0)
            make = layers.DepthwiseConv2D(**settings) if op["kind"] == "dwconv" else layers.Conv2D(weight.shape[3], **settings)
            x = shared(filled, make, op["weight"], values)(x)
        elif op["kind"] == "batch_norm":
            make = layers.BatchNormalization(momentum=op["decay"], epsilon=op["epsilon"])
            x = shared(filled, make, op["gamma"], [graph.param(op[k]) for k in ("gamma", "beta", "mean", "variance")])(x)
        elif op["kind"] == "add":
            x = layers.Add()([x, tensors[op["in2"]]])
        else:
            x = layers.Add()([layers.UpSampling2D(2, interpolation="nearest")(x), tensors[op["in2"]]])
        if op["relu6"]:
            x = layers.ReLU(6.0)(x)
        tensors[op["out"]] = x
    outputs = []
    for chosen, columns in ((graph.box_outputs, 4), (graph.class_outputs, graph.class_slots)):
        outputs.append(layers.Concatenate(axis=1)([layers.Reshape((-1, columns))(tensors[t]) for t in chosen]))
    model = keras.Model(tensors[0], outputs)
    for layer, values in filled:
        layer.set_weights(values)
    return model


def shared(filled, layer, key, values):
    """The layer of this parameter: the head's are the same at every level."""
    for known, _ in filled:
        if known.det_key == key:
            return known
    layer.det_key = key
    filled.append((layer, values))
    return layer


def tflite_model(graph, path):
    import tensorflow as tf
    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model(graph, batch=1))
    with open(path, "wb") as file:
        file.write(converter.convert())
    return path
