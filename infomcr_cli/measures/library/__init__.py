"""The measures: one file for each measure or close family, found by name; to add a measure, add a file.

A file is imported whenever the measures are listed, so heavy libraries (TensorFlow, Keras, SciPy's solvers) are
imported inside the functions that need them.
"""

JIANG = "Jiang et al., ICLR 2020, arXiv:1912.02178"
ANDRIUSHCHENKO = "Andriushchenko et al., ICML 2023, arXiv:2302.07011"
