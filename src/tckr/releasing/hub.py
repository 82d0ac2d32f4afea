"""Upload a finished release to the Hugging Face hub: the folder as a data set, each model as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tckr.errors import UserError


class Api(Protocol):
    """What of `huggingface_hub.HfApi` is used."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> object:
        """Make a repository unless it is there."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: Path, repo_type: str) -> object:
        """Upload the files of a folder."""
        ...


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Where a folder goes.

    Attributes:
        kind: of the repository.
        name: `owner/name`.
        folder: whose files are uploaded.
    """

    kind: Literal["dataset", "model"]
    name: str
    folder: Path


def repositories(release: Path, name: str) -> list[Repository]:
    """Return the repositories of a release: a data set and models may have the same name, but two models may not."""
    models = [part for part in ("student", "adapter") if (release / part).is_dir()]
    found = [
        Repository(kind="model", name=name if place == 0 else f"{name}-{part}", folder=release / part)
        for place, part in enumerate(models)
    ]
    return [Repository(kind="dataset", name=name, folder=release), *found]


def upload(release: Path, name: str, api: Api | None = None) -> Sequence[str]:
    """Upload a release; return the addresses.

    Raises:
        UserError: the hub refuses, or does not answer.
    """
    from huggingface_hub import HfApi

    hub: Api = api or HfApi()
    done = []
    for place in repositories(release, name):
        try:
            hub.create_repo(place.name, repo_type=place.kind, private=True, exist_ok=True)
            hub.upload_folder(repo_id=place.name, folder_path=place.folder, repo_type=place.kind)
        except Exception as error:  # the hub's, the client's or the network's: each version has others
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UserError(
                f"the hub does not take {place.kind} {place.name}: {reason}. The release in {release} is whole; sign in "
                "with `hf auth login`, check the name, and upload it with `hf upload`"
            ) from error
        done.append(f"{'datasets/' if place.kind == 'dataset' else ''}{place.name}")
    return done
