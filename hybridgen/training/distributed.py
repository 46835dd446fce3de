"""Which process of how many this is, from the environment variables of `torchrun`, `deepspeed` or SLURM.

The only file of the training code that reads and sets environment variables.
"""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta

import torch

LAUNCHERS = (("RANK", "LOCAL_RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"))
SLURM_PORT = 29_500  # where the processes of a SLURM job meet, unless MASTER_PORT names another
TIMEOUT = timedelta(minutes=60)  # of a collective: rank 0 validates and writes while the others wait


@dataclass(frozen=True)
class RankInfo:
    """One process of all that train together."""

    rank: int
    local_rank: int  # on its machine
    world_size: int

    def device(self, kind: str) -> torch.device:
        """The device of this process: "cpu", or its own GPU of the machine for "cuda"."""
        return torch.device(kind, self.local_rank) if kind == "cuda" else torch.device(kind)


def rank_info() -> RankInfo:
    """The ranks that a launcher gave this process; rank 0 of 1 without one."""
    for names in LAUNCHERS:
        if all(name in os.environ for name in names):
            return RankInfo(*(int(os.environ[name]) for name in names))
    return RankInfo(0, 0, 1)


def init(device: torch.device) -> RankInfo:
    """Joins the process group, once: gloo between CPUs, NCCL between GPUs. A single process is a group of its own."""
    here = rank_info()
    os.environ["LOCAL_RANK"] = str(here.local_rank)  # DeepSpeed reads these two
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if torch.distributed.is_initialized():
        return here
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, store=_store(here), rank=here.rank, world_size=here.world_size, timeout=TIMEOUT
    )
    return here


def shutdown() -> None:
    """Leaves the process group, if any. One process of several then exits at once: call it last.

    DeepSpeed keeps groups alive beyond `destroy_process_group`, and their threads sometimes abort the interpreter's
    normal exit ("terminate called without an active exception"), so that a launcher reports the whole run as failed.
    """
    if not torch.distributed.is_initialized():
        return
    is_alone = torch.distributed.get_world_size() == 1
    torch.distributed.destroy_process_group()
    if not is_alone:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _store(here: RankInfo) -> torch.distributed.Store:
    """Where the processes meet: at MASTER_ADDR, or at the first host of a SLURM job."""
    if here.world_size == 1:
        return torch.distributed.HashStore()
    host, port = os.environ.get("MASTER_ADDR", _first_host()), int(os.environ.get("MASTER_PORT", SLURM_PORT))
    return torch.distributed.TCPStore(host, port, here.world_size, here.rank == 0 and _hosts_store(), TIMEOUT)


def _hosts_store() -> bool:
    """Whether rank 0 keeps the store: torchrun keeps it in a process of its own."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def _first_host() -> str:
    """The first name of SLURM's list of nodes: "gpu[03-05,9]" begins with gpu03; this machine without SLURM."""
    head, bracket, rest = os.environ.get("SLURM_JOB_NODELIST", "localhost").partition("[")
    if not bracket or "," in head:
        return head.split(",")[0]
    return head + rest.split("]")[0].split(",")[0].split("-")[0]
