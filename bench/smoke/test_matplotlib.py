"""A figure with lines, text and an image is drawn into a PNG, an SVG and a PDF."""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

figure, (left, right) = plt.subplots(1, 2)
left.plot(np.sin(np.arange(50) / 5), label=r"$\sin(x)$")
left.legend()
right.imshow(np.arange(100).reshape(10, 10))
right.contour(np.outer(range(10), range(10)))
right.set_title("Prüfröhrchen")
for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
    stream = io.BytesIO()
    figure.savefig(stream, format=kind)
    assert stream.getvalue().startswith(start), kind
    assert len(stream.getvalue()) > 5000, kind
