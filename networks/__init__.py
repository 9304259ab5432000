"""The architectures, one CNN/DNN pair and its recipes per file.

Each file has `build_cnn(normalization=None)`, `CNN_RECIPE` and `DNN_RECIPE`; where a
report describes its dense network there is `build_dnn(normalization=None)` too, and
elsewhere `networks.dense` matches one to the CNN.
"""

from networks import deep, large_kernel, small, valid_padding, vgg, wide

# By the name that --network takes; the first is the default.
NETWORKS = {
    "vgg": vgg,
    "wide": wide,
    "small": small,
    "deep": deep,
    "large_kernel": large_kernel,
    "valid_padding": valid_padding,
}
DEFAULT_NETWORK = next(iter(NETWORKS))
