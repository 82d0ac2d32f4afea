"""Ways of training many classifiers in one process, a step of each at a time: streams, recorded graphs, stacked weights.

They exist to be compared by `reference_training.py`. Where they compute the same as one by one, they do so to float
tolerance, because kernels of other shapes add in another order.

Shape suffixes: R runs (models), B batch, C colours, H height, W width, K classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from tckr.data.transforms import to_device
from tckr.training.batches import TrainingData, augmented
from tckr.training.fit import measure_accuracy
from training_ways import LOSS, NAMES, SIZE, Task, Weights, new_model, on_host

Step = Callable[[Tensor, Tensor, float], None]
"""Take one step on images [B, 3, H, W] and targets [B, K] at a learning rate."""


class Drawing:
    """The augmented batches of one run; they do not depend on what other runs sample in between."""

    def __init__(self, task: Task, run: int) -> None:
        self.task, self.run, self.data = task, run, task.members(run)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images [B, 3, H, W], targets [B, K]) of one epoch, as `fit` meets them."""
        task = self.task
        return augmented(
            self.data,
            task.config.augment,
            batch_size=task.batch_size,
            seed=self.run,
            epoch=epoch,
            num_classes=len(NAMES),
            device=task.device,
        )


class Training:
    """One model and its optimizer, stepped from outside."""

    def __init__(self, task: Task, run: int) -> None:
        self.task = task
        self.model = new_model(task, run).to(task.device).to(memory_format=torch.channels_last)
        self.model.train()
        on_gpu = task.device.startswith("cuda")
        self.rate = torch.zeros((), device=task.device)  # a tensor, so that a recorded step can be replayed at other rates
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.rate, weight_decay=task.config.weight_decay, fused=True, capturable=on_gpu
        )

    def step(self, images_BCHW: Tensor, targets_BK: Tensor, rate: float) -> None:
        """Take one step."""
        self.rate.fill_(rate)
        self.optimizer.zero_grad(set_to_none=True)
        self.compute(images_BCHW, targets_BK)

    def compute(self, images_BCHW: Tensor, targets_BK: Tensor) -> None:
        """Do the part of a step that can be recorded."""
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        with self.task.forward_precision():
            loss = LOSS(self.model(images_BCHW), targets_BK, images_BCHW)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.task.config.gradient_clip)
        self.optimizer.step()


def train_in_streams(task: Task, runs: Sequence[int]) -> list[Weights]:
    """Step all models in turn, each on a CUDA stream of its own, so that their kernels may overlap."""
    trainings = [Training(task, run) for run in runs]
    with deterministic_kernels():
        return _train_in_turn(task, runs, trainings, [training.step for training in trainings])


def train_with_graphs(task: Task, runs: Sequence[int]) -> list[Weights]:
    """Do the same with steps recorded as CUDA graphs: the host launches one graph instead of some hundred kernels."""
    trainings = [Training(task, run) for run in runs]
    with deterministic_kernels():
        return _train_in_turn(task, runs, trainings, [RecordedStep(training) for training in trainings])


def _train_in_turn(task: Task, runs: Sequence[int], trainings: list[Training], steps: Sequence[Step]) -> list[Weights]:
    drawings = [Drawing(task, run) for run in runs]
    streams = [new_stream(task) for _ in runs]
    validation = task.validation()
    synchronize(task)  # the weights were put there on the default stream
    for epoch in range(task.epochs):
        batches = [drawing.epoch(epoch) for drawing in drawings]
        for training in trainings:
            training.model.train()
        for position in range(task.steps_per_epoch):
            rate = task.rate(epoch * task.steps_per_epoch + position)
            for stream, step, batch in zip(streams, steps, batches, strict=True):
                with stream():
                    step(*next(batch), rate)
        for stream, training in zip(streams, trainings, strict=True):
            with stream():
                measure_accuracy(training.model, validation, task.batch_size)
    synchronize(task)
    return [on_host(training.model.state_dict()) for training in trainings]


