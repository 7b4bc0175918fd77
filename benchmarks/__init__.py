"""What is fast, against what; each file says its command and what it expects.

TensorFlow computes with oneDNN here, as PyTorch does and `infomcr` on every processor with AVX2: the figures to beat
were taken so. By itself it does so only with AVX-512 or the like. It reads the setting once, when it is imported.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
