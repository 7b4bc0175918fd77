"""MLflow: the only package that imports it. The run directory is the truth, MLflow mirrors it."""
