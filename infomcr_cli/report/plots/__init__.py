"""Plots of a comparison and of a single evaluation, drawn with Matplotlib."""
