"""A script of someone who was given exported files and has no infomcr: load each in plain Keras and predict.

Called as: python plain_loader.py REQUEST.json ANSWER.npz, the request being a list of
name, file, inputs (.npy) and architecture.
"""

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

answers = {}
for job in json.loads(Path(sys.argv[1]).read_text()):
    inputs = np.load(job["inputs"])
    if job["file"].endswith(".keras"):
        model = keras.saving.load_model(job["file"])
        answers[job["name"]] = model.predict(inputs, verbose=0, batch_size=100)
        with zipfile.ZipFile(job["file"]) as archive:
            answers[f"{job['name']} classes"] = np.array(json.loads(archive.read("metadata.json"))["class_names"])
    elif job["file"].endswith(".weights.h5"):
        model = keras.saving.load_model(job["architecture"])
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        model.load_weights(job["file"])
        answers[job["name"]] = model.predict(inputs, verbose=0, batch_size=100)
    else:
        loaded = tf.saved_model.load(job["file"])
        answers[job["name"]] = loaded.serve(tf.constant(inputs, tf.float32)).numpy()
np.savez(sys.argv[2], **answers)
assert not any(name.startswith("infomcr") for name in sys.modules)
