"""Figures, each made from tables alone."""

from analysis.figures.heat_map import train_test_heat_map
from analysis.figures.study import study_figures
from analysis.figures.style import save

__all__ = ["save", "study_figures", "train_test_heat_map"]
