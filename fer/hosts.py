"""How the processes of one run find each other, on one host or on several."""

import argparse
import contextlib
import os
import socket
import time

# By which Keras is told where the first process listens, how many there are, and which
# this one is.
VARIABLES = [
    f"KERAS_DISTRIBUTION_{name}"
    for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
]
# Seconds to wait for the other processes, and those without a sign of life after which
# one counts as dead; one that is killed is noticed at once.
CONNECT_SECONDS = 300
HEARTBEAT_SECONDS = 20
# What the first process says when all have come.
GO = b"go"


def find_others():
    """Find the other processes, if the environment says that there are any.

    To be called before JAX computes anything.

    Raises:
        ArgumentTypeError: the environment says what cannot be, or not all came in time.
    """
    if any(os.environ.get(variable) for variable in VARIABLES):
        address, count, process = read_variables()
        meet(address, count, process)
        initialize(
            coordinator_address=address,
            num_processes=count,
            process_id=process,
            cluster_detection_method="deactivate",
        )
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        initialize(cluster_detection_method="slurm")


def read_variables():
    """HOST:PORT of the first process, how many there are, and which this one is."""
    values = [os.environ.get(variable, "") for variable in VARIABLES]
    address, *numbers = values
    address = address.split(",")[0]
    port = address.rpartition(":")[2]
    if ":" not in address or not all(map(str.isdecimal, [port, *numbers])):
        found = ", ".join(map("=".join, zip(VARIABLES, values, strict=True)))
        raise argparse.ArgumentTypeError(
            "expected the address HOST:PORT of the first process and two whole numbers "
            f"in the environment, found {found}"
        )
    count, process = map(int, numbers)
    if process >= count:
        raise argparse.ArgumentTypeError(
            f"expected {VARIABLES[2]} from 0 to {count - 1}, found {process}"
        )
    return address, count, process


def initialize(**arguments):
    """Have JAX know the other processes; arguments as it takes them."""
    import jax

    jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)


def meet(address, count, process):
    """Wait until all processes are there; JAX would end this one without a clear line.

    Args:
        address: HOST:PORT of the first process.
        count: how many there are.
        process: which this one is, from 0.

    Raises:
        ArgumentTypeError: not all came in time.
    """
    host, port = address.rsplit(":", 1)
    end = time.monotonic() + CONNECT_SECONDS
    try:
        if process == 0:
            welcome(int(port), count, end)
        else:
            visit(host, int(port), process, end)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"expected {count} processes to meet at {address} within "
            f"{CONNECT_SECONDS} s, found {error}; start all of them, with an address "
            "that each host can reach and that is free on the first"
        ) from error


def welcome(port, count, end):
    """Wait for a connection from every other process, then tell all that all came."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", port)))
        waiting, visitors = set(range(1, count)), []
        while waiting:
            server.settimeout(max(0.1, end - time.monotonic()))
            visitor = stack.enter_context(server.accept()[0])
            visitor.settimeout(5)
            with contextlib.suppress(OSError, ValueError):
                waiting.discard(int(visitor.recv(20)))
                visitors.append(visitor)
        for visitor in visitors:
            visitor.sendall(GO)


def visit(host, port, process, end):
    """Tell the first process that this one is there, and wait until all are."""
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.settimeout(max(0.1, end - time.monotonic()))
                connection.sendall(str(process).encode())
                if connection.recv(len(GO)) != GO:
                    raise OSError("that the first one waited for others in vain")
                return
        except (ConnectionRefusedError, TimeoutError):
            # The first process is not there yet.
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
