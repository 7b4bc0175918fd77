"""Compute gamma and other measures of a Keras model."""

import keras
from sklearn.datasets import load_digits

from infomcr_cli import measure

keras.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x = (x - 4.88) / 6.02  # use the same scaling for training and measuring

network = keras.Sequential([keras.Input([64]), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)])  # logits
network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
network.fit(x[:1400], y[:1400], epochs=5, verbose=0)

names = ["gamma", "fisher_trace", "sharpness", "relative_flatness", "margin"]
found = measure(network, train=(x[:1400], y[:1400]), test=(x[1400:], y[1400:]), names=names)
for name in names:
    print(f"{name:20} {found[name]['value']:12.4g}  {found[name]['unit']}")
print(f"{'test minus train error':20} {found['gap_error']['value']:.2%}")
