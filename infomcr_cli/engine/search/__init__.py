"""A search: a sweep whose settings are proposed one after the other, by Optuna, from what the runs before them gave."""
