"""Figures of signals: what they draw is what the simulator gives."""

import numpy as np
import pytest

from amc_core import Scenario, simulate
from amc_core.cumulants import CUMULANTS, cumulants
from analysis.figures.signals import SIGNAL_FIGURES, constellations_by_setting, cumulants_by_setting


def test_the_bars_are_the_mean_cumulants_of_the_setting():
    figure = cumulants_by_setting({"L": {"8": Scenario()}})
    values = np.concatenate(
        [cumulants(simulate(Scenario(), "16APSK", snr, range(100))).real.numpy() for snr in range(0, 19, 2)]
    ).mean(0)
    for axis, kind in zip(figure.axes, ("C63", "C84"), strict=True):
        assert axis.patches[1].get_height() == pytest.approx(values[CUMULANTS.index(kind)], rel=1e-4)


def test_without_upsampling_the_points_are_sixteen_clusters_and_with_it_they_are_not():
    """P1 Fig. 7: the spread around the nearest point is the noise's at L = 1, and more above."""
    figure = constellations_by_setting({"1": Scenario(upsampling=1), "8": Scenario()}, 30)
    spread = []
    for axis in figure.axes[:2]:
        x, y = axis.lines[0].get_data()
        levels = np.array([-3, -1, 1, 3]) / np.sqrt(10)
        distance = [np.abs(part[:, None] - levels).min(1) for part in (x, y)]
        spread.append(np.mean(np.square(distance)))
    assert spread[0] == pytest.approx(10**-3 / 2, rel=0.2)
    assert spread[1] > 10 * spread[0]


@pytest.mark.parametrize("name", SIGNAL_FIGURES)
def test_the_papers_figures_of_signals_are_drawn_without_a_store(amc, tmp_path, name):
    result = amc("figures", name, "--store", str(tmp_path / "none"), "--to", str(tmp_path))
    assert result.returncode == 0 and (tmp_path / f"{name}.png").stat().st_size > 10_000
