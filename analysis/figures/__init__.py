"""Figures, each made from tables only."""

from analysis.figures.heat_map import train_test_heat_map
from analysis.figures.over_snr import accuracy_over_snr
from analysis.figures.study import Wishes, study_figures
from analysis.figures.style import COLUMN, FORMATS, PAGE, save

__all__ = ["COLUMN", "FORMATS", "PAGE", "Wishes", "accuracy_over_snr", "save", "study_figures", "train_test_heat_map"]
