"""Every case: a rule, its reference and what it is given."""

import importlib.metadata
import platform
import subprocess

import jax
import numpy as np
import optax
import torch

from golden.inputs import warm_up_and_cosine
from golden.references import apex_update, numpy_steps, optax_steps, torch_muon_update, torch_steps

STEPS = {"f64": 200, "f32": 40}

DENSE = [("dense/kernel", [4, 6]), ("dense/bias", [5]), ("scale", [1])]
MATRICES = [("dense/kernel", [4, 6]), ("tall", [8, 3]), ("wide", [3, 7])]
ONE = [("scale", [1])]


def torch_name():
    """Debian's version: the library calls itself 1.13.0a0."""
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "python3-torch"], capture_output=True, text=True)
    return query.stdout.split("+")[0] or torch.__version__


VERSIONS = {
    "python": platform.python_version(),
    "torch": torch_name(),
    "numpy": np.__version__,
    "jax": jax.__version__,
    "optax": optax.__version__,
    "timm": importlib.metadata.version("timm"),
}
SGD = {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "weightDecay": 0.0}
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.0}
LAMB = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-6, "weightDecay": 0.01, "clipNorm": 1.0, "alwaysAdapt": False}
MUON = {
    "momentum": 0.95,
    "nesterov": True,
    "weightDecay": 0.0,
    "coefficients": [3.4445, -4.775, 2.0315],
    "newtonSchulzSteps": 5,
    "consistentRms": None,
}


def case_of(rule, reference, steps, defaults, options=None, **others):
    case = {"rule": rule, "reference": reference, "run": steps, "options": {**defaults, **(options or {})}}
    case |= {"dtype": "f64", "gradientScale": 1.0, "initialScale": 1.0, "segments": DENSE, "segmentDecays": {}}
    case |= others
    return {"steps": STEPS[case["dtype"]], **case}


def sgd(options=None, **others):
    reference = f"torch.optim.SGD {VERSIONS['torch']}"
    return case_of("sgd", reference, torch_steps, SGD, options, **{"learningRates": 0.1, **others})


def adam(options=None, **others):
    reference = f"torch.optim.Adam {VERSIONS['torch']}"
    return case_of("adam", reference, torch_steps, ADAM, options, **{"learningRates": 0.01, **others})


def adamw(options=None, **others):
    reference = f"torch.optim.AdamW {VERSIONS['torch']}"
    decay = {"weightDecay": 0.1, **(options or {})}
    return case_of("adamw", reference, torch_steps, ADAM, decay, **{"learningRates": 0.01, **others})


def adamw_optax(options):
    reference = f"optax.chain(clip_by_global_norm, adamw) {VERSIONS['optax']}"
    return case_of("adamw", reference, optax_steps, ADAM, options, learningRates=0.01)


def timm(options=None, **others):
    reference = f"timm.optim.Lamb {VERSIONS['timm']}"
    preset = {"preset": "timm", **(options or {})}
    return case_of("lamb", reference, torch_steps, LAMB, preset, **{"learningRates": 0.01, **others})


def apex(options=None, **others):
    reference = "the algorithm of apex.optimizers.FusedLAMB in f64"
    preset = {"preset": "apex", **(options or {})}
    return case_of("lamb", reference, numpy_steps(apex_update), LAMB, preset, learningRates=0.01, **others)


def paper(options=None):
    reference = f"optax.lamb {VERSIONS['optax']}"
    preset = {"preset": "paper", "clipNorm": None, "alwaysAdapt": True, **(options or {})}
    return case_of("lamb", reference, optax_steps, LAMB, preset, learningRates=0.01)


def muon(options=None, **others):
    reference = f"optax.contrib.muon {VERSIONS['optax']}"
    preset = {"preset": "optax", "epsilon": 1e-8, **(options or {})}
    given = {"learningRates": 0.02, "segments": MATRICES, **others}
    return case_of("muon", reference, optax_steps, MUON, preset, **given)


