"""A script of someone who knows Keras and nothing else: train networks on digits, save them, note what they give.

Called as: python plain_keras.py FOLDER
"""

import csv
import json
import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

folder = Path(sys.argv[1])
digits = load_digits()
x = (digits.images * 15.9375).astype("uint8")[..., None]
y = digits.target
np.savez(folder / "mine.npz", x_train=x[:1000], y_train=y[:1000], x_test=x[1000:], y_test=y[1000:])

layers = keras.layers
rows, noted = [], {}
for name, rate, width in (("slow", 3e-4, 4), ("quick", 3e-3, 4), ("wide", 3e-3, 8)):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(width, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / f"{name}-before.keras")
    model.fit(x[:1000], y[:1000], epochs=2, batch_size=50, verbose=0)
    model.save(folder / f"{name}.keras")
    scores = {}
    for split, part in (("train", slice(0, 1000)), ("test", slice(1000, None))):
        loss, accuracy = model.evaluate(x[part], y[part], verbose=0, batch_size=100)
        scores[split] = {"loss": loss, "accuracy": accuracy}
    noted[name] = scores
    rows.append({"file": f"{name}.keras", "initial": f"{name}-before.keras", "learning_rate": rate, "width": width})

with (folder / "nets.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
(folder / "noted.json").write_text(json.dumps(noted))
assert not any(name.startswith("infomcr") for name in sys.modules)
