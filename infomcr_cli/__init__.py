"""Information-theoretic characterization and regularization of local minima (Jia & Su, ICML 2020).

The public names are listed in `__init__.pyi`. Each is imported at its first use: importing the package imports neither
TensorFlow nor MLflow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