def deterministic_kernels() -> AbstractContextManager[None]:
    """Hold cuDNN to what `fit` holds it to."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def new_stream(task: Task) -> Callable[[], AbstractContextManager[object]]:
    """Return what enters a fresh CUDA stream; on a CPU, nothing, so that the rest is known to work."""
    if not task.device.startswith("cuda"):
        return nullcontext
    stream = torch.cuda.Stream()
    return lambda: torch.cuda.stream(stream)


def synchronize(task: Task) -> None:
    """Wait for what was launched."""
    if task.device.startswith("cuda"):
        torch.cuda.synchronize()


class RecordedStep:
    """The step of one training as a CUDA graph that is replayed on new input; on a CPU, the step on the same buffers."""

    def __init__(self, training: Training) -> None:
        task = training.task
        self.training = training
        self.images_BCHW = torch.zeros(task.batch_size, 3, SIZE, SIZE, device=task.device)
        self.targets_BK = torch.full((task.batch_size, len(NAMES)), 1 / len(NAMES), device=task.device)
        self.graph = self._record() if task.device.startswith("cuda") else None

    def __call__(self, images_BCHW: Tensor, targets_BK: Tensor, rate: float) -> None:
        """Take one step."""
        self.images_BCHW.copy_(images_BCHW)
        self.targets_BK.copy_(targets_BK)
        if self.graph is None:
            self.training.step(self.images_BCHW, self.targets_BK, rate)
            return
        self.training.rate.fill_(rate)
        self.graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record after three steps that let the libraries choose their kernels, then undo these steps in place."""
        training = self.training
        before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                training.step(self.images_BCHW, self.targets_BK, 0.0)
        torch.cuda.current_stream().wait_stream(side)
        training.optimizer.zero_grad(set_to_none=True)  # recorded, the backward pass then sets gradients, never adds
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            training.compute(self.images_BCHW, self.targets_BK)
        training.model.load_state_dict(before)
        for moments in training.optimizer.state.values():
            for tensor in moments.values():
                tensor.zero_()
        return graph


def train_stacked(task: Task, runs: Sequence[int]) -> list[Weights]:
    """Step all models at once, as one model whose weights have a leading axis R."""
    models = StackedModels([new_model(task, run).to(task.device) for run in runs], task)
    drawings, validation = [Drawing(task, run) for run in runs], task.validation()
    with deterministic_kernels():
        for epoch in range(task.epochs):
            for position, batches in enumerate(zip(*(drawing.epoch(epoch) for drawing in drawings), strict=True)):
                images_RBCHW, targets_RBK = (torch.stack(tensors) for tensors in zip(*batches, strict=True))
                models.step(images_RBCHW, targets_RBK, task.rate(epoch * task.steps_per_epoch + position))
            models.measure_accuracies(validation)
    synchronize(task)
    return models.weights()


class StackedModels:
    """R models of one architecture with stacked weights [R, ...]; `torch.func.vmap` makes grouped convolutions of theirs."""

    def __init__(self, models: Sequence[nn.Module], task: Task) -> None:
        self.task, self.num_models = task, len(models)
        self.skeleton = copy.deepcopy(models[0]).to("meta")
        self.parameters, self.buffers = stack_module_state(list(models))
        weight_decay = task.config.weight_decay
        self.optimizer = torch.optim.AdamW(self.parameters.values(), weight_decay=weight_decay, fused=True)

    def step(self, images_RBCHW: Tensor, targets_RBK: Tensor, rate: float) -> None:
        """Take one step of every model; their losses add up, because no weight of one is in the loss of another."""
        self.skeleton.train()
        with self.task.forward_precision():
            logits_RBK = vmap(self._predict)(self.parameters, self.buffers, images_RBCHW)
            loss_R = vmap(LOSS)(logits_RBK, targets_RBK, images_RBCHW)
        self.optimizer.zero_grad()
        loss_R.sum().backward()
        clip_each([parameter.grad for parameter in self.parameters.values()], self.task.config.gradient_clip)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()

    def measure_accuracies(self, data: TrainingData) -> Tensor:
        """Return the accuracy of each model [R] on the same images."""
        self.skeleton.eval()
        right_R = torch.zeros(self.num_models, device=self.task.device)
        with torch.no_grad():
            for rows in np.split(np.arange(len(data)), range(self.task.batch_size, len(data), self.task.batch_size)):
                images_BCHW = to_device(data.images[data.rows[rows]], self.task.device)
                logits_RBK = vmap(self._predict, in_dims=(0, 0, None))(self.parameters, self.buffers, images_BCHW)
                labels_B = torch.from_numpy(data.targets[rows]).to(self.task.device)
                right_R += (logits_RBK.argmax(dim=2) == labels_B).sum(dim=1)
        return right_R / len(data)

    def weights(self) -> list[Weights]:
        """Return what each model has become."""
        stacked = self.parameters | self.buffers
        return [on_host({name: tensor[row] for name, tensor in stacked.items()}) for row in range(self.num_models)]

    def _predict(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images_BCHW: Tensor) -> Tensor:
        return functional_call(self.skeleton, (parameters, buffers), (images_BCHW,))


def clip_each(gradients: Sequence[Tensor], largest: float) -> None:
    """Scale the gradient of each model [R, ...] to a norm of at most `largest`, as `clip_grad_norm_` does for one."""
    norms_R = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors_R = (largest / (norms_R + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors_R.view(-1, *[1] * (gradient.dim() - 1)))
