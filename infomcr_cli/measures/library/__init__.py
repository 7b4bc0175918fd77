"""Measures: one file for each measure or close family."""
