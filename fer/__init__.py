"""What the scripts share.

faces come in     data, sources, csv_faces, csv_header, folder_faces, archives, faces,
                  held_out, drawn_faces
a training        run, recipes, augmentation, callbacks, state, flags, provenance
and what it uses  distillation, answers, fine_tuning, precision, fast_layers, devices,
                  hosts
many trainings    jobs, job_group, job_table, processes, cluster
checkpoints       checkpoints, checkpoint_safety, twins, evaluation, prediction
what is measured  measures, ensembles, complexity, saliency, filters, gradients,
                  principal_components, logs
what is drawn     figures, component_figures, sheets
photographs       recognition, detection, alignment, photos, films, pictures, marks,
                  face_table, page
every script      command, paths, files, tables, progress, silence
"""

import importlib.util
import os
import platform
import sys

from fer import command, silence


def require_backend():
    """End with one line where Keras would end with a traceback."""
    backend = os.environ.get("KERAS_BACKEND")
    if backend and importlib.util.find_spec(backend) is None:
        fault = (
            f"KERAS_BACKEND={backend}: expected the package of a backend, found none; "
            "install it, or choose tensorflow"
        )
        sys.exit(command.fail(fault))


command.hush_interrupts()
require_backend()
silence.install()
# Of a GPU's memory only what is needed: an experiment and its runs share the GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# On x86 without instructions for neural networks (VNNI) TensorFlow has a slower way to
# convolve, see experiments/README.md#throughput; elsewhere its own choice stands.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
