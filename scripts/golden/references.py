"""Steps of a case by the implementations that others use: the weights after each, and the state."""

import importlib
import importlib.metadata
import math
import sys
import types
from pathlib import Path

import jax
import numpy as np
import optax
import torch

from golden.inputs import NUMPY_DTYPES, decay_of, gradient_of, initial_of, joined, rate_of, split

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)

TORCH_DTYPES = {"f64": torch.float64, "f32": torch.float32}


def timm_lamb():
    """timm's Lamb without the rest of timm, whose models need torchvision."""
    for name in ["timm", "timm.optim"]:
        if name not in sys.modules:
            at = Path(importlib.metadata.distribution("timm").locate_file("")) / name.replace(".", "/")
            stub = types.ModuleType(name)
            stub.__path__ = [str(at)]
            sys.modules[name] = stub
    return importlib.import_module("timm.optim.lamb").Lamb


def torch_optimizer(case, tensors):
    o, rate = case["options"], rate_of(case, 1)
    names = [name for name, _ in case["segments"]]
    groups = [{"params": [p], "weight_decay": decay_of(case, n)} for n, p in zip(names, tensors)]
    if case["rule"] == "sgd":
        return torch.optim.SGD(groups, rate, o["momentum"], o["dampening"], nesterov=o["nesterov"], foreach=False)
    moments = {"lr": rate, "betas": (o["beta1"], o["beta2"]), "eps": o["epsilon"], "foreach": False}
    if case["rule"] == "lamb":
        return timm_lamb()(groups, max_grad_norm=o["clipNorm"], always_adapt=o["alwaysAdapt"], **moments)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["rule"]](groups, **moments)


TORCH_STATE = {"momentum_buffer": "momentum", "exp_avg": "m", "exp_avg_sq": "v"}


def torch_steps(case):
    """Weights and state after every step."""
    dtype, numpy_dtype = TORCH_DTYPES[case["dtype"]], NUMPY_DTYPES[case["dtype"]]
    as_tensor = lambda part: torch.tensor(part.tolist(), dtype=dtype)
    as_array = lambda tensors: joined([np.array(tensor.tolist(), numpy_dtype) for tensor in tensors])
    tensors = [torch.nn.Parameter(as_tensor(part)) for part in split(case, initial_of(case))]
    optimizer = torch_optimizer(case, tensors)
    for step in range(1, case["steps"] + 1):
        for tensor, part in zip(tensors, split(case, gradient_of(case, step))):
            tensor.grad = as_tensor(part)
        for group in optimizer.param_groups:
            group["lr"] = rate_of(case, step)
        optimizer.step()
        states = [optimizer.state[tensor] for tensor in tensors]
        kept = [name for name in TORCH_STATE if states[0].get(name) is not None]
        yield as_array(tensors), {TORCH_STATE[name]: as_array([state[name] for state in states]) for name in kept}


def optax_transform(case):
    o, rate = case["options"], case["learningRates"]
    if case["rule"] == "muon":
        matrices = {"beta": o["momentum"], "nesterov": o["nesterov"], "consistent_rms": o["consistentRms"]}
        return optax.contrib.muon(rate, weight_decay=o["weightDecay"], **matrices)
    moments = {"b1": o["beta1"], "b2": o["beta2"], "eps": o["epsilon"], "weight_decay": o["weightDecay"]}
    if case["rule"] == "lamb":
        return optax.lamb(rate, **moments)
    return optax.chain(optax.clip_by_global_norm(o["clipNorm"]), optax.adamw(rate, **moments))


def optax_steps(case):
    transform = optax_transform(case)
    weights = [jax.numpy.asarray(part) for part in split(case, initial_of(case))]
    state = transform.init(weights)

    @jax.jit
    def advance(gradients, state, weights):
        updates, state = transform.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    for step in range(1, case["steps"] + 1):
        gradients = [jax.numpy.asarray(part) for part in split(case, gradient_of(case, step))]
        weights, state = advance(gradients, state, weights)
        yield joined(weights), {}


def norm(array):
    return math.sqrt(float(np.sum(array * array)))


def apex_update(case, step, gradients, weights, state):
    """FusedLAMB as apex/optimizers/fused_lamb.py and csrc/multi_tensor_lamb.cu have it, with adam_w_mode."""
    o, rate = case["options"], rate_of(case, step)
    total = norm(joined(gradients))
    divisor = total / o["clipNorm"] if total > o["clipNorm"] else 1.0
    for k, (name, _) in enumerate(case["segments"]):
        g, decay = gradients[k] / divisor, decay_of(case, name)
        m = state.setdefault(("m", k), np.zeros_like(g))
        v = state.setdefault(("v", k), np.zeros_like(g))
        m[...] = m * o["beta1"] + (1 - o["beta1"]) * g
        v[...] = v * o["beta2"] + (1 - o["beta2"]) * g * g
        m_hat, v_hat = m / (1 - o["beta1"] ** step), v / (1 - o["beta2"] ** step)
        update = m_hat / (np.sqrt(v_hat) + o["epsilon"]) + decay * weights[k]
        weight_norm, update_norm = norm(weights[k]), norm(update)
        is_adapted = (decay != 0 or o["alwaysAdapt"]) and weight_norm != 0 and update_norm != 0
        weights[k] = weights[k] - (rate * (weight_norm / update_norm) if is_adapted else rate) * update


def orthogonal(matrix, o):
    a, b, c = o["coefficients"]
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / max(norm(x), o["epsilon"])
    for _ in range(o["newtonSchulzSteps"]):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


def torch_muon_update(case, step, gradients, weights, state):
    """torch.optim.Muon (2.9) without its rounding to bfloat16."""
    o, rate = case["options"], rate_of(case, step)
    for k, (_, (rows, columns)) in enumerate(case["segments"]):
        mean = state.setdefault(k, np.zeros_like(gradients[k]))
        mean += (1 - o["momentum"]) * (gradients[k] - mean)
        direction = gradients[k] + o["momentum"] * (mean - gradients[k]) if o["nesterov"] else mean
        rms = o["consistentRms"]
        scale = math.sqrt(max(1, rows / columns)) if rms is None else rms * math.sqrt(max(rows, columns))
        weights[k] = weights[k] * (1 - rate * o["weightDecay"]) - rate * scale * orthogonal(direction, o)


def numpy_steps(update):
    def steps(case):
        weights, state = split(case, initial_of(case)), {}
        for step in range(1, case["steps"] + 1):
            update(case, step, split(case, gradient_of(case, step)), weights, state)
            yield joined(weights), {}

    return steps
