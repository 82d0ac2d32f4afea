"""The content-addressed store: an artifact is whole or absent. It needs atomic renames, and no locks.

store/<stage>/<fingerprint>/                 whole: manifest.json was written last, then the folder was renamed
store/<stage>/<fingerprint>.work/            being filled (`tckr.engine.drafts`); outlives a killed process
store/.tckr.json                             says that TCKR made the folder (`tckr.engine.folders`)
store/sealed/<stage>/<fingerprint>/<digest>/ what the artifact sealed (`tckr.engine.seal`); counts from the artifact's commit

Folders have mode 0700 and files 0600. While an artifact is filled, its folder alone keeps others out.
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
from tckr.engine.drafts import Draft, adopt, commit, drafting, drop_drafts, work_folder
from tckr.engine.fingerprint import canonical
from tckr.engine.folders import Folder, Kind
from tckr.engine.measure import Usage, measured
from tckr.engine.private import FILE, close_to_others, make_private
from tckr.engine.step import Step
from tckr.errors import UserError

USAGE = "usage.json"
SECONDS_UNTIL_SEEN = 120.0
"""Network disks keep for about a minute that a name was not there."""
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "kornia", "numpy", "tckr")


@dataclass(frozen=True)
class Store:
    """Artifacts by fingerprint below one folder."""

    root: Path

    def make(self) -> None:
        """Create the store unless it is there.

        Raises:
            UserError: the folder holds something else.
        """
        Folder(self.root, Kind.STORE).make()

    def folder(self, step: Step) -> Path:
        """Return where the whole artifact of `step` lies or will lie."""
        return self.root / step.stage / step.fingerprint[:20]

    def sealed_folder(self, step: Step) -> Path:
        """Return where what the whole artifact of `step` sealed lies."""
        return seal.place_of(self._seals_of(step), self.manifest(step)["sealed"])

    def _seals_of(self, step: Step) -> Path:
        return self.root / "sealed" / step.stage / step.fingerprint[:20]

    def has(self, step: Step) -> bool:
        """Return whether the artifact is whole."""
        return (self.folder(step) / MANIFEST).is_file()

    def manifest(self, step: Step) -> dict[str, Any]:
        """Return the manifest of a whole artifact.

        Raises:
            UserError: it is damaged, or that of another artifact.
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
        """Return what is wrong with an artifact: the first file that is not what was written; nothing where none lies.

        Every byte is read, once per process. An artifact written before manifests had digests is checked for sizes.
        """
        if not self.folder(step).exists():
            return ""
        try:
            return next(contents.differences(self.folder(step), self.manifest(step)), "")
        except UserError as error:
            return str(error)

    def require_intact(self, steps: Iterable[Step]) -> None:
        """Check those of `steps` that are whole, or were and lack their manifest: nothing could take their place.

        Raises:
            UserError: an artifact is not what was written.
        """
        for step in steps:
            if damage := self.damage(step):
                raise UserError(damage)

    @contextmanager
    def filling(self, step: Step, computed_on: Mapping[str, Any]) -> Iterator[Draft | None]:
        """Yield a draft to fill and commit it when the block ends without an error; yield None if it is whole already.

        A second process asking for the same artifact waits, then finds it whole. `computed_on` goes into the manifest.
        """
        final = self.folder(step)
        self.make()
        make_private(final.parent)
        with drafting(final, lambda: self.has(step)) as draft:
            if draft is None:
                drop_drafts(final)
                yield None
                return
            (draft.out / MANIFEST).unlink(missing_ok=True)  # of an attempt killed before the rename
            try:
                with measured(draft.scratch / USAGE) as usage:
                    yield draft
                self._commit(step, draft, usage, computed_on)
            except (OSError, DiskError):
                if draft.mark.is_there():
                    raise
                adopt(final, lambda: self.has(step))  # another writer took this one for dead, and has its files
            shutil.rmtree(draft.folder, ignore_errors=True)
        drop_drafts(final)

    def _commit(self, step: Step, draft: Draft, usage: Usage, computed_on: Mapping[str, Any]) -> None:
        """Make the draft the artifact of `step`, or adopt the one that another writer made meanwhile."""
        sizes = {name: path.stat().st_size for name, path in contents.list_files(draft.out).items()}
        close_to_others(draft.out)
        sealed = seal.seal(draft.out, self._seals_of(step), step.seals)
        digests = {name: contents.file_digest(path) for name, path in contents.list_files(draft.out).items()}
        found = {"computed_on": dict(computed_on), "files": sizes, "digests": digests, "sealed": sealed}
        _write_manifest(draft.out, step, usage, found)
        (draft.out / MANIFEST).chmod(FILE)
        commit(draft, self.folder(step), lambda: self.has(step))
        seal.keep_only(self._seals_of(step), self.manifest(step)["sealed"])

    def wait_for(self, steps: Iterable[Step]) -> None:
        """Wait until `steps`, which another machine said are whole, are so here: a network disk shows them late.

        Raises:
            UserError: one is not.
        """
        for step in steps:
            folder, until = self.folder(step), time.monotonic() + SECONDS_UNTIL_SEEN
            while not self.has(step) and not folder.exists():
                if time.monotonic() > until:
                    raise UserError(
                        f"{folder} is not there: {step.name} was made, but this machine does not see it. All machines need "
                        "the same --output on a disk that they share; `tckr doctor --store` looks at one"
                    )
                os.scandir(folder.parent).close() if folder.parent.is_dir() else None  # lets NFS ask its server again
                time.sleep(0.5)

    @contextmanager
    def opened(self, step: Step) -> Iterator[dict[str, Path]]:
        """Yield, for every input that `step` opens, the folder of what it sealed, readable until the block ends.

        Raises:
            UserError: something sealed is not what it was.
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
        """Return how often what `step` sealed was opened, over all runs that share the store."""
        return seal.num_openings(self._seals_of(step))

    def drop_remains(self, step: Step) -> None:
        """Delete what a process killed right after the commit of `step` left behind; close what another left open."""
        drop_drafts(self.folder(step))
        if step.seals:
            seal.close(self._seals_of(step))

    def is_begun(self, step: Step) -> bool:
        """Return whether somebody began to fill the artifact."""
        return work_folder(self.folder(step)).is_dir()


def _version(library: str) -> str:
    """Return the installed version; a source tree on the path alone has none."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _damaged_manifest(folder: Path, why: str) -> str:
    return (
        f"{folder / MANIFEST} {why}, so nothing in {folder} can be trusted. Put the file back, or delete {folder}, and the "
        "same command computes it anew"
    )


def _write_manifest(out: Path, step: Step, usage: Usage, found: Mapping[str, Any]) -> None:
    """Write what is known of an artifact; its root seed stays out, so that its fingerprint cannot be guessed."""
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
