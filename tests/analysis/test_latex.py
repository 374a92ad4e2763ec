"""Tables for a paper."""

import pandas as pd
import pytest

from amc_core import AmcError
from analysis import to_latex

TABLE = pd.DataFrame(
    [
        {"model": model, "test_upsampling": upsampling, "accuracy": value, "accuracy_low": value - 0.02}
        | {"accuracy_high": value + 0.03}
        for model, values in {"cnn1d": (0.512, 0.8), "resnet": (0.6, 0.7)}.items()
        for upsampling, value in zip((2.0, 8.0), values, strict=True)
    ]
)


def test_a_table_has_rules_values_with_intervals_and_the_best_of_each_column_in_bold():
    assert to_latex(TABLE, "model", "test_upsampling").splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & \multicolumn{2}{c}{test samples per symbol L} \\",
        r"\cmidrule(lr){2-3}",
        r"model & 2 & 8 \\",
        r"\midrule",
        r"1D-CNN & 51.2 [49.2, 54.2] & \textbf{80.0} [78.0, 83.0] \\",
        r"ResNet & \textbf{60.0} [58.0, 63.0] & 70.0 [68.0, 73.0] \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_titles_tell_training_from_test_and_the_unit_and_numbers_below_zero_have_a_minus_sign():
    table = TABLE.iloc[:1].assign(train_sample_rate=200e3, test_sample_rate=2e6, snr_db=-6.0, test_recording="")
    told = to_latex(table, ["train_sample_rate", "snr_db", "test_recording"], "test_sample_rate").splitlines()
    assert r"\multicolumn{1}{c}{test sample rate in kHz}" in told[2]
    assert told[4] == r"train sample rate in kHz & SNR in dB & test recording & 2000 \\"
    assert told[6].startswith("200 & $-$6 & -- & ")


def test_what_is_special_in_latex_is_escaped():
    table = TABLE.iloc[:1].assign(model="a_b & 50 % of $α$")
    assert r"a\_b \& 50 \% of \$$\alpha$\$ & \textbf{51.2}" in to_latex(table, "model")


def test_of_drops_the_smallest_is_the_best_and_a_place_that_is_missing_is_a_dash():
    table = TABLE.rename(columns=lambda name: name.replace("accuracy", "drop")).iloc[1:]
    told = to_latex(table, ["model"], "test_upsampling", "drop")
    assert r"1D-CNN & -- & 80.0" in told and r"\textbf{70.0}" in told


def test_several_values_for_one_place_and_unknown_columns_are_refused():
    with pytest.raises(AmcError, match="several values"):
        to_latex(TABLE, "model")
    with pytest.raises(AmcError, match="'modle'"):
        to_latex(TABLE, "modle", "test_upsampling")


def test_columns_and_rows_may_mix_numbers_texts_and_what_is_missing():
    heads = [8.0, "log_uniform(2, 32)", "log_uniform(2, 4)", None]
    table = pd.DataFrame({"model": "cnn1d", "test_upsampling": heads, "accuracy": [0.1, 0.2, 0.3, 0.4]})
    told = to_latex(table, "model", "test_upsampling").splitlines()
    assert told[4] == r"model & -- & 8 & log\_uniform(2, 4) & log\_uniform(2, 32) \\"
    assert [part.strip("{} ")[8:12] for part in told[6].split("&")[1:]] == ["40.0", "10.0", "30.0", "20.0"]
    unknown = pd.DataFrame({"snr_db": [float("nan")] * 2, "model": ["cnn1d", "resnet"], "accuracy": [0.1, 0.2]})
    assert to_latex(unknown, "snr_db", "model").splitlines()[6] == r"-- & \textbf{10.0} & \textbf{20.0} \\"
    assert r"1D-CNN & 10.0 \\" in to_latex(unknown, "model", "snr_db")
