"""What people write first: Flask in front of PyTorch, doing what `likenet serve` does for each photo.

Decodes with Pillow, searches faces with OpenCV's Haar cascade, runs the built-in network and the built-in classifier.

    gunicorn --workers 2 --threads 4 --bind 127.0.0.1:5001 flask_demo:app
"""

import io
import json
import math
import pathlib
import struct

import cv2
import flask
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2] / "src"
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "U8": np.uint8, "U32": np.uint32, "I8": np.int8}

torch.set_num_threads(1)
cv2.setNumThreads(1)


def safetensors(data):
    """Texts and arrays of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    texts = header.pop("__metadata__", {})
    arrays = {}
    for name, note in header.items():
        begin, end = note["data_offsets"]
        arrays[name] = np.frombuffer(data[8 + length + begin : 8 + length + end], TYPES[note["dtype"]]).reshape(note["shape"])
    return texts, arrays


_, network = safetensors((ROOT / "net/zoo/compact.safetensors").read_bytes())
weights = {name: torch.from_numpy(array.astype(np.float32)) for name, array in network.items()}
_, packed = safetensors((ROOT / "score/built_in.safetensors").read_bytes())
notes, svm = safetensors(packed["classifier"].tobytes())
BLOB = notes["features"].split(";")[0]
MEAN = torch.tensor(packed["preparation"][:3].copy()).view(3, 1, 1)
SCALE = float(packed["preparation"][3])
faces = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt.xml")
app = flask.Flask(__name__)


def layer(x, name, pad):
    return F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=pad))


def features(x):
    """The compact network up to the blob that the classifier learned from."""
    blobs = {}
    x = layer(layer(x, "conv1", 1), "conv2", 1)
    x = F.local_response_norm(F.max_pool2d(x, 3, 2, ceil_mode=True), 5, 1e-4, 0.75)
    x = layer(layer(x, "conv3", 1), "conv4", 1)
    blobs["pool4"] = x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = F.local_response_norm(x, 5, 1e-4, 0.75)
    blobs["pool5"] = x = F.max_pool2d(layer(x, "conv5", 1), 3, 2, ceil_mode=True)
    blobs["fc6"] = F.relu(F.linear(x.flatten(1), weights["fc6.weight"], weights["fc6.bias"]))
    return blobs[BLOB].flatten(1)


@app.post("/api/v1/score")
def score():
    photo = ImageOps.exif_transpose(Image.open(io.BytesIO(flask.request.files["photo"].read()))).convert("RGB")
    found = faces.detectMultiScale(cv2.cvtColor(np.asarray(photo), cv2.COLOR_RGB2GRAY), minSize=(40, 40))
    small = np.asarray(photo.resize((32, 32), Image.BILINEAR))[2:30, 2:30, ::-1].astype(np.float32)
    x = (torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1))) - MEAN) * SCALE
    with torch.inference_mode():
        row = features(x[None])[0].numpy().astype(np.float64)
    if "standard.mean" in svm:
        row = (row - svm["standard.mean"]) / svm["standard.scale"]
    value = float(row @ svm["weights"] + svm["bias"][0])
    slope, offset = svm["platt"]
    probability = 1 / (1 + math.exp(slope * value + offset))
    boxes = [dict(zip(("x", "y", "width", "height"), map(int, box))) for box in found]
    return {"results": [{"probability": probability, "score": value, "faces": boxes}]}
