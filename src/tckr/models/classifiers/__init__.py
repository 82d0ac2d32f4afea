"""Image classifiers: any transformers checkpoint, or the embedded small ResNet, with one convention for input images."""

from tckr.models.classifiers.build import EMBEDDED, build_classifier, load_classifier
from tckr.models.classifiers.classifier import Classifier, class_columns
from tckr.models.classifiers.ensemble import AnyClassifier, Ensemble
from tckr.models.classifiers.features import predict_features
from tckr.models.classifiers.predict import predict_logits
from tckr.models.classifiers.preprocessing import ClassifierSpec

__all__ = [
    "EMBEDDED",
    "AnyClassifier",
    "Classifier",
    "ClassifierSpec",
    "Ensemble",
    "build_classifier",
    "class_columns",
    "load_classifier",
    "predict_features",
    "predict_logits",
]
