"""Where and how fast things run. None of it enters a fingerprint.

Nothing here changes random numbers or the records that are used, with one exception: on several GPUs, dropout uses other
random numbers in the other processes. Device, threads and batch sizes may still change the last bits of a result, because
they change the order of floating-point sums; the manifest records where it ran.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from tckr.errors import UserError, shown
from tckr.process import available_cores
from tckr.strict import MOST_IMAGES_AT_ONCE, STRICT, FilePath, Word

MOST_PROCESSES = 4096
"""Maximum number of processes or threads; no machine has more."""

MOST_GPUS = 1024

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class ExecutionConfig(BaseModel):
    """Devices, batch sizes, workers and paths of a run on this machine."""

    model_config = STRICT

    name: str = Field(
        "run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Name of the run's folder below `output`."
    )
    output: FilePath = Field(Path("runs"), description="Folder for run folders and the artifact store.")
    device: Word = Field("auto", description="`auto` uses CUDA if torch finds it, else the CPU; or any torch device name.")
    executor: Literal["local", "ray"] = Field(
        "local",
        description="What runs the steps: `local` uses processes of this machine, `ray` uses Ray on one or "
        "many machines (`pip install tckr[ray]`). Results are the same.",
    )
    ray_address: Word | None = Field(
        None,
        min_length=1,
        description="Address of a Ray cluster, such as `auto` (the one of this machine) or `host:6379`; null starts one on "
        "this machine and ends it after the run. All its machines need the folder `output` under the same path.",
    )
    inference_batch_size: int = Field(
        64, ge=1, le=MOST_IMAGES_AT_ONCE, description="Images per forward pass outside of training."
    )
    generation_batch_size: int = Field(
        0,
        ge=0,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per pass of the denoiser; 0 = as many as fit into the free memory of a GPU, or "
        "inference_batch_size on other devices. If memory runs out, the number is halved for the rest of the run.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=MOST_PROCESSES,
        description="Processes for independent steps (reference runs) and for the batches of `generate`; 0 = one per CPU "
        "core, or a single one on a GPU; with Ray, one per CPU core or GPU of all machines.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=MOST_PROCESSES,
        description="CPU threads of one process; 0 = all cores shared among the processes. Set 1 if other "
        "programs are running: threads that wait for one another then cost far more time than they save.",
    )
    compile: bool = Field(
        False,
        description="Train and generate with torch.compile: takes minutes at the start, then faster steps; "
        "needs a C++ compiler.",
    )
    gpus: int = Field(
        1,
        ge=1,
        le=MOST_GPUS,
        description="GPUs that together train one adapter, Teacher or Student, each on a part of every step's images (on "
        "a CPU: processes). Each Teacher and Student of a reference run uses one GPU.",
    )

    sharded: bool = Field(
        False,
        description="Divide the frozen weights of the generator among `gpus` while a LoRA is trained (FSDP2): for models "
        "that do not fit on one GPU. Slower than without it, and not compiled.",
    )
    trackers: list[TrackerName] = Field(
        [],
        max_length=len(get_args(TrackerName)),
        description="Programs that get the losses of the target run during training: tensorboard writes event files into "
        "the run's folder; wandb, mlflow and trackio may send them elsewhere, as their own settings say. The losses are "
        "computed from private images.",
    )

    @model_validator(mode="after")
    def _address_counts(self) -> Self:
        """Raise an error if an address is set but not used."""
        if self.ray_address is not None and self.executor != "ray":
            raise ValueError("execution.ray_address is without effect unless execution.executor=ray; set that too")
        return self

    @model_validator(mode="after")
    def _shards_are_several(self) -> Self:
        """Raise an error if weights are to be divided among a single GPU."""
        if self.sharded and self.gpus == 1:
            raise ValueError("execution.sharded divides the weights of a generator among GPUs; set execution.gpus too")
        return self

    @property
    def folder(self) -> Path:
        """Return the run's folder, which contains config.yaml, log.jsonl, links to its artifacts, and report/."""
        return self.output / self.name

    @property
    def store(self) -> Path:
        """Return the folder of the content-addressed store."""
        return self.output / "store"

    def torch_device(self) -> str:
        """Return the name of the torch device that `device` means on this machine.

        Raises:
            UserError: the device does not exist on this machine.
        """
        import torch  # imported here, because commands that compute nothing should start fast

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError):  # an unknown name, or torch was built without this device
            available = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
            raise UserError(
                f"execution.device {shown(self.device)} is not available to torch on this machine; expected one of "
                f"{', '.join(available)}"
            ) from None
        return self.device

    def num_workers(self, num_items: int) -> int:
        """Return the number of processes for `num_items` independent steps."""
        default = 1 if self.torch_device().startswith("cuda") else available_cores()
        return max(1, min(self.workers or default, num_items))

    def threads_for(self, num_workers: int) -> int:
        """Return the number of CPU threads of each of `num_workers` processes."""
        return self.threads or max(1, available_cores() // num_workers)
