"""Train a dense network on FER2013 and keep its best checkpoint.

    python train_dnn.py
    python train_dnn.py --match pretrained/cnn.keras

Writes what train_cnn.py writes, as checkpoints/dnn.*. A pair without a dense network
of its own, such as the default one, gets one with as many parameters and weighted
layers as its CNN. The default takes 22 minutes on one AVX512_BF16 core and reaches
50.5 and 50.8 % of the validation faces with the seeds 0 and 1 (2026-11-25).
"""

import networks
from fer import command, flags, training
from networks import dense


def main():
    recipe = networks.load(networks.NAMES[0]).DNN_RECIPE
    parser = flags.build_parser(__doc__, "dnn", networks.NAMES, recipe)
    parser.add_argument(
        "--match",
        metavar="CHECKPOINT|NETWORK|NUMBER",
        help="build a network with as many parameters as this checkpoint, as the CNN "
        "of this network or as this number says; --network or --recipe then says how "
        "it is trained (default: the DNN of --network)",
    )
    options = parser.parse_args()
    recipe = networks.load(options.recipe or options.network).DNN_RECIPE
    # The description is what --resume compares: another --match is another network.
    build, options.network = dense.find_dnn(options.network, options.match)
    training.train(build, recipe, options)


if __name__ == "__main__":
    command.run(main)
