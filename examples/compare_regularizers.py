"""Train the same network without a regularizer and with two: training loss, test accuracy, gamma."""

import keras
from sklearn.datasets import load_digits

from infomcr_cli import SAM, LocalMinimum, RegularizedModel, gamma

x, y = load_digits(return_X_y=True)
x = (x - 4.88) / 6.02
regularizers = {
    "none": None,
    "local minimum (Jia & Su)": LocalMinimum(num_sub_batches=8, alpha=1e-4, beta=10),
    "SAM": SAM(rho=0.05),
}
print("regularizer               train loss  test accuracy  gamma")
for name, regularizer in regularizers.items():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([64]), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
    model = RegularizedModel(network, regularizer)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), metrics=["accuracy"])
    model.fit(x[:1280], y[:1280], batch_size=128, epochs=5, verbose=0)
    loss, _ = model.evaluate(x[:1280], y[:1280], verbose=0)
    _, accuracy = model.evaluate(x[1280:], y[1280:], verbose=0)
    print(f"{name:26}{loss:10.4f}{accuracy:15.2%}  {gamma(network, x[:1000], y[:1000])}")
