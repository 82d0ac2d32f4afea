"""The log of a run: one JSON line per event (`log.jsonl`), and which of them the user sees at once."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from tckr.disk import explained
from tckr.engine.observer import Listener

_LOG_LOCK = threading.Lock()


def append_log(log_file: Path, step_name: str, listener: Listener, event: str, **fields: Any) -> None:
    """Append one event as a JSON line; the `message` of `warning` and `layout` is shown to the user."""
    line = json.dumps({"time": round(time.time(), 3), "step": step_name, "event": event, **fields}, default=str)
    with explained(log_file), _LOG_LOCK, log_file.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    if event == "warning":
        listener.warned(f"{step_name}: {fields.get('message', '')}")
    if event == "layout":
        listener.described(fields["message"])
