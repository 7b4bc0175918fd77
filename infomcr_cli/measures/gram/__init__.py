"""Per-sample gradients of any Keras model, and their Gram matrix."""
