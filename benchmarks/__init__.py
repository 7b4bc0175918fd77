"""What is fast, against what; each file says its command and what it expects."""

import infomcr_cli  # noqa: F401 -- before TensorFlow, as in every run: it settles which kernels TensorFlow uses
