"""Upload a finished release to the Hugging Face hub: the folder as a data set, each model as a separate model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tckr.errors import UserError


class Api(Protocol):
    """Methods of `huggingface_hub.HfApi` that are used here."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> object:
        """Create a repository unless it exists."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: Path, repo_type: str) -> object:
        """Upload the files of a folder."""
        ...


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Destination of an upload.

    Attributes:
        kind: type of the repository.
        name: `owner/name`.
        folder: local folder whose files are uploaded.
    """

    kind: Literal["dataset", "model"]
    name: str
    folder: Path


def repositories(release: Path, name: str) -> list[Repository]:
    """Return the repositories of a release. A data set and a model may share a name, two models may not."""
    models = [part for part in ("student", "adapter") if (release / part).is_dir()]
    found = [
        Repository(kind="model", name=name if place == 0 else f"{name}-{part}", folder=release / part)
        for place, part in enumerate(models)
    ]
    return [Repository(kind="dataset", name=name, folder=release), *found]


def upload(release: Path, name: str, api: Api | None = None) -> Sequence[str]:
    """Upload a release; return the addresses.

    Raises:
        UserError: the hub refuses the upload or does not answer.
    """
    from huggingface_hub import HfApi

    hub: Api = api or HfApi()
    done = []
    for place in repositories(release, name):
        try:
            hub.create_repo(place.name, repo_type=place.kind, private=True, exist_ok=True)
            hub.upload_folder(repo_id=place.name, folder_path=place.folder, repo_type=place.kind)
        except Exception as error:  # the hub, its client and the network raise different types in each version
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UserError(
                f"the hub refuses {place.kind} {place.name}: {reason}. The release in {release} is complete; sign in with "
                "`hf auth login`, check the name, and upload it with `hf upload`"
            ) from error
        done.append(f"{'datasets/' if place.kind == 'dataset' else ''}{place.name}")
    return done
