"""What a forward pass costs, counted layer by layer for one face.

A convolution with kernels of k x k weights, stride s and p rings of zeros around the
picture turns n x n x c values into m x m x f:

    m = floor((n + 2 p - k) / s) + 1    with "valid" padding (p = 0) or a layer of zeros
    m = ceil(n / s)                     with "same" padding
    parameters       f (k^2 c + 1)      without bias f k^2 c
    multiplications  m^2 f k^2 c
    additions        m^2 f k^2 c        without bias m^2 f (k^2 c - 1)

With `groups` each filter sees c / groups of the values. A depthwise convolution with d
kernels for each of the c values is the case of one value a kernel: m^2 c d k^2
multiplications; a separable convolution is a depthwise one without bias, then one with
kernels of 1 x 1.

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

# By their very classes: a layer that inherits from one may compute something else.
FREE = {
    layers.InputLayer,
    layers.Activation,
    layers.Dropout,
    layers.Flatten,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.Reshape,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
}
# The layers whose multiplications are products of weights and values.
WEIGHING = {
    layers.Conv2D,
    layers.Dense,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
}


def count_operations(layer):
    """Multiplications and additions of one layer of a built model, for one face.

    Returns:
        Two numbers, or (None, None) for a layer whose formula is not known here.
    """
    kind = type(layer)
    if kind in FREE:
        return 0, 0
    outputs = count_values(layer.output)
    if kind in (layers.Conv2D, layers.Dense):
        weights = math.prod(layer.kernel.shape[:-1])
        return outputs * weights, outputs * (weights - 1 + layer.use_bias)
    if kind is layers.DepthwiseConv2D:
        weights = math.prod(layer.kernel_size)
        return outputs * weights, outputs * (weights - 1 + layer.use_bias)
    if kind is layers.SeparableConv2D:
        return count_separable(layer, outputs)
    if kind in (layers.BatchNormalization, layers.Rescaling):
        return outputs, outputs
    if kind in (layers.LeakyReLU, layers.PReLU):
        return outputs, 0
    if kind is layers.GlobalAveragePooling2D:
        return outputs, count_values(layer.input) - outputs
    if kind is layers.Softmax:
        return outputs, outputs - 1
    if kind is layers.LayerNormalization:
        return 2 * outputs + 2, 3 * outputs - 2
    return None, None


def count_separable(layer, outputs):
    """`count_operations` of a SeparableConv2D that turns out so many values."""
    weights = math.prod(layer.kernel_size)
    values = math.prod(layer.depthwise_kernel.shape[2:])
    between = outputs // layer.filters * values
    return (
        between * weights + outputs * values,
        between * (weights - 1) + outputs * (values - 1 + layer.use_bias),
    )


def count_values(tensor):
    """Numbers that a tensor (None, ...) holds for one face."""
    return math.prod(tensor.shape[1:])


def count_multiply_adds(model):
    """Multiply-adds of a forward pass for one face, in the usual sense.

    These are the products of weights and values in convolutional and dense layers.

    Returns:
        A number, or None where a layer with weights is of a kind without a formula.
    """
    total = 0
    for layer in model.layers:
        multiplications, _ = count_operations(layer)
        if type(layer) in WEIGHING:
            total += multiplications
        elif multiplications is None and layer.weights:
            return None
    return total


def measure_size(model):
    """Total and trainable parameters and multiply-adds a face, by name."""
    return {
        "parameters": model.count_params(),
        "trainable_parameters": sum(
            math.prod(weight.shape) for weight in model.trainable_weights
        ),
        "multiply_adds": count_multiply_adds(model),
    }


def count_weighted_layers(model):
    """How many convolutional and dense layers a model has."""
    return sum(type(layer) in WEIGHING for layer in model.layers)


def add_known(numbers):
    """The sum, or None where one of the numbers is not known."""
    numbers = list(numbers)
    return None if None in numbers else sum(numbers)


def count_training_operations(multiply_adds, num_faces):
    """Operations of training on so many faces, each counted as often as it is seen.

    A multiply-add is two operations, and the gradients of the inputs and of the weights
    cost a forward pass each. Teachers and pseudo-labels come on top.

    Args:
        multiply_adds: of a forward pass for one face; None gives None.
    """
    return None if multiply_adds is None else 6 * multiply_adds * num_faces
