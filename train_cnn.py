"""Train a convolutional network on FER2013 and keep its best checkpoint.

    python train_cnn.py
    python train_cnn.py --epochs 30 --augmentation erasing --name quick

Reads data/train.csv, writes checkpoints/cnn.keras, .csv (log), .json (record) and
plots/cnn_history.png. On two AVX512_BF16 cores the first takes 63 minutes and reaches
69.1 and 68.9 % of the validation faces with the seeds 0 and 1, the second 22 minutes
and 67.8 % with seed 0; README.md has the whole table. networks/ holds the networks
with their recipes.
"""

import networks
from fer import command, flags, training


def main():
    recipe = networks.load(networks.NAMES[0]).CNN_RECIPE
    parser = flags.build_parser(__doc__, "cnn", networks.NAMES, recipe)
    options = parser.parse_args()
    network = networks.load(options.network)
    recipe = networks.load(options.recipe or options.network).CNN_RECIPE
    training.train(network.build_cnn, recipe, options)


if __name__ == "__main__":
    command.run(main)
