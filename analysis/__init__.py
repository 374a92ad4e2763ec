"""From a store to tables and figures. Importing it takes neither torch nor Ray."""

from analysis.tables import accuracy_by, load, train_test

__all__ = ["accuracy_by", "load", "train_test"]
