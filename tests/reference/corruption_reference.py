"""The 17 corruptions one image at a time with NumPy, SciPy, Matplotlib and PIL, to compare the batched ones with.

An image is uint8 (3, h, w). `fields` deals the random numbers: `HashFields` those of the batched version, so that both
can be compared pixel by pixel, `GeneratorFields` NumPy's, which is what one would use without a batch.
"""

import functools
import io
import math

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image
from scipy import ndimage, optimize, stats

from reprise.assay import corruption_random
from reprise.assay.corruptions import CORRUPTIONS


class HashFields:
    def __init__(self, seed):
        self.seed, self.draw = torch.tensor([int(seed)]), -1

    def _next(self, deal, shape):
        self.draw += 1
        return deal(self.seed, math.prod(shape), self.draw).numpy().reshape(shape)

    def uniform(self, *shape):
        return self._next(corruption_random.uniform, shape).astype(float)

    def normal(self, *shape):
        return self._next(corruption_random.normal, shape).astype(float)

    def poisson(self, mean):
        return stats.poisson.ppf(self.uniform(*mean.shape) + 2**-25, mean)


class GeneratorFields:
    def __init__(self, seed):
        generator = np.random.default_rng(int(seed) % 2**63)
        self.uniform = lambda *shape: generator.random(shape)
        self.normal = lambda *shape: generator.standard_normal(shape)
        self.poisson = generator.poisson


