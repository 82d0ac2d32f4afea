"""A changed checkpoint is noticed before anything is computed with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tckr.errors import UserError
from tckr.models.model_names import adapter_digest, checkpoint_digest


def test_a_changed_file_changes_the_digest_of_a_local_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = checkpoint_digest(str(tmp_path))
    assert checkpoint_digest(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert checkpoint_digest(str(tmp_path)) != before


def test_a_file_name_that_is_not_utf_8_is_part_of_the_digest(tmp_path):
    before = checkpoint_digest(str(tmp_path))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_bytes(b"")
    assert checkpoint_digest(str(tmp_path)) != before


def test_embedded_checkpoints_differ_and_names_stand_for_themselves():
    assert checkpoint_digest("embedded:captioner") != checkpoint_digest("embedded:generator")
    assert checkpoint_digest("owner/some-model") == "owner/some-model"


@pytest.mark.parametrize("name", ["{tmp}/missing", "./missing", "../missing", "~/missing", "a/b/c"])
def test_what_can_only_be_a_folder_must_exist(tmp_path, name):
    with pytest.raises(UserError, match="there is no folder"):
        checkpoint_digest(name.format(tmp=tmp_path))


@pytest.mark.parametrize("name", ["{tmp}/missing", "owner/missing.safetensors", "missing.bin"])
def test_an_adapter_that_can_only_be_a_file_must_exist(tmp_path, name):
    with pytest.raises(UserError, match=r"adapter .*missing.* does not exist"):
        adapter_digest(name.format(tmp=tmp_path))
    assert adapter_digest("owner/some-adapter") == "owner/some-adapter"
