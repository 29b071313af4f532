"""What the Python programs share, the same as measure.h: inputs, the definition of a time, the check, the line.

A time is that of the slowest rank, from a barrier to the end of the call. In place only: the input is put back before
the barrier, outside the time.
"""
import json
import sys
import time

import numpy
import torch

WARM_UPS = 3
torch.set_num_threads(1)


def input_of(rank, count):
    hashes = (numpy.arange(count, dtype=numpy.uint64) * 2654435761 + rank * 519011839) % 2**32
    return (hashes / 2.0**32 - 0.4).astype(numpy.float32)


def wrong_sums(out, size):
    """Against sums in f64; whatever the order of the additions, an f32 sum is within this bound."""
    inputs = [input_of(rank, len(out)).astype(numpy.float64) for rank in range(size)]
    bound = size * 2.0**-24 * sum(abs(vector) for vector in inputs)
    return int((~(abs(out - sum(inputs)) <= bound)).sum())


def measure_case(library, count, iterations):
    vector = torch.from_numpy(input_of(library.rank, count))
    data = vector.clone()
    numbers = torch.zeros(iterations + 1, dtype=torch.float64)
    for i in range(-WARM_UPS, iterations):
        data.copy_(vector)
        library.barrier()
        begin = time.perf_counter()
        library.call(data)
        if i >= 0:
            numbers[i] = (time.perf_counter() - begin) * 1e6
    numbers[iterations] = library.wrong(data.numpy())
    *times, wrong = library.largest(numbers).tolist()
    p50 = sorted(times)[iterations // 2]
    return {"op": library.op, "n": library.size, "bytes": count * 4, "inPlace": True, "p50Us": round(p50, 2),
            "wrong": int(wrong), "algorithm": library.algorithm}


def main(library):
    exit_code = 0
    for case in sys.argv[1].split(","):
        byte_length, iterations = map(int, case.split(":"))
        line = measure_case(library, byte_length // 4, iterations)
        if library.rank == 0:
            print(json.dumps(line), flush=True)
        exit_code |= line["wrong"] > 0
    return exit_code
