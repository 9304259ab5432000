"""Layers that compute the same in less time, with TensorFlow on a processor.

They stand in for the plain layers of the same weights while a network is trained;
checkpoints have the plain ones.
"""

import os

import keras
from keras import layers

from fer.precision import has_gpu, read_processor_flags

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

# The widest pictures that are laid side by side, and how wide a row of them gets at
# most, in pixels: convolutions of wider pictures gain less than the moving costs.
WIDEST_PICTURE = 8
ROW_WIDTH = 32


def can_quicken():
    """Whether the layers of this module are faster here, on a processor at most."""
    return keras.config.backend() == "tensorflow" and not has_gpu()


def quicken(model):
    """The same model with the layers of this module, where they are faster.

    Convolutions are side by side only in bfloat16 on AMX, where the gradients of their
    kernels are the slowest part of a step, and flipped where oneDNN may be missing, as
    on ARM, where those of their inputs are; elsewhere neither gains anything.

    Args:
        model: a functional model that was not compiled.

    Returns:
        A model of the same weights and seeds, by the same names in the same order.
    """
    if not can_quicken():
        return model
    has_amx = "amx_bf16" in read_processor_flags()
    has_onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"

    def clone(layer):
        kind = type(layer)
        if kind is layers.BatchNormalization:
            kind = FusedBatchNormalization
        elif has_amx and kind is layers.Conv2D and layer.compute_dtype == "bfloat16":
            kind = SideBySideConv2D
        elif kind is layers.Conv2D and not has_onednn:
            kind = FlippedConv2D
        return kind.from_config(layer.get_config())

    fast = keras.models.clone_model(model, clone_function=clone)
    for target, source in zip(fast.variables, model.variables, strict=True):
        target.assign(source)
    return fast


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization of pictures in one operation.

    Keras takes a dozen, each over all values in float32; this one reads and writes the
    precision of the layer and computes in float32 in between.
    """

    def call(self, inputs, training=None, mask=None):
        of_pictures = len(inputs.shape) == 4 and self.axis in (-1, 3)
        if not (of_pictures and self.center and self.scale):
            return super().call(inputs, training=training, mask=mask)
        averages, is_training = {}, bool(training and self.trainable)
        if not is_training:
            averages = {"mean": self.moving_mean, "variance": self.moving_variance}
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma,
            self.beta,
            **averages,
            epsilon=self.epsilon,
            is_training=is_training,
        )
        if is_training:
            # It estimates the variance of all pictures; Keras keeps that of the batch.
            count = tf.cast(tf.size(inputs) // tf.size(mean), variance.dtype)
            self.update(self.moving_mean, mean)
            self.update(self.moving_variance, variance * (count - 1) / count)
        return outputs

    def update(self, average, value):
        """Move a moving average towards the value of a batch."""
        average.assign(average * self.momentum + value * (1 - self.momentum))


class SideBySideConv2D(layers.Conv2D):
    """A convolution that sees several small pictures as one wide one.

    oneDNN goes through pictures row by row, and a row of three or six pixels leaves
    most of a register empty. Between two pictures lies a gap of zeros as wide as the
    kernel reaches, so that each is padded as before.
    """

    def call(self, inputs):
        width, gap = inputs.shape[2], self.kernel_size[1] // 2
        if not keeps_size(self) or width > WIDEST_PICTURE:
            return super().call(inputs)
        group = ROW_WIDTH // (width + gap)
        rows = super().call(lay_side_by_side(inputs, group, gap))
        return take_apart(rows, tf.shape(inputs)[0], group, gap)


class FlippedConv2D(layers.Conv2D):
    """A convolution of which the gradient of the inputs is a convolution, too.

    It is that of the outputs' gradient with the flipped kernel. TensorFlow has another
    operation for it, which without oneDNN takes 1.4 to 7 times as long.
    """

    def convolution_op(self, inputs, kernel):
        if not keeps_size(self) or self.groups != 1:
            return super().convolution_op(inputs, kernel)
        return convolve(inputs, tf.convert_to_tensor(kernel))


def keeps_size(layer):
    """Whether pictures leave a convolution as large as they came, for odd kernels."""
    return (
        layer.padding == "same"
        and layer.data_format == "channels_last"
        and all(side % 2 == 1 for side in layer.kernel_size)
        and {*layer.strides, *layer.dilation_rate} == {1}
    )


def convolve(pictures, kernel):
    """A convolution that keeps the size; see `FlippedConv2D`.

    Args:
        pictures: tensor (n, height, width, channels).
        kernel: tensor (odd height, odd width, channels, filters).

    Returns:
        Tensor (n, height, width, filters).
    """

    @tf.custom_gradient
    def convolve_forth(pictures, kernel):
        def convolve_back(gradient):
            flipped = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
            return (
                tf.nn.conv2d(gradient, flipped, strides=1, padding="SAME"),
                tf.compat.v1.nn.conv2d_backprop_filter(
                    pictures,
                    tf.shape(kernel),
                    gradient,
                    strides=(1, 1, 1, 1),
                    padding="SAME",
                ),
            )

        outputs = tf.nn.conv2d(pictures, kernel, strides=1, padding="SAME")
        return outputs, convolve_back

    return convolve_forth(pictures, kernel)


# Each of the next two is the gradient of the other; TensorFlow's own gradient of a
# slice takes longer than the convolution.
def lay_side_by_side(pictures, group, gap):
    """Rows of pictures, each with a gap of zeros to its right.

    Args:
        pictures: tensor (n, height, width, channels), only n may be unknown.
        group: pictures a row; the last row is filled up with zeros.
        gap: in pixels.

    Returns:
        Tensor (ceil(n / group), height, group * (width + gap), channels).
    """

    @tf.custom_gradient
    def lay(pictures):
        count, (height, width, channels) = tf.shape(pictures)[0], pictures.shape[1:]
        num_rows = -(-count // group)
        x = tf.pad(pictures, ((0, num_rows * group - count), (0, 0), (0, gap), (0, 0)))
        x = tf.reshape(x, (num_rows, group, height, width + gap, channels))
        x = tf.transpose(x, (0, 2, 1, 3, 4))
        rows = tf.reshape(x, (num_rows, height, group * (width + gap), channels))
        return rows, lambda gradient: take_apart(gradient, count, group, gap)

    return lay(pictures)


def take_apart(rows, count, group, gap):
    """The first `count` pictures that `lay_side_by_side` laid into rows."""

    @tf.custom_gradient
    def take(rows):
        num_rows, (height, width, channels) = tf.shape(rows)[0], rows.shape[1:]
        x = tf.reshape(rows, (num_rows, height, group, width // group, channels))
        x = tf.transpose(x, (0, 2, 1, 3, 4))
        x = tf.reshape(x, (num_rows * group, height, width // group, channels))
        # In two steps: in one TensorFlow would lose sight of the width.
        pictures = x[:, :, : width // group - gap][:count]
        return pictures, lambda gradient: lay_side_by_side(gradient, group, gap)

    return take(rows)
