"""Where and how fast things run; none of it enters a fingerprint.

Nothing here changes which numbers are drawn or which records are used, with one exception: on several GPUs, dropout draws
otherwise for the shares of the other processes. Device, threads and batch sizes may still change the last bits of a result,
because they change the order of floating-point sums; the manifest says where it ran.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from tckr.errors import UserError, shown
from tckr.strict import MOST_IMAGES_AT_ONCE, STRICT, FilePath, Word

MOST_PROCESSES = 4096
"""Or threads: more than a machine has."""

MOST_GPUS = 1024

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class ExecutionConfig(BaseModel):
    """Devices, batch sizes, workers and paths of a run on this machine."""

    model_config = STRICT

    name: str = Field(
        "run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Name of the run's folder below `output`."
    )
    output: FilePath = Field(Path("runs"), description="Folder that holds run folders and the artifact store.")
    device: Word = Field("auto", description="`auto` takes CUDA when torch sees it, else the CPU; or any torch device name.")
    executor: Literal["local", "ray"] = Field(
        "local",
        description="What runs the steps: processes of this machine, or Ray, on one machine or many (`pip install "
        "tckr[ray]`). Results are the same.",
    )
    ray_address: Word | None = Field(
        None,
        min_length=1,
        description="Address of a Ray cluster, such as `auto` (the one of this machine) or `host:6379`; null starts one on "
        "this machine and ends it after the run. All its machines need the folder `output` under the same path.",
    )
    inference_batch_size: int = Field(
        64, ge=1, le=MOST_IMAGES_AT_ONCE, description="Images per forward pass where nothing is trained."
    )
    generation_batch_size: int = Field(
        0,
        ge=0,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per pass of the denoiser; 0 = as many as the free memory of a GPU holds, inference_batch_size "
        "elsewhere. Half as many from then on whenever memory runs out.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=MOST_PROCESSES,
        description="Processes for independent steps (reference runs) and for the batches of `generate`; 0 = one per CPU "
        "core, one in all on a GPU; with Ray, one per CPU core or GPU of all machines.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=MOST_PROCESSES,
        description="CPU threads of one process; 0 = all cores shared among the processes. Set 1 beside other programs: "
        "threads that wait for one another then lose far more than they gain.",
    )
    compile: bool = Field(
        False,
        description="Train and draw through torch.compile: minutes at the start, faster steps then; needs a C++ compiler.",
    )
    gpus: int = Field(
        1,
        ge=1,
        le=MOST_GPUS,
        description="GPUs that train one adapter, Teacher or Student together, each on its part of every step's images (on "
        "a CPU: processes). The Teachers and Students of reference runs have one each.",
    )

    trackers: list[TrackerName] = Field(
        [],
        max_length=len(get_args(TrackerName)),
        description="Who is given the losses of the target run while it trains: tensorboard writes event files into the "
        "run's folder; wandb, mlflow and trackio send them where their own settings say. The losses are of private images.",
    )

    @model_validator(mode="after")
    def _address_counts(self) -> Self:
        """Refuse an address that nobody would go to."""
        if self.ray_address is not None and self.executor != "ray":
            raise ValueError("execution.ray_address is without effect unless execution.executor=ray; set that too")
        return self

    @property
    def folder(self) -> Path:
        """Return the run's folder: config.yaml, log.jsonl, links to its artifacts, report/."""
        return self.output / self.name

    @property
    def store(self) -> Path:
        """Return the folder of the content-addressed store."""
        return self.output / "store"

    def torch_device(self) -> str:
        """Return the torch device name that `device` stands for on this machine.

        Raises:
            UserError: there is no such device here.
        """
        import torch  # imported here: commands that compute nothing must not pay for it

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError):  # an unknown name; a torch built without it
            available = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
            raise UserError(
                f"execution.device {shown(self.device)} is not available to torch here; expected one of "
                f"{', '.join(available)}"
            ) from None
        return self.device

    def num_workers(self, num_items: int) -> int:
        """Return how many processes to use for `num_items` independent steps."""
        default = 1 if self.torch_device().startswith("cuda") else available_cores()
        return max(1, min(self.workers or default, num_items))

    def threads_for(self, num_workers: int) -> int:
        """Return the CPU threads of each of `num_workers` processes."""
        return self.threads or max(1, available_cores() // num_workers)


def available_cores() -> int:
    """Return the CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
