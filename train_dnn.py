"""Train a dense network on FER2013: as train_cnn.py does, only the network differs.

    python train_dnn.py
    python train_dnn.py --match pretrained/cnn.keras

Writes what train_cnn.py writes, as checkpoints/dnn.*. A pair without a dense network
of its own, such as the default one, gets one with as many parameters and weighted
layers as its CNN. The default takes 22 minutes on one AVX512_BF16 core and reaches 51 %
of the validation faces.
"""

from fer import command, fine_tuning, flags
from networks import DEFAULT_NETWORK, NETWORKS, dense
from train_cnn import train


def main():
    default = NETWORKS[DEFAULT_NETWORK].DNN_RECIPE
    parser = flags.build_parser(__doc__, "dnn", list(NETWORKS), default)
    parser.add_argument(
        "--match",
        metavar="CHECKPOINT|NETWORK|NUMBER",
        help="build a network with as many parameters as this checkpoint, as the CNN "
        "of this network or as this number says; --network or --recipe then says how "
        "it is trained (default: the DNN of --network)",
    )
    options = flags.parse_run(parser)
    if options.start_from:
        build = fine_tuning.load_start(options)
        name = options.network.removesuffix(" DNN")
    else:
        name = options.network
        # The description is what --resume compares: another --match is another network.
        build, options.network = dense.find_dnn(options.network, options.match)
    pair = NETWORKS.get(options.recipe or name, NETWORKS[DEFAULT_NETWORK])
    train(build, pair.DNN_RECIPE, options)


if __name__ == "__main__":
    command.run(main)
