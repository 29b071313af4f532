"""Horovod's Adasum over MPI, started by mpirun; the argument is bytes:iterations,..."""
import sys

import horovod.torch as hvd
import numpy

from measure import input_of, main

# Horovod takes its dot products in f64 and rounds after every level.
TOLERANCE = 1e-5


def adasum_of_two(a, b):
    dot = a @ b
    return (1 - dot / (2 * (a @ a))) * a + (1 - dot / (2 * (b @ b))) * b


class HorovodAdasum:
    op = "adasum"
    algorithm = "default"

    def __init__(self):
        hvd.init()
        self.rank = hvd.rank()
        self.size = hvd.size()

    barrier = staticmethod(hvd.barrier)

    def call(self, data):
        # A name, as every tensor of a training has: what is repeated is then found in Horovod's cache of responses.
        hvd.allreduce_(data, op=hvd.Adasum, name=f"adasum.{len(data)}")

    def largest(self, numbers):
        return hvd.allgather(numbers[None]).max(0).values

    def wrong(self, out):
        level = [input_of(rank, len(out)).astype(numpy.float64) for rank in range(self.size)]
        while len(level) > 1:
            level = [adasum_of_two(a, b) for a, b in zip(level[::2], level[1::2])]
        return int((~(abs(out - level[0]) <= TOLERANCE)).sum())


sys.exit(main(HorovodAdasum()))
