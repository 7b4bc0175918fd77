"""Information-theoretic characterization and regularization of local minima (Jia & Su, ICML 2020)."""

import os

__version__ = "0.1.0"

# TensorFlow uses oneDNN's kernels by itself only where the processor has AVX-512 or the like; with AVX2 alone they
# take half the time of its own as well. It reads this once, when it is imported, and a user's own setting stands.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
