"""Prints the steps that TensorBoard's two readers of a folder of event files find under a tag, a line each: read_run.py FOLDER TAG."""
import sys

try:
    from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
except ImportError:
    sys.exit(77)  # not installed

for module in (event_accumulator, plugin_event_accumulator):
    accumulator = module.EventAccumulator(sys.argv[1])
    accumulator.Reload()
    print(*(event.step for event in accumulator.Tensors(sys.argv[2])), "")
