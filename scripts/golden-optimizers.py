"""Writes test/golden/optimizers/*.json: trajectories of optimizers, made by the implementations that others use.

It needs CPU PyTorch 1.13.1, which Debian 12 has, optax 0.2.8 on JAX 0.10.2 with NumPy 2.4.6, and one file of timm
1.0.31:

    apt-get install python3-torch python3-venv
    /usr/bin/python3 -m venv --system-site-packages /tmp/golden
    /tmp/golden/bin/pip install 'jax[cpu]==0.10.2' optax==0.2.8 numpy==2.4.6
    /tmp/golden/bin/pip install --no-deps timm==1.0.31
    /tmp/golden/bin/python scripts/golden-optimizers.py

That PyTorch was built for NumPy 1 and says so when it is imported; tensors are made of lists here, so nothing is lost.
On the same processor the files come out with the same bytes; another one may change the last bits of some numbers.

Gradients do not depend on the weights, so every language can make them. All of this is exact, in f64:

    hash32(n)       = murmur3's fmix32 of h = (n + 0x9e3779b9) mod 2^32:
                      h ^= h >> 16; h *= 0x85ebca6b; h ^= h >> 13; h *= 0xc2b2ae35; h ^= h >> 16
    unit(n)         = (hash32(n) >> 8) / 2^23 - 1
    gradient_t[i]   = unit(t * E + i) * gradientScale, for step t from 1 and element i of E, rounded to the dtype;
                      0 where i % 11 = 5, and where i = 3 in the first ten steps
    initial[i]      = unit(0x40000000 + i) * initialScale, rounded; 0 in segments whose name ends in "bias"

What differs between implementations of one name:

- AdamW: optax has epsilon where PyTorch has it, and both decay the weights from before the step, so there is one rule.
  (PyTorch first multiplies the weights by 1 - lr * decay; optax adds decay * weights to the update.)
- Clipping of all gradients to a norm, before all else: optax and the LAMBs divide by max(1, norm / limit). PyTorch's
  clip_grad_norm_ multiplies by min(1, limit / (norm + 1e-6)); it is not used here.
- LAMB: `timm` and `apex` clip to a norm of 1 and skip the ratio of norms where there is no decay, unless told otherwise
  (`alwaysAdapt`: timm's always_adapt, apex's use_nvlamb). They agree but for rounding. apex runs on CUDA in f32 only:
  its algorithm is written out here in NumPy, in f64. `paper` (arXiv 1904.00962, Algorithm 2, with the identity as phi)
  is optax.lamb: no clipping, and always the ratio. The ratio is 1 where either norm is 0, which the paper leaves open.
- Muon scales the orthogonal matrix by its shape. optax takes rows as inputs, as JAX stores kernels: by
  sqrt(max(1, columns / rows)), or rms * sqrt(max(rows, columns)) with `consistentRms`. torch.optim.Muon and Keller
  Jordan's take rows as outputs: sqrt(max(1, rows / columns)); torch's "match_rms_adamw" is 0.2 * sqrt(max(rows,
  columns)). optax corrects the bias of its momentum (by beta^(t + 1) for the momentum of Nesterov's form, by beta^t for
  the gradient) and adds 1e-8 to the Frobenius norm; torch corrects nothing and takes the larger of the norm and 1e-7.
  torch's needs PyTorch 2.9 and works in bfloat16: it too is written out here in NumPy, in f64. What is no matrix, optax
  gives to AdamW, with Nesterov's form of that if Muon has it.
"""

import base64
import json
from pathlib import Path

import numpy as np

from golden.cases import CASES, VERSIONS
from golden.inputs import gradient_of, initial_of

FOLDER = Path(__file__).resolve().parent.parent / "test" / "golden" / "optimizers"
COMMAND = "python3 scripts/golden-optimizers.py"
# Every so many steps the weights are kept.
STRIDE = {"f64": 10, "f32": 1}


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def segment_of(case, name, shape):
    own = case["segmentDecays"]
    return {"name": name, "shape": shape} | ({"weightDecay": own[name]} if name in own else {})


def content_of(case):
    trajectory = list(case["run"](case))
    stride, rates = STRIDE[case["dtype"]], case["learningRates"]
    gradients = b"".join(gradient_of(case, step).tobytes() for step in range(1, case["steps"] + 1))
    content = {"command": COMMAND, "versions": VERSIONS}
    content |= {key: case[key] for key in ["reference", "rule", "options", "dtype", "gradientScale", "initialScale"]}
    content["segments"] = [segment_of(case, *segment) for segment in case["segments"]]
    content |= {"steps": case["steps"], "stride": stride, "gradientsFnv1a": fnv1a(gradients)}
    content["learningRates"] = rates if isinstance(rates, float) else encoded(np.array(rates, "<f8"))
    content["initial"] = encoded(initial_of(case))
    content["weights"] = encoded(np.stack([weights for weights, _ in trajectory[stride - 1 :: stride]]))
    if case["dtype"] == "f32":
        names = trajectory[0][1]
        content["state"] = {name: encoded(np.stack([state[name] for _, state in trajectory])) for name in names}
    return content


def as_text(value, indent=""):
    """JSON as the repository's formatter has it: objects over several lines, but not within lists."""
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {as_text(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        texts = [", ".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in one.items()) for one in value]
        if len(texts) == 1:
            return f"[{{ {texts[0]} }}]"
        return "[" + ",".join(f"\n{inner}{{ {text} }}" for text in texts) + f"\n{indent}]"
    # Python writes exponents with two digits.
    return json.dumps(value).replace("e-0", "e-")


FOLDER.mkdir(parents=True, exist_ok=True)
for name, case in CASES.items():
    (FOLDER / f"{name}.json").write_text(as_text(content_of(case)) + "\n")
    print(name)
