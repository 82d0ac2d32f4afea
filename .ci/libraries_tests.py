"""Run the tests that need timm, torchvision, ONNX, C2PA and Croissant, in an environment with them: see `.ci/libraries`.

The registry's torchvision is compiled for CUDA, so on the CPU build of torch its operators are not there, and it fails to
import. timm uses none of them: their names, declared without an implementation, are enough.
"""

import sys

import pytest
import torch

NAMES = ("nms", "qnms", "roi_align", "qroi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d")
BACKWARD = (
    "_roi_align_backward",
    "_ps_roi_align_backward",
    "_roi_pool_backward",
    "_ps_roi_pool_backward",
    "_deform_conv2d_backward",
)

if not torch.cuda.is_available():
    library = torch.library.Library("torchvision", "DEF")
    for name in (*NAMES, *BACKWARD):
        library.define(f"{name}(Tensor x) -> Tensor")

TESTS = (
    "tests/models/classifiers/test_timm.py",
    "tests/models/classifiers/test_exports.py",
    "tests/examples/test_pretrained_classifier.py",
    "tests/releasing/test_signing.py",
    "tests/releasing/test_cards.py",
    "tests/releasing/test_formats.py",
    "tests/stages/report/test_browser.py",
)
sys.exit(pytest.main(["-q", *TESTS, *sys.argv[1:]]))
