"""Prints what TensorBoard's own reader finds in an event file, a line per value: TAG STEP PLUGIN SHAPE VALUES."""
import sys

try:
    from tensorboard.backend.event_processing import event_file_loader
    from tensorboard.util import tensor_util
except ImportError:
    sys.exit(77)  # not installed

for event in event_file_loader.EventFileLoader(sys.argv[1]).Load():
    for value in event.summary.value:
        array = tensor_util.make_ndarray(value.tensor)
        if array.dtype == object:  # strings: their lengths
            numbers = [len(item) for item in array.reshape(-1)]
        else:
            numbers = array.reshape(-1).tolist()
        shape = "x".join(str(side) for side in array.shape) or "scalar"
        plugin = value.metadata.plugin_data.plugin_name
        print(value.tag, event.step, plugin, shape, *("%.9g" % number for number in numbers))
