"""Rank measures by how well they order the generalization gap of a small grid of minima."""

import keras
import pandas as pd
from sklearn.datasets import load_digits

from infomcr_cli import judge, measure

x, y = load_digits(return_X_y=True)
x = (x - 4.88) / 6.02
train, test = (x[:400], y[:400]), (x[1000:], y[1000:])

rows = []
for width in (8, 64):
    for rate in (0.02, 0.1):
        keras.utils.set_random_seed(0)
        layers = [keras.Input([64]), keras.layers.Dense(width, "relu"), keras.layers.Dense(10)]
        network = keras.Sequential(layers)
        network.compile(keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(*train, batch_size=16, epochs=5, verbose=0)
        found = measure(network, train, test, names=["gamma", "margin", "train_loss"])
        rows.append({"width": width, "rate": rate, **{name: entry["value"] for name, entry in found.items()}})

document = judge(pd.DataFrame(rows), gap="gap_error", axes=["width", "rate"], n_test=len(test[1]))
for name, statistics in document["measures"].items():  # four minima: too few to conclude anything
    print(f"{name:12} tau {statistics['kendall_tau']['value']:6.2f}  psi {statistics['granulated_psi']['value']:6.2f}")
