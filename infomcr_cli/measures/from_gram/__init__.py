"""Measures that follow from the Gram matrices of gamma's draws at no further cost."""
