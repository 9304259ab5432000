"""What a forward pass costs, counted layer by layer for one face.

A convolution with kernels of k x k weights, stride s and p rings of zeros around the
picture turns n x n x c values into m x m x f:

    m = floor((n + 2 p - k) / s) + 1    with "valid" padding (p = 0) or a layer of zeros
    m = ceil(n / s)                     with "same" padding
    parameters       f (k^2 c + 1)      without bias f k^2 c
    multiplications  m^2 f k^2 c
    additions        m^2 f k^2 c        without bias m^2 f (k^2 c - 1)

A dense layer from n to m units is the case of one place and a kernel as large as the
picture: m (n + 1) parameters, m n multiplications, m n additions. Weights that meet a
padding zero are counted like all others; a division counts as a multiplication.

    batch normalization, rescaling   one multiplication and one addition a value
    LeakyReLU, PReLU                 one multiplication a value
    global average pooling           c multiplications, (m^2 - 1) c additions
    softmax over n values            n multiplications, n - 1 additions
    normalization of each image of n values (Keras' LayerNormalization)
                                     2 n + 2 multiplications, 3 n - 2 additions

Copies, comparisons (ReLU, max pooling) and the look-up of exponentials (softmax,
softplus) are neither multiplications nor additions and count nothing.

Over l layers a CNN takes O(sum over i = 1..l of m_i^2 k_i^2 f_(i-1) f_i) of both, a
dense network O(sum over i of n_(i-1) n_i) (He & Sun 2015, arXiv 1412.1710): with
layers of equal size O(l m^2 k^2 f^2) and O(l n^2). A dense network uses each weight
once a face, a convolution m^2 times: at equal parameters it is the CNN that computes.
"""

import math

from keras import layers

from fer.command import InputError

FREE = (
    layers.InputLayer,
    layers.Activation,
    layers.Dropout,
    layers.Flatten,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.ZeroPadding2D,
)


def count_operations(layer):
    """Multiplications and additions of one layer of a built model, for one face.

    Raises:
        InputError: a layer of a kind whose formula is not known here.
    """
    if isinstance(layer, FREE):
        return 0, 0
    outputs = count_values(layer.output)
    if isinstance(layer, (layers.Conv2D, layers.Dense)):
        weights = math.prod(layer.kernel.shape[:-1])
        return outputs * weights, outputs * (weights - 1 + layer.use_bias)
    if isinstance(layer, (layers.BatchNormalization, layers.Rescaling)):
        return outputs, outputs
    if isinstance(layer, (layers.LeakyReLU, layers.PReLU)):
        return outputs, 0
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return outputs, count_values(layer.input) - outputs
    if isinstance(layer, layers.Softmax):
        return outputs, outputs - 1
    if isinstance(layer, layers.LayerNormalization):
        return 2 * outputs + 2, 3 * outputs - 2
    raise InputError(
        f"{layer.name}: expected a layer whose operations can be counted, found "
        f"{type(layer).__name__}; add its formula to fer/complexity.py"
    )


def count_values(tensor):
    """Numbers that a tensor (None, ...) holds for one face."""
    return math.prod(tensor.shape[1:])


def count_multiply_adds(model):
    """Multiply-adds of a forward pass for one face, in the usual sense.

    These are the products of weights and values in convolutional and dense layers.
    """
    return sum(
        count_operations(layer)[0] for layer in model.layers if hasattr(layer, "kernel")
    )
