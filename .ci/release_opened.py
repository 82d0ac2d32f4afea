"""Open what `.ci/release_made.py` wrote with programs that know nothing of TCKR; print a line for each check."""

from __future__ import annotations

import filecmp
import hashlib
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pandas
import polars
import webdataset
from PIL import Image
from transformers import pipeline

FORMATS = ("parquet", "imagefolder", "webdataset")
SYNTHETIC = "trainedAlgorithmicMedia"


def checksums(folder: Path) -> None:
    """Every file has the digest that the release says, and there is no other file."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    for line in lines:
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert len(lines) + 1 == sum(path.is_file() for path in folder.rglob("*"))
    print(f"sha256      {folder.name}: {len(lines)} files as SHA256SUMS says")


def equal_again(folder: Path) -> None:
    """The release made again has the same files with the same bytes."""
    again = folder.with_name(f"{folder.name}-again")
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert sorted(names) == sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(folder, again, names, shallow=False)[1:] == ([], [])
    print(f"made again  {folder.name}: {len(names)} files, equal byte for byte")


def croissant(folder: Path) -> None:
    """`mlcroissant validate` finds no error."""
    tool = Path(sys.executable).with_name("mlcroissant")
    command = [tool, "validate", "--jsonld", "croissant.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(f"mlcroissant {folder.name}: {(done.stdout + done.stderr).strip().splitlines()[-1].rpartition('] ')[2]}")


def opened_by_datasets(folder: Path) -> int:
    """`datasets` opens the folder; every picture says that a model made it."""
    rows = datasets.load_dataset(str(folder), split="train")
    column = "png" if "png" in rows.column_names else "image"
    for row in rows.cast_column(column, datasets.Image(decode=False)):
        raw = row[column]["bytes"] or Path(row[column]["path"]).read_bytes()
        assert SYNTHETIC in Image.open(io.BytesIO(raw)).info["XML:com.adobe.xmp"]
    print(f"datasets    {folder.name}: {len(rows)} images, {', '.join(rows.column_names)}; each marked {SYNTHETIC}")
    return len(rows)


def opened_as_tables(work: Path, count: int) -> None:
    """Pandas and polars open the table, webdataset the shards."""
    frame, table = (
        pandas.read_parquet(work / "parquet" / "data"),
        polars.read_parquet(work / "parquet" / "data" / "*.parquet"),
    )
    assert len(frame) == len(table) == count
    assert frame["label"].tolist() == table["label"].to_list()
    print(f"pandas      {pandas.__version__}: {len(frame)} rows; polars {polars.__version__}: the same labels")
    shards = [str(path) for path in sorted((work / "webdataset" / "data").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [sample["cls"] for sample in samples] == frame["label"].tolist()
    print(f"webdataset  {webdataset.__version__}: {len(samples)} samples, the same labels in the same order")


def accuracy_again(work: Path) -> None:
    """The Student has, on the owner's test split, the accuracy that the audit, the model card and the report say."""
    facts = json.loads((work / "test" / "facts.json").read_text(encoding="utf-8"))
    classify = pipeline("image-classification", model=str(work / "parquet" / "student"), device="cpu")
    pictures = [Image.open(path).convert("RGB") for path in sorted((work / "test").glob("*.png"))]
    answers = [found[0]["label"] for found in classify(pictures, top_k=1)]
    accuracy = sum(map(str.__eq__, answers, facts["labels"])) / len(answers)
    print(f"transformers {len(answers)} test images: accuracy {accuracy:.6f}; audit: {facts['accuracy']:.6f}")
    assert accuracy == facts["accuracy"]
    if (work / "parquet" / "report").is_dir():
        report = json.loads((work / "parquet" / "report" / "report.json").read_text(encoding="utf-8"))
        said = report["audit"]["surfaces"]["student"]["cas"]["value"]
        assert round(accuracy, len(str(said).partition(".")[2])) == said, (accuracy, said)
        print(f"report      the released report says {said}")


def main(work: Path) -> None:
    """Check everything; an assertion that fails ends it."""
    assert importlib.util.find_spec("tckr") is None, "this environment holds TCKR"
    datasets.disable_progress_bars()
    for form in FORMATS:
        checksums(work / form)
        equal_again(work / form)
        croissant(work / form)
    counts = {opened_by_datasets(work / form) for form in FORMATS}
    assert len(counts) == 1
    opened_as_tables(work, counts.pop())
    accuracy_again(work)
    print("all of it in an environment without TCKR")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
