"""TensorFlow reads the checkpoints that libdet writes: every variable by its key, and the object graph."""
import os
import time

import numpy as np

import common

SPECS = 10


def load():
    """TensorFlow is too large to be installed for this."""
    try:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow
        from tensorflow.core.protobuf import trackable_object_graph_pb2
    except ImportError:
        return None, None
    return tensorflow, trackable_object_graph_pb2.TrackableObjectGraph


def keys_of(graph):
    """The keys that the object graph leads to from its root, by the names on the way."""
    found, waiting, seen = set(), [0], {0}
    while waiting:
        node = graph.nodes[waiting.pop()]
        found.update(attribute.checkpoint_key for attribute in node.attributes)
        for child in node.children:
            if child.node_id not in seen:
                seen.add(child.node_id)
                waiting.append(child.node_id)
        found.update(key for slot in node.slot_variables for attribute in graph.nodes[slot.slot_variable_node_id].attributes for key in [attribute.checkpoint_key])
    return found


def check_one(tensorflow, graph_type, libdet, seed):
    model = libdet.random(seed, "training")
    exported = libdet.export(model, "tf_checkpoint", "spec", verify=1)
    prefix = libdet.path("spec")
    reader = tensorflow.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    graph_key = "_CHECKPOINTABLE_OBJECT_GRAPH"
    for key in shapes:
        if key != graph_key and not np.all(np.isfinite(reader.get_tensor(key))):
            raise RuntimeError(f"{key}: not finite")
    graph = graph_type.FromString(reader.get_tensor(graph_key))
    missing = (set(shapes) - {graph_key}) ^ keys_of(graph)
    if missing:
        raise RuntimeError(f"the object graph and the variables differ in {sorted(missing)[:3]}")
    if tensorflow.train.latest_checkpoint(exported.folder) != prefix:
        raise RuntimeError("`checkpoint` does not lead to it")
    for suffix in ("", ".index", ".data-00000-of-00001"):
        os.remove(libdet.path("checkpoint") if suffix == "" else prefix + suffix)
    os.remove(model)
    return len(shapes)


def main():
    options = common.arguments(__doc__)
    tensorflow, graph_type = load()
    if tensorflow is None:
        print("  skipped: no TensorFlow in this Python")
        return
    libdet = common.Libdet(options.build)
    report = common.Report()
    begun, specs, variables = time.time(), options.specs or SPECS, 0
    for seed in range(options.first, options.first + specs):
        try:
            variables += check_one(tensorflow, graph_type, libdet, seed)
        except Exception as error:  # whatever TensorFlow complains with
            report.say(False, f"spec {seed}: {error}")
    report.say(report.failures == 0, f"TensorFlow {tensorflow.__version__}: {specs} specs from {options.first}, {variables} variables, in {time.time() - begun:.0f} s, {report.failures} complaints")
    report.end()


if __name__ == "__main__":
    main()
