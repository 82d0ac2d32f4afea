"""What a shell offers after the Tab key: settings, presets and stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def complete_setting(incomplete: str) -> Iterator[str]:
    """Yield `section.setting=` for every setting that begins so; the shell itself offers files and folders."""
    from tckr.config import setting_names

    names = list(setting_names())
    sections = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    yield from (f"{name}=" for name in _beginning(names, incomplete) if name not in sections)


def complete_preset(incomplete: str) -> Iterator[str]:
    """Yield the names of presets that begin so."""
    from tckr.config import PRESETS

    yield from _beginning(PRESETS, incomplete)


def complete_stage(incomplete: str) -> Iterator[str]:
    """Yield the names of stages that begin so."""
    from tckr.pipeline import STAGES

    yield from _beginning(STAGES, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))
