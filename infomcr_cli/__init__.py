"""Information-theoretic characterization and regularization of local minima (Jia & Su, ICML 2020)."""

__version__ = "0.1.0"
