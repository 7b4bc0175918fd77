"""Regularizers: one file each, sources cited."""