def corrupt_one(image, kind, severity, fields):
    """`image` under the corruption, uint8 (3, h, w)."""
    constants = CORRUPTIONS[kind][1][severity - 1]
    out = globals()[kind](image.transpose(1, 2, 0), fields, *constants)
    return np.floor(np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(2, 0, 1)


def pixels(length, image):
    return max(length * min(image.shape[:2]) / 224, 0.3)


@functools.cache
def sampling_width(sd):
    """Width at which the sampled Gaussian has standard deviation `sd`."""
    k = np.arange(-60, 61) if sd < 6 else np.arange(-int(10 * sd), int(10 * sd) + 1)

    def excess(width):
        weights = np.exp(-0.5 * (k / width) ** 2)
        return (weights * k**2).sum() / weights.sum() - sd**2

    return optimize.brentq(excess, 0.05, sd + 1, xtol=1e-12)


def gaussian(layer, sd, axes=(0, 1), truncate=4.0, mode="nearest"):
    radius = int(truncate * sd + 0.5) or 1
    return ndimage.gaussian_filter(layer, sampling_width(sd), axes=axes, radius=radius, mode=mode)


def zoom(layer, factor):
    matrix = np.ones(layer.ndim)
    matrix[:2] = 1 / factor
    offset = np.zeros(layer.ndim)
    offset[:2] = (np.array(layer.shape[:2]) - 1) / 2 * (1 - 1 / factor)
    return ndimage.affine_transform(layer, matrix, offset, order=1, mode="nearest")


@functools.cache
def noise_left(smoother, size, length):
    """Standard deviation that smoothing leaves of white noise along one axis."""
    return math.sqrt((smoother(np.eye(size), length) ** 2).sum(1).mean())


def smooth_noise(white, full, here, blur, blur_axis):
    h, w = white.shape
    gain = noise_left(blur_axis, 224, full) ** 2 / (noise_left(blur_axis, h, here) * noise_left(blur_axis, w, here))
    return blur(white, here) * gain


def gaussian_axis(eye, sd):
    return gaussian(eye, sd, axes=(0,))


def mirrored(layer, sd):
    return gaussian(layer, sd, truncate=3.0, mode="reflect")


def mirrored_axis(eye, sd):
    return gaussian(eye, sd, axes=(0,), truncate=3.0, mode="reflect")


def zoom_axis(eye, factor):
    size = len(eye)
    centre = (size - 1) / 2
    return np.array([np.interp(centre + (np.arange(size) - centre) / factor, np.arange(size), row) for row in eye.T]).T


def gaussian_noise(image, fields, sd):
    return image / 255 + sd * planar(fields.normal, image)


def speckle_noise(image, fields, sd):
    return image / 255 * (1 + sd * planar(fields.normal, image))


def shot_noise(image, fields, rate):
    return fields.poisson((image / 255 * rate).transpose(2, 0, 1)).transpose(1, 2, 0) / rate


def impulse_noise(image, fields, amount):
    u = planar(fields.uniform, image)
    out = image / 255
    out[u < amount] = 0
    out[u < amount / 2] = 1
    return out


def planar(deal, image):
    h, w, channels = image.shape
    return deal(channels, h, w).transpose(1, 2, 0)


def gaussian_blur(image, fields, sd):
    return gaussian(image / 255, pixels(sd, image))


def defocus_blur(image, fields, radius, soften):
    radius = pixels(radius, image)
    small, large = int(radius), math.ceil(radius)
    part = 0 if small == large else (radius**2 - small**2) / (large**2 - small**2)
    reach = 2 if radius > 8 else 1
    y, x = np.mgrid[-large - reach : large + reach + 1, -large - reach : large + reach + 1]
    kernel = sum(
        share * inside / inside.sum()
        for share, inside in ((1 - part, np.hypot(x, y) <= small + 1e-9), (part, np.hypot(x, y) <= large + 1e-9))
    )
    kernel = ndimage.gaussian_filter(kernel, soften, radius=reach, mode="constant")
    return np.dstack([ndimage.correlate(image[..., c] / 255, kernel, mode="mirror") for c in range(3)])


def motion_blur(image, fields, radius, sd):
    angle = math.pi / 4 * (2 * fields.uniform(1)[0] - 1)
    return along_line(image / 255, radius, sd, angle)


def along_line(image, radius, sd, angle):
    taps = np.arange(2 * math.ceil(pixels(radius, image)) + 1)
    weights = np.exp(-0.5 * (taps / sampling_width(pixels(sd, image))) ** 2)
    h, w = image.shape[:2]
    total = np.zeros_like(image)
    for k, weight in zip(taps, weights / weights.sum(), strict=True):
        rows = np.clip(np.arange(h) + math.ceil(k * math.sin(angle) - 0.5), 0, h - 1)
        columns = np.clip(np.arange(w) + math.ceil(k * math.cos(angle) - 0.5), 0, w - 1)
        total += weight * image[rows][:, columns]
    return total


def zoom_blur(image, fields, largest, step):
    factors = np.arange(1, largest + 1e-6, step)
    return (image / 255 + sum(zoom(image / 255, factor) for factor in factors)) / (len(factors) + 1)


def snow(image, fields, mean, sd, size, threshold, radius, length, mix):
    white = fields.normal(*image.shape[:2])
    layer = mean + sd * smooth_noise(white, size, max(pixels(size, image), 1.0), zoom, zoom_axis)
    layer[layer < threshold] = 0
    layer = np.floor(np.clip(layer, 0, 1) * 255) / 255
    layer = along_line(layer, radius, length, math.pi * (-0.75 + 0.5 * fields.uniform(1)[0]))[..., None]
    x = image / 255
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    return mix * x + (1 - mix) * np.maximum(x, 1.5 * grey + 0.5) + layer + np.rot90(layer, 2)


def plasma(u, decay):
    size = len(u)
    field = np.zeros((size, size))
    step, width = size, 100.0
    while step > 1:
        half = step // 2
        for first, second in ((half, half), (0, half), (half, 0)):
            if first == second:
                shifts = [(y, x) for y in (-half, half) for x in (-half, half)]
            else:
                shifts = [(half, 0), (-half, 0), (0, half), (0, -half)]
            mean = sum(np.roll(field, shift, (0, 1))[first::step, second::step] for shift in shifts) / 4
            field[first::step, second::step] = mean + width**2 * (2 * u[first::step, second::step] - 1)
        step, width = half, width / decay
    return (field - field.min()) / np.ptp(field)


def fog(image, fields, amount, decay):
    h, w = image.shape[:2]
    size = 1 << (max(h, w) - 1).bit_length()
    x = image / 255
    haze = plasma(fields.uniform(size, size), decay)[:h, :w, None]
    return (x + amount * haze) * x.max() / (x.max() + amount)


def spatter(image, fields, mean, sd, length, threshold, mix, mud):
    h, w = image.shape[:2]
    finer = math.ceil(0.3 / (length * min(h, w) / 224))
    white = fields.normal(h * finer, w * finer)
    liquid = mean + sd * smooth_noise(white, length, pixels(length, white), gaussian, gaussian_axis)
    if mud:
        layer = gaussian((liquid > threshold).astype(float), pixels(mix, white))
        layer[layer < 0.8] = 0
    else:
        layer = mix * shine(np.where(liquid < threshold, 0, liquid))
    layer = layer.reshape(h, finer, w, finer).mean((1, 3))[..., None]
    if mud:
        return image / 255 * (1 - layer) + layer * np.array([63, 42, 20]) / 255
    return image / 255 + layer * np.array([175, 238, 238]) / 255


def shine(liquid):
    liquid = np.floor(np.clip(liquid, 0, 1) * 255)
    rim = (liquid > 0) & ~ndimage.binary_erosion(liquid > 0, np.ones((3, 3)), border_value=1)
    distance = ndimage.distance_transform_edt(~rim) * 224 / min(rim.shape) if rim.any() else np.full(rim.shape, 20.0)
    distance = np.floor(ndimage.uniform_filter(np.minimum(distance, 20), 3, mode="mirror") + 1e-3).astype(int)
    counts = np.bincount(distance.ravel(), minlength=21)
    least = counts[counts > 0][0]
    if least < distance.size:
        distance = np.round(255 * np.maximum(counts.cumsum() - least, 0) / (distance.size - least))[distance]
    relief = ndimage.correlate(distance, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]), mode="mirror")
    bright = liquid * np.round(ndimage.uniform_filter(np.clip(relief, 0, 255).astype(float), 3, mode="mirror"))
    return bright / max(bright.max(), 1)


