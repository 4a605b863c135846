"""Data augmentation: ERNIE's `data_aug.py` and other strategies, seeded; one strategy a module."""

from replicate.augment.engine import Augmented, Summary, augment_rows, augment_split, augment_texts
from replicate.augment.files import augment_path
from replicate.augment.registry import STRATEGIES

__all__ = [
    "STRATEGIES",
    "Augmented",
    "Summary",
    "augment_path",
    "augment_rows",
    "augment_split",
    "augment_texts",
]
