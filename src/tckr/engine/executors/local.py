"""Map over processes of this machine, each with its share of the CPU threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from tckr.engine.executors import Item, Result


@dataclass(frozen=True)
class LocalExecutor:
    """Processes started afresh (spawn): nothing of the parent's libraries or devices is shared."""

    threads_per_worker: int

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], num_workers: int) -> Iterator[Result]:
        """Yield results as they finish; `function` and items must be picklable."""
        with ProcessPoolExecutor(
            num_workers, multiprocessing.get_context("spawn"), limit_threads, (self.threads_per_worker,)
        ) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def limit_threads(threads: int) -> None:
    """Let torch use `threads` CPU threads in this process."""
    import torch  # only processes that compute load it

    torch.set_num_threads(threads)
