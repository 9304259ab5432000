"""Scaling of the pixels: a layer without parameters inside the model.

So training and prediction cannot differ, and a checkpoint takes raw pixels.
"""

import numpy as np
from keras import layers

NORMALIZATIONS = ("none", "unit", "standard", "image")


def build_normalization(name, images):
    """The layer without parameters that scales raw pixels at the head of a model.

    Args:
        name: "none" (the pixels as they are), "unit" (to [0, 1]), "standard" (mean 0
            and deviation 1 over the training part) or "image" (the same per image).
        images: uint8 (n, 48, 48, 1), the training part.
    """
    # Always in float32: bfloat16 has 8 bits, too few for differences of grey levels.
    same = {"name": "normalization", "dtype": "float32"}
    if name == "image":
        return layers.LayerNormalization(
            axis=[1, 2, 3], center=False, scale=False, **same
        )
    if name == "standard":
        mean = float(images.mean(dtype=np.float64))
        deviation = max(float(images.std(dtype=np.float64)), 1.0)
        return layers.Rescaling(1 / deviation, offset=-mean / deviation, **same)
    return layers.Rescaling(1 / 255 if name == "unit" else 1.0, **same)