def brightness(image, fields, amount):
    hsv = rgb_to_hsv(image / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + amount, 0, 1)
    return hsv_to_rgb(hsv)


def saturate(image, fields, factor, amount):
    hsv = rgb_to_hsv(image / 255)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + amount, 0, 1)
    return hsv_to_rgb(hsv)


def contrast(image, fields, factor):
    means = (image / 255).mean((0, 1))
    return (image / 255 - means) * factor + means


def elastic_transform(image, fields, amplitude, length, jitter):
    h, w = image.shape[:2]
    scale = min(h, w) / 224
    white = 2 * fields.uniform(2, h, w) - 1
    dx, dy = (
        amplitude * scale * smooth_noise(part, length, pixels(length, image), mirrored, mirrored_axis) for part in white
    )
    side = min(h, w) // 3
    points = np.array([[side, side], [side, -side], [-side, -side]]) + np.array([w // 2, h // 2])
    moved = points + jitter * scale * (2 * fields.uniform(3, 2) - 1)
    # x, y = back @ (column, row, 1) with back the map of the moved points to the points.
    back = np.linalg.solve(np.column_stack((moved, np.ones(3))), points).T
    rows, columns = np.mgrid[:h, :w]
    x, y = (p[0] * (columns + dx) + p[1] * (rows + dy) + p[2] for p in back)
    planes = [ndimage.map_coordinates(image[..., c] / 255, (y, x), order=1, mode="mirror") for c in range(3)]
    return np.dstack(planes)


def pixelate(image, fields, factor):
    h, w = image.shape[:2]
    picture = Image.fromarray(image).resize((max(int(w * factor), 1), max(int(h * factor), 1)), Image.Resampling.BOX)
    return np.asarray(picture.resize((w, h), Image.Resampling.BOX)) / 255


def jpeg_compression(image, fields, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255
