"""Print the accuracy of stored classifiers on rows of a labelled Parquet file, as the pipeline of transformers has it.

    python -m examples.pretrained_classifier.accuracy --data test.parquet --rows 0:2000 runs/NAME/artifacts/teach/model ...

Images are in the column image, class names belong to the column label (ClassLabel).
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from examples.subset import rows_of
from PIL import Image
from transformers import pipeline

from tckr.data.sources.parquet import class_label_names
from tckr.metrics.accuracy import accuracy


def main() -> None:
    """Read the arguments and print a line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Parquet file")
    parser.add_argument("--rows", type=rows_of, required=True, metavar="START:STOP", help="rows of it")
    parser.add_argument("models", type=Path, nargs="+", help="folders with a stored classifier")
    arguments = parser.parse_args()
    table = pq.read_table(arguments.data).slice(arguments.rows.start, len(arguments.rows))
    names = class_label_names(table.schema, "label")
    images = [Image.open(BytesIO(image["bytes"])).convert("RGB") for image in table["image"].to_pylist()]
    for model in arguments.models:
        classify = pipeline("image-classification", model=str(model), top_k=1, device="cpu", batch_size=64)
        answers = [answer[0]["label"] for answer in classify(images)]
        correct = np.array([names[label] for label in table["label"].to_pylist()]) == np.array(answers)
        print(f"{model}: {accuracy(correct, 0.95)}")


if __name__ == "__main__":
    main()
