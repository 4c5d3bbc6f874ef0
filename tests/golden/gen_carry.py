"""The change of a small picture on a large one: the guided filter of He, Sun and Tang, window by window, in numpy."""

import numpy as np
from gen_pipeline import photo
from golden import save
from PIL import Image

RADIUS, EPSILON = 4, 2.5e-4
REASON = "f32 sums in another order, rounded to bytes"


def windows(height, width):
    for y in range(height):
        for x in range(width):
            yield y, x, slice(max(0, y - RADIUS), y + RADIUS + 1), slice(max(0, x - RADIUS), x + RADIUS + 1)


def functions(guide, target):
    """Eq. 14 of the paper for a colour guide, with the identity in the place of nothing: then eq. 16, their means."""
    height, width, _ = guide.shape
    fitted = np.zeros((height, width, 3, 3))
    for y, x, rows, columns in windows(height, width):
        g, t = guide[rows, columns].reshape(-1, 3), target[rows, columns].reshape(-1, 3)
        variance = np.cov(g.T, bias=True) + EPSILON * np.eye(3)
        covariance = (g - g.mean(0)).T @ (t - t.mean(0)) / len(g) + EPSILON * np.eye(3)
        fitted[y, x] = np.linalg.solve(variance, covariance)
    means = np.zeros_like(fitted)
    for y, x, rows, columns in windows(height, width):
        means[y, x] = fitted[rows, columns].mean((0, 1))
    # What the function does not explain is added as it is.
    return means, target - np.einsum("yxij,yxi->yxj", means, guide)


def enlarge(values, size, axis):
    """Cubic convolution of Keys (1981), eq. 15, a = -1/2, with the pixels at the edge going on."""
    places = (np.arange(size) + 0.5) * values.shape[axis] / size - 0.5
    first = np.floor(places).astype(int)

    def kernel(t):
        t = np.abs(t)
        near = 1.5 * t**3 - 2.5 * t**2 + 1
        far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        return np.where(t <= 1, near, np.where(t < 2, far, 0))

    shape = [-1 if of == axis else 1 for of in range(values.ndim)]
    total = 0
    for tap in range(-1, 3):
        pixels = np.clip(first + tap, 0, values.shape[axis] - 1)
        total = total + np.take(values, pixels, axis) * kernel(places - (first + tap)).reshape(shape)
    return total


def carried(before, after, source):
    matrices, added = functions(before / 255, after / 255)
    height, width, _ = source.shape
    large = lambda values: enlarge(enlarge(values, height, 0), width, 1)
    edited = np.einsum("yxij,yxi->yxj", large(matrices), source / 255) + large(added)
    return (edited.clip(0, 1) * 255).round().astype(np.uint8)


def write(out):
    source = np.array(photo(96, 72)).astype(float)
    generator = np.random.default_rng(3)
    # Detail that the small picture does not have.
    source = (source + generator.integers(-12, 13, source.shape)).clip(0, 255).round()
    small = Image.fromarray(source.astype(np.uint8)).resize((64, 48), Image.Resampling.LANCZOS)
    before = np.array(small).astype(float)
    after = (before * [0.7, 0.8, 1.0] + [20, 10, 30]).clip(0, 255).round()
    after[10:30, 8:28] = [230, 220, 40]
    after[30:44, 40:60] = before[30:44, 40:60]
    result = carried(before, after, source)
    as_bytes = lambda picture: picture.astype(np.uint8)
    tensors = {"photo": as_bytes(source), "before": as_bytes(before), "after": as_bytes(after), "output": result}
    save(out / "images" / "carry.safetensors", tensors, 1.0, REASON)
