"""A search: a sweep whose settings Optuna proposes one after the other, from earlier results."""
