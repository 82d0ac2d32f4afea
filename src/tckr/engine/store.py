"""The content-addressed store: an artifact is complete or absent. It needs atomic renames, and no locks.

store/<stage>/<fingerprint>/                 complete: manifest.json was written last, then the folder was renamed
store/<stage>/<fingerprint>.work/            being filled (`tckr.engine.drafts`); survives a killed process
store/.tckr.json                             marks the folder as made by TCKR (`tckr.engine.folders`)
store/sealed/<stage>/<fingerprint>/<digest>/ sealed content of the artifact (`tckr.engine.seal`); valid once it is committed

Folders have mode 0700 and files 0600. While an artifact is being filled, the mode of its folder protects all its files.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tckr.disk import DiskError
from tckr.engine import contents, seal
from tckr.engine.contents import MANIFEST
from tckr.engine.drafts import Draft, adopt, commit, drafting, drop_drafts, is_at_work, work_folder
from tckr.engine.fingerprint import canonical
from tckr.engine.folders import Folder, Kind
from tckr.engine.measure import Usage, measured
from tckr.engine.private import FILE, close_to_others, make_private
from tckr.engine.step import Step
from tckr.errors import UserError

USAGE = "usage.json"
SECONDS_UNTIL_SEEN = 120.0
"""Seconds to wait for a file: network disks remember for about a minute that a name did not exist."""
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "kornia", "numpy", "tckr")


@dataclass(frozen=True)
class Store:
    """Artifacts by fingerprint below one folder."""

    root: Path

    def make(self) -> None:
        """Create the store unless it exists.

        Raises:
            UserError: the folder contains something else.
        """
        Folder(self.root, Kind.STORE).make()

    def folder(self, step: Step) -> Path:
        """Return the folder of the artifact of `step`, which need not exist."""
        return self.root / step.stage / step.fingerprint[:20]

    def sealed_folder(self, step: Step) -> Path:
        """Return the folder of the sealed content of the complete artifact of `step`."""
        return seal.place_of(self._seals_of(step), self.manifest(step)["sealed"])

    def _seals_of(self, step: Step) -> Path:
        return self.root / "sealed" / step.stage / step.fingerprint[:20]

    def has(self, step: Step) -> bool:
        """Return whether the artifact is complete."""
        return (self.folder(step) / MANIFEST).is_file()

    def manifest(self, step: Step) -> dict[str, Any]:
        """Return the manifest of a complete artifact.

        Raises:
            UserError: it is damaged or belongs to another artifact.
        """
        folder = self.folder(step)
        try:
            manifest = contents.read_manifest(folder)
        except contents.DamageError as error:
            raise UserError(_damaged_manifest(folder, str(error))) from None
        if manifest.get("fingerprint", step.fingerprint) != step.fingerprint:
            raise UserError(_damaged_manifest(folder, f"belongs to another artifact, of step {manifest.get('step')!r}"))
        return manifest

    def damage(self, step: Step) -> str:
        """Return a sentence about the first changed file of an artifact; empty if it is intact or does not exist.

        Every byte is read once per process. In artifacts from before manifests had digests, only sizes are checked.
        """
        if not self.folder(step).exists():
            return ""
        try:
            return next(contents.differences(self.folder(step), self.manifest(step)), "")
        except UserError as error:
            return str(error)

    def require_intact(self, steps: Iterable[Step]) -> None:
        """Check the complete ones among `steps`, and those that lost their manifest, which could not be computed again.

        Raises:
            UserError: an artifact was changed or damaged.
        """
        for step in steps:
            if damage := self.damage(step):
                raise UserError(damage)

    @contextmanager
    def filling(self, step: Step, facts: Mapping[str, Any]) -> Iterator[Draft | None]:
        """Yield a draft to fill, and commit it when the block ends without an error; yield None if it is already complete.

        A second process that needs the same artifact waits until it is complete. `facts` go into the manifest, as they are
        when the block ends.
        """
        final = self.folder(step)
        self.make()
        make_private(final.parent)
        with drafting(final, lambda: self.has(step)) as draft:
            if draft is None:
                drop_drafts(final)
                yield None
                return
            (draft.out / MANIFEST).unlink(missing_ok=True)  # left by an attempt that was killed before the rename
            try:
                with measured(draft.scratch / USAGE) as usage:
                    yield draft
                self._commit(step, draft, usage, facts)
            except (OSError, DiskError):
                if draft.mark.is_there():
                    raise
                adopt(final, lambda: self.has(step))  # another writer took this one for dead and uses its files
            shutil.rmtree(draft.folder, ignore_errors=True)
        drop_drafts(final)

    def _commit(self, step: Step, draft: Draft, usage: Usage, facts: Mapping[str, Any]) -> None:
        """Make the draft the artifact of `step`, or use the one that another writer made meanwhile."""
        sizes = {name: path.stat().st_size for name, path in contents.list_files(draft.out).items()}
        close_to_others(draft.out)
        sealed = seal.seal(draft.out, self._seals_of(step), step.seals)
        digests = {name: contents.file_digest(path) for name, path in contents.list_files(draft.out).items()}
        found = {**facts, "files": sizes, "digests": digests, "sealed": sealed}
        _write_manifest(draft.out, step, usage, found)
        (draft.out / MANIFEST).chmod(FILE)
        commit(draft, self.folder(step), lambda: self.has(step))
        seal.keep_only(self._seals_of(step), self.manifest(step)["sealed"])

    def wait_for(self, steps: Iterable[Step]) -> None:
        """Wait until `steps`, completed on another machine, are visible here: a network disk shows them with a delay.

        Raises:
            UserError: one of them does not appear.
        """
        for step in steps:
            folder, until = self.folder(step), time.monotonic() + SECONDS_UNTIL_SEEN
            while not self.has(step) and not folder.exists():
                if time.monotonic() > until:
                    raise UserError(
                        f"{folder} was not found: {step.name} is complete, but this machine does not see "
                        "it. All machines need the same --output on a disk that they share; `tckr doctor --store` tests one"
                    )
                os.scandir(folder.parent).close() if folder.parent.is_dir() else None  # makes NFS ask its server again
                time.sleep(0.5)

    @contextmanager
    def opened(self, step: Step) -> Iterator[dict[str, Path]]:
        """Yield, for every input that `step` opens, the folder of its sealed content, readable until the block ends.

        Raises:
            UserError: sealed content is missing or was changed.
        """
        with ExitStack() as stack:
            folders = {}
            for name in step.opens:
                source = step.inputs[name]
                digests = self.manifest(source)["sealed"]
                seals = self._seals_of(source)
                folders[name] = stack.enter_context(seal.opened(seals, digests, self.folder(source)))
                seal.note_opening(seals, step.name, step.fingerprint)
            yield folders

    def num_openings(self, step: Step) -> int:
        """Return how often the sealed content of `step` was opened, over all runs that share the store."""
        return seal.num_openings(self._seals_of(step))

    def drop_remains(self, step: Step) -> None:
        """Delete what a process killed right after the commit of `step` left behind, and close seals left open."""
        drop_drafts(self.folder(step))
        if step.seals:
            seal.close(self._seals_of(step))

    def is_begun(self, step: Step) -> bool:
        """Return whether a process has started to fill the artifact."""
        return work_folder(self.folder(step)).is_dir()

    def is_at_work(self, step: Step) -> bool:
        """Return whether a living process fills the artifact."""
        return is_at_work(self.folder(step))


def _version(library: str) -> str:
    """Return the installed version, or a text if the library is used from a source tree."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _damaged_manifest(folder: Path, why: str) -> str:
    return (
        f"{folder / MANIFEST} {why}, so the content of {folder} cannot be verified. Restore the file, or "
        f"delete {folder}; the same command then computes it again"
    )


def _write_manifest(out: Path, step: Step, usage: Usage, found: Mapping[str, Any]) -> None:
    """Write the manifest of an artifact, without its root seed, so that its fingerprint cannot be guessed."""
    manifest = {
        "step": step.name,
        "stage": step.stage,
        "fingerprint": step.fingerprint,
        "version": step.version,
        "config": json.loads(step.config.model_dump_json()),
        "run": step.run,
        "reads": dict(step.reads),
        "inputs": {name: source.fingerprint for name, source in step.inputs.items()},
        "sensitivity": canonical(step.sensitivity),
        "seconds": round(usage.seconds, 3),
        "peak_memory_mb": round(usage.peak_memory_mb),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": {name: _version(name) for name in LIBRARIES},
        **found,
    }
    contents.write_manifest(out, manifest)