def muon_torch(options=None):
    reference = "the algorithm of torch.optim.Muon 2.9 in f64"
    preset = {"preset": "torch", "epsilon": 1e-7, "weightDecay": 0.1, **(options or {})}
    given = {"learningRates": 0.02, "segments": MATRICES}
    return case_of("muon", reference, numpy_steps(torch_muon_update), MUON, preset, **given)


NO_DECAY = {"dense/bias": 0.0, "scale": 0.0}
SCHEDULE = warm_up_and_cosine(0.02, 20, STEPS["f64"])
F32 = {"dtype": "f32"}
ZERO = {"gradientScale": 0.0, "initialScale": 0.0}
# The weights of Adam are as small as its steps, so that these can be seen. LAMB's are not: their norm would be 0.
DENORMAL = {"f32": {"dtype": "f32", "gradientScale": 2.0**-140}, "f64": {"gradientScale": 2.0**-1040}}
SMALL = {"f32": {"initialScale": 2.0**-115}, "f64": {"initialScale": 2.0**-1015}}

CASES = {
    "sgd": sgd(),
    "sgd-momentum": sgd({"momentum": 0.9}),
    "sgd-momentum-f32": sgd({"momentum": 0.9}, **F32),
    "sgd-momentum-schedule": sgd({"momentum": 0.9}, learningRates=SCHEDULE),
    "sgd-nesterov": sgd({"momentum": 0.9, "nesterov": True}),
    "sgd-dampening": sgd({"momentum": 0.9, "dampening": 0.5}),
    "sgd-weight-decay": sgd({"weightDecay": 0.05}),
    "sgd-nesterov-weight-decay": sgd({"momentum": 0.9, "nesterov": True, "weightDecay": 0.05}),
    "adam": adam(),
    "adam-f32": adam(**F32),
    "adam-weight-decay": adam({"weightDecay": 0.1}),
    "adam-one-element": adam(segments=ONE),
    "adam-zero": adam(**ZERO),
    "adam-denormal": adam(**DENORMAL["f64"], **SMALL["f64"]),
    "adam-denormal-f32": adam(**DENORMAL["f32"], **SMALL["f32"]),
    "adamw": adamw(),
    "adamw-f32": adamw(**F32),
    "adamw-schedule": adamw(learningRates=SCHEDULE),
    "adamw-groups": adamw(segmentDecays=NO_DECAY),
    "adamw-clip": adamw_optax({"weightDecay": 0.1, "clipNorm": 1.0}),
    "lamb-timm": timm(),
    "lamb-timm-f32": timm(**F32),
    "lamb-timm-clip-sometimes": timm({"clipNorm": 0.75}, gradientScale=0.25),
    "lamb-timm-no-clip": timm({"clipNorm": None}),
    "lamb-timm-no-decay": timm({"weightDecay": 0.0}),
    "lamb-timm-always-adapt": timm({"weightDecay": 0.0, "alwaysAdapt": True}),
    "lamb-timm-groups": timm(segmentDecays=NO_DECAY),
    "lamb-timm-one-element": timm(segments=ONE),
    "lamb-timm-zero": timm(**ZERO),
    "lamb-timm-denormal": timm(**DENORMAL["f64"]),
    "lamb-timm-denormal-f32": timm(**DENORMAL["f32"]),
    "lamb-apex": apex(),
    "lamb-apex-no-decay": apex({"weightDecay": 0.0}),
    "lamb-apex-always-adapt": apex({"weightDecay": 0.0, "alwaysAdapt": True}),
    "lamb-paper": paper(),
    "lamb-paper-no-decay": paper({"weightDecay": 0.0}),
    "muon-optax": muon(),
    "muon-optax-plain": muon({"nesterov": False}),
    "muon-optax-weight-decay": muon({"weightDecay": 0.1}),
    "muon-optax-consistent-rms": muon({"consistentRms": 0.2}),
    "muon-optax-with-adamw": muon({"nesterov": False}, segments=[*MATRICES, *DENSE[1:]]),
    "muon-optax-zero": muon(**ZERO),
    "muon-torch": muon_torch(),
    "muon-torch-plain": muon_torch({"nesterov": False}),
    "muon-torch-match-rms": muon_torch({"consistentRms": 0.2}),
}
