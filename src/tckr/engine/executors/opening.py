"""Choose the executor that runs the steps."""

from __future__ import annotations

import importlib.util

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Executor
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.observer import Listener
from tckr.errors import UserError


def open_executor(execution: ExecutionConfig, num_steps: int, listener: Listener) -> Executor:
    """Return the executor that `execution` names, for at most `num_steps` steps at a time.

    Raises:
        UserError: `execution` names Ray, and Ray is not installed.
    """
    if execution.executor == "local":
        return LocalExecutor(execution.threads_for, execution.num_workers(num_steps) if num_steps else 1, listener)
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "execution.executor=ray needs Ray, which is not installed: pip install 'tckr[ray]', on every machine"
        )
    from tckr.engine.executors.ray import RayExecutor  # imported here because nothing else needs Ray

    return RayExecutor(execution, listener)
