"""Gradients, first weights and learning rates of a case, as ../golden-optimizers.py says."""

import math

import numpy as np

NUMPY_DTYPES = {"f64": np.dtype("<f8"), "f32": np.dtype("<f4")}


def hash32(index):
    h = ((np.asarray(index, np.uint64) + np.uint64(0x9E3779B9)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def unit(index):
    return (hash32(index) >> np.uint32(8)).astype(np.float64) / 2.0**23 - 1.0


def sizes_of(case):
    return [math.prod(shape) for _, shape in case["segments"]]


def gradient_of(case, step):
    count = sum(sizes_of(case))
    i = np.arange(count)
    values = unit(step * count + i) * case["gradientScale"]
    values[(i % 11 == 5) | ((i == 3) & (step <= 10))] = 0.0
    return values.astype(NUMPY_DTYPES[case["dtype"]])


def initial_of(case):
    values = unit(0x40000000 + np.arange(sum(sizes_of(case)))) * case["initialScale"]
    is_bias = np.repeat([name.endswith("bias") for name, _ in case["segments"]], sizes_of(case))
    values[is_bias] = 0.0
    return values.astype(NUMPY_DTYPES[case["dtype"]])


def split(case, flat):
    parts = np.split(flat, np.cumsum(sizes_of(case))[:-1])
    return [part.reshape(shape) for part, (_, shape) in zip(parts, case["segments"])]


def joined(parts):
    return np.concatenate([np.asarray(part).reshape(-1) for part in parts])


def rate_of(case, step):
    rates = case["learningRates"]
    return rates if isinstance(rates, float) else rates[step - 1]


def warm_up_and_cosine(peak, warm_up, steps):
    up = [peak * (t + 1) / warm_up for t in range(warm_up)]
    down = [peak * (1 + math.cos(math.pi * (t + 1) / (steps - warm_up))) / 2 for t in range(steps - warm_up)]
    return up + down


def decay_of(case, name):
    return case["segmentDecays"].get(name, case["options"]["weightDecay"])
