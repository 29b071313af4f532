"""torch.distributed over Gloo: PEER_RANK, PEER_SIZE, PEER_STORE (an empty folder); the argument is bytes:iterations,..."""
import datetime
import os
import sys

import torch.distributed as dist

from measure import main, wrong_sums

os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


class TorchGloo:
    op = "sum"
    algorithm = "default"

    def __init__(self):
        self.rank = int(os.environ["PEER_RANK"])
        self.size = int(os.environ["PEER_SIZE"])
        store = dist.FileStore(os.path.join(os.environ["PEER_STORE"], "store"), self.size)
        timeout = datetime.timedelta(seconds=120)
        dist.init_process_group("gloo", store=store, rank=self.rank, world_size=self.size, timeout=timeout)

    barrier = staticmethod(dist.barrier)
    call = staticmethod(dist.all_reduce)

    def largest(self, numbers):
        dist.all_reduce(numbers, op=dist.ReduceOp.MAX)
        return numbers

    def wrong(self, out):
        return wrong_sums(out, self.size)


status = main(TorchGloo())
sys.stdout.flush()
# Not sys.exit: torch 1.13 now and then aborts while Python takes it down, because threads of its Gloo still run.
os._exit(status or 0)
