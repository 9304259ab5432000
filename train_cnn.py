"""Train a convolutional network on FER2013.

    python train_cnn.py
    python train_cnn.py --epochs 30 --finish 0 --augmentation erasing

Reads data/train.csv, writes checkpoints/cnn.keras, .csv (log), .json (record) and
plots/cnn_history.png. The best epoch on held-out faces then has a finish: four epochs
on faces that are only mirrored; kept is the mean of the weights before and after. On
two AVX512_BF16 cores it takes one to two hours, with AMX half an hour, and reaches 70 %
of the validation faces. networks/ holds the networks with their recipes.
"""

# Before Keras, which it has start in silence.
from fer import command, data, distillation, fine_tuning, flags, prediction
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.callbacks import Finish
from fer.fast_layers import quicken
from fer.recipes import build_normalization, build_optimizer, weigh_classes
from fer.run import open_run
from networks import DEFAULT_NETWORK, NETWORKS

import keras


def read_flags(arguments=None):
    """What `train` is given for the flags of this script."""
    default = NETWORKS[DEFAULT_NETWORK].CNN_RECIPE
    parser = flags.build_parser(__doc__, "cnn", list(NETWORKS), default)
    options = flags.parse_run(parser, arguments)
    if options.start_from:
        build = fine_tuning.load_start(options)
    else:
        build = NETWORKS[options.network].build_cnn
    pair = NETWORKS.get(options.recipe or options.network, NETWORKS[DEFAULT_NETWORK])
    return build, pair.CNN_RECIPE, options


def train(build, recipe, options, fit=None):
    """Train a network and write checkpoints/<name>.* and plots/<name>_history.png.

    Args:
        build: function from a normalization layer to an uncompiled model.
        recipe: of the network, for what the flags do not say.
        options: the parsed flags of `fer.flags.build_parser`.
        fit: function to take the place of `fit_epochs`, or None.

    Returns:
        The record that was written to checkpoints/<name>.json.

    Raises:
        InputError: something the user gave is wrong.
    """
    recipe = flags.override(recipe, options)

    # Identical pictures stay on one side, or validation would reward remembering.
    faces = data.load_split(options.train, options.validation, options.ignore)
    if options.start_from:
        faces = fine_tuning.keep_held_out(faces, options.start_from)

    # open_run sees to the rest: one process a name, an exact --resume, a clean Ctrl-C,
    # and no file that is half written.
    with open_run(build, recipe, options, faces) as run:
        targets = faces.train_targets
        if recipe.teachers and not run.is_finished():
            # Before the seed is set: loading teachers draws random numbers.
            targets = distillation.soften(targets, recipe.teachers, faces)

        # What a batch shows is a function of (seed, epoch, batch), so that neither
        # threads nor --resume can change it.
        batches = AugmentedFaces(
            faces.train_images,
            targets,
            recipe.batch_size,
            FaceGenerator(**AUGMENTATIONS[recipe.augmentation]),
            options.seed,
            recipe.mixup,
            run.devices,
        )

        keras.utils.set_random_seed(options.seed)
        keras.config.set_dtype_policy(run.precision)
        run.devices.begin()
        model = build(build_normalization(recipe.normalization, faces.train_images))
        run.announce(model)

        if options.fast_layers:
            # The same weights in layers that take less time; the files get plain ones.
            model = quicken(model)
        model.compile(
            optimizer=build_optimizer(recipe, batches.num_batches),
            loss=keras.losses.CategoricalCrossentropy(
                label_smoothing=recipe.label_smoothing
            ),
            metrics=["accuracy"],
        )

        if not run.is_finished():
            (fit or fit_epochs)(model, batches, faces, run)

        # The epoch that is kept, in float32, measured again from the file.
        return run.publish(build, faces)


def fit_epochs(model, batches, faces, run):
    """Run the epochs that are left, each followed by the validation faces."""
    recipe, validation, class_weight = run.recipe, None, None
    batch_size = prediction.BATCH_SIZE
    if len(faces.validation_labels):
        *validation, batch_size = run.devices.share_validation(
            faces.validation_images, faces.validation_targets, batch_size
        )
    if recipe.class_weights:
        class_weight = weigh_classes(faces.train_labels)
    with run.callbacks(batches) as callbacks:
        # Its epochs come last, on faces hardly changed.
        finish = Finish(run.keeper, faces.train_targets)
        model.fit(
            batches,
            validation_data=validation,
            validation_batch_size=batch_size,
            class_weight=class_weight,
            initial_epoch=len(run.history),
            epochs=recipe.all_epochs,
            # The batches come in an order of their own.
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, finish],
        )


def main():
    train(*read_flags())


if __name__ == "__main__":
    command.run(main)
