"""From a store to tables and figures. Importing it takes neither torch nor Ray."""

from analysis.tables import accuracy_by, drop_from_training, load, snr_at, train_test

__all__ = ["accuracy_by", "drop_from_training", "load", "snr_at", "train_test"]
