"""Measures that are not read off a Gram matrix, batch norm in inference mode: one file each."""
