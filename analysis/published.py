"""What the two papers report, number by number, and which rows of our tables are the counterpart.

P1: Perenda et al., INFOCOM 2021. P2: Courtat and du Mas des Bourboux, ISNCC 2021. Accuracies, drops and gains are
fractions; the papers' "%" of a drop or a gain are points of accuracy (80.4 % down to 53.11 % is a drop of 27.29 %).
`analysis.compare` sets our results beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUANTITIES = {
    "accuracy": "accuracy, pooled over SNRs and seeds",
    "drop": "accuracy of `against` minus accuracy of `rows`",
    "gain": "accuracy of `rows` minus accuracy of `against`",
    "relative_gain": "accuracy of `rows` over accuracy of `against`, minus 1",
    "snr_gain": "dB by which `rows` reach the same accuracies at a lower SNR than `against`: the mean over accuracies",
    "largest_snr_gain": "the largest of these",
    "parameters": "trained parameters",
    "parameter_ratio": "parameters of `against` over parameters of `rows`",
    "speed_ratio": "instances trained a second: `rows` over `against`",
    "epoch_seconds": "duration of an epoch of `instances`",
    "offset": "the smallest tested |Δf| at which `share` of the accuracy above chance is lost",
}

Filters = Mapping[str, Any]  # column of a table → the value, or all the values, that rows have there


@dataclass(frozen=True)
class Published:
    """A number in a paper.

    value: as in the paper, % as fractions. bound: the paper says "about" this, "at most" or "at least". quote: its
    words. study: the one whose results are the counterpart, None where no study of ours can have it. rows, against:
    column → value or values of the cells (of the runs, for parameters); all of these values must be there. over: the
    column for whose values the quantity is taken one by one, the largest being meant ("up to"). tolerance: how far
    ours may be off beyond its own interval: what the paper's rounding, or its "c.", leaves open. note: how the words
    are read where they leave a choice.
    """

    what: str
    value: float
    paper: str
    place: str
    quote: str
    study: str | None
    quantity: str
    rows: Filters = field(default_factory=dict)
    against: Filters = field(default_factory=dict)
    over: str | None = None
    bound: str = "about"
    tolerance: float = 0.005
    share: float = 0.0
    instances: int = 0
    note: str = ""


_CHANNELS = ["awgn", "rayleigh", "rician"]
_TITLES = {"awgn": "AWGN", "rayleigh": "Rayleigh", "rician": "Rician"}
_NETWORKS = {"cnn1d": "1D-CNN", "resnet": "ResNet"}
_OTHER_L = [2.0, 3.2, 4.0, 6.4, 10.67, 16.0, 32.0]
_ALL_L = [2.0, 3.2, 4.0, 6.4, 8.0, 10.67, 16.0, 32.0]

_FIVE, _TEN = 0.15, 0.30  # of a mixture of three channels: 5 and 10 % of the labels of each
_BASE = {"parent": ""}  # trained from scratch


def _p1_baselines() -> list[Published]:
    found = [
        Published(
            f"gain of {title} from longer instances, 20 modulations",
            0.16,
            "P1",
            "§V-A, Fig. 1",
            "PF-CNN, 1D-CNN, and ResNet are deeper structures, and their accuracy increases up to 16% with a higher "
            "instance size",
            "p1-fig01",
            "gain",
            {"model": model, "length": 1024},
            {"model": model, "length": 128},
            bound="at most",
            tolerance=0.02,
        )
        for model, title in {"pf_cnn": "PF-CNN", **_NETWORKS}.items()
    ]
    drop_l = "a small accuracy drop of c. 10% for L = 6.4, and a large accuracy drop of c. 60% for L = 2"
    for model, title in _NETWORKS.items():
        for upsampling, value in ((6.4, 0.10), (2.0, 0.60)):
            found.append(
                Published(
                    f"drop of {title} at L = {upsampling:g}",
                    value,
                    "P1",
                    "§V-B1, Fig. 2",
                    drop_l,
                    "p1-fig02",
                    "drop",
                    {"model": model, "test_upsampling": upsampling, "test_channel": _CHANNELS},
                    {"model": model, "test_upsampling": 8.0, "test_channel": _CHANNELS},
                    tolerance=0.05,
                    note="pooled over the three channels",
                )
            )
    found.append(
        Published(
            "drop of HOC-SVM at L = 2, Rician",
            0.25,
            "P1",
            "§V-B1, Fig. 2",
            "an accuracy drop of 25% for L = 2 with Rician+AWGN channel",
            "p1-fig02",
            "drop",
            {"model": "hoc_svm", "test_upsampling": 2.0, "test_channel": "rician"},
            {"model": "hoc_svm", "test_upsampling": 8.0, "test_channel": "rician"},
        )
    )
    found.append(
        Published(
            "largest drop of 1D-CNN at another roll-off, AWGN",
            0.08,
            "P1",
            "§V-B2, Fig. 3",
            "a peak accuracy drop of 8% for 1D-CNN with AWGN channel",
            "p1-fig03",
            "drop",
            {"model": "cnn1d", "test_channel": "awgn", "test_rolloff": [0.15, 0.25, 0.45]},
            {"model": "cnn1d", "test_channel": "awgn", "test_rolloff": 0.35},
            over="test_rolloff",
        )
    )
    for model, title, value in (("cnn1d", "1D-CNN", 0.68), ("resnet", "ResNet", 0.68), ("hoc_svm", "HOC-SVM", 0.35)):
        found.append(
            Published(
                f"largest drop of {title} at another f_s, Rician",
                value,
                "P1",
                "§V-B3, Fig. 4",
                "Fig. 4 (bottom) shows that f_s variations introduce a large accuracy drop of 68% for 1D-CNN and "
                "ResNet and 35% for HOC-SVM",
                "p1-fig04",
                "drop",
                {"model": model, "test_channel": "rician", "test_sample_rate": [200e3, 1e6, 1.5e6, 2e6]},
                {"model": model, "test_channel": "rician", "test_sample_rate": 600e3},
                over="test_sample_rate",
            )
        )
    values = {"resnet": ("ResNet", 0.2774), "cnn1d": ("1D-CNN", 0.3225), "hoc_svm": ("HOC-SVM", 0.0821)}
    for model, (title, value) in values.items():
        found.append(
            Published(
                f"drop of {title}, trained in AWGN, in a fading channel",
                value,
                "P1",
                "§V-C, Fig. 5",
                "all baselines have the highest accuracy drop (ResNet: 27.74%, 1D-CNN: 32.25%, HOC-SVM: 8.21%) when "
                "they are trained for AWGN",
                "p1-fig05",
                "drop",
                {"model": model, "train_channel": "awgn", "test_channel": ["rayleigh", "rician"]},
                {"model": model, "train_channel": "awgn", "test_channel": "awgn"},
                over="test_channel",
                note="read as the larger of the two fading channels; the text does not exclude their mean",
            )
        )
    found.append(
        Published(
            "drop from one Rayleigh channel to another",
            0.06,
            "P1",
            "§V-C, Fig. 6",
            "the small changes in the channel profile introduce an accuracy drop of 6%",
            "p1-fig06",
            "drop",
            {"model": ["cnn1d", "resnet"], "test_channel": "rayleigh_2"},
            {"model": ["cnn1d", "resnet"], "test_channel": "rayleigh"},
            note="pooled over 1D-CNN and ResNet; the text names no model",
        )
    )
    return found


def _p1_stn() -> list[Published]:
    words = (
        "The entire STN-ResNeXt network has 86,212 trainable parameters, which are 2.74 times lower than the number of "
        "trainable parameters in ResNet (236,344), and 1.65 times lower than 1D-CNN (142,932)"
    )
    note = "236,344 belongs to 24 classes; with 20, ResNet has 238,324"
    stn, unseen = {"model": "stn_resnext"}, {"test_upsampling": [2.0, 4.0, 16.0, 32.0]}
    shared = {"paper": "P1", "place": "§VI-A", "quote": words}
    return [
        Published("parameters of STN-ResNeXt", 86_212, study="p1-stn", quantity="parameters", rows=stn, **shared),
        Published(
            "parameters of ResNet",
            236_344,
            study="p1-stn",
            quantity="parameters",
            rows={"model": "resnet"},
            note=note,
            **shared,
        ),
        Published(
            "parameters of 1D-CNN",
            142_932,
            study="p1-fig02",
            quantity="parameters",
            rows={"model": "cnn1d", "length": 1024},
            **shared,
        ),
        Published(
            "parameters of ResNet over STN-ResNeXt",
            2.74,
            study="p1-stn",
            quantity="parameter_ratio",
            rows=stn,
            against={"model": "resnet"},
            note=note,
            **shared,
        ),
        Published(
            "parameters of 1D-CNN over STN-ResNeXt",
            1.65,
            study="open-question-fs",
            quantity="parameter_ratio",
            rows=stn,
            against={"model": "cnn1d"},
            tolerance=0.01,
            note="1.658 by the paper's own counts: it has cut off, not rounded",
            **shared,
        ),
        Published(
            "gain of ClassNet alone over ResNet",
            0.0,
            "P1",
            "§VI-B",
            "the ClassNet branch alone achieves the same results as ResNet",
            "p1-stn",
            "gain",
            {"model": "classnet", "test_channel": "rayleigh"},
            {"model": "resnet", "test_channel": "rayleigh"},
            tolerance=0.02,
            note="0 stands for the words 'the same'; in the Rayleigh channel of training, all its settings",
        ),
        Published(
            "gain of the STN branch, unseen L",
            0.06,
            "P1",
            "§VI-B",
            "by enabling the STN+ClassNet branch, we also achieved an average accuracy improvement of up to 6%",
            "p1-stn",
            "gain",
            stn | unseen,
            {"model": "classnet"} | unseen,
            over="test_upsampling",
            bound="at most",
        ),
        Published(
            "gain of the STN branch, unseen channels",
            0.06,
            "P1",
            "§VII",
            "the current implementation of STN improves performance by less than 6%",
            "p1-stn",
            "gain",
            stn | {"test_channel": ["awgn", "rician"]},
            {"model": "classnet", "test_channel": ["awgn", "rician"]},
            over="test_channel",
            bound="at most",
        ),
        Published(
            "gain from ResNet in place of ClassNet",
            0.03,
            "P1",
            "§VI-B",
            "Replacing the ClassNet block with the ResNet model [13] only gave an expected slight improvement of 3%",
            None,
            "gain",
            note="no model of ours has ResNet behind a spatial transformer",
        ),
    ]


def _p1_transfer() -> list[Published]:
    baseline = (
        "an average classification accuracy of 80.4% in Rayleigh+AWGN, while in unseen channel conditions, it achieves "
        "53.11% for AWGN and 72.34% in Rician+AWGN"
    )
    found = [
        Published(
            f"accuracy of STN-ResNeXt, trained in Rayleigh, in {_TITLES[channel]}",
            value,
            "P1",
            "§VI-C1",
            baseline,
            "p1-fig12",
            "accuracy",
            _BASE | {"test_channel": channel},
        )
        for channel, value in (("rayleigh", 0.804), ("awgn", 0.5311), ("rician", 0.7234))
    ]
    head = {"retrain": "head", "label_fraction": _TEN}
    up = "The average accuracy is increased by 20% in AWGN and 3% in Rician+AWGN"
    for channel, value in (("awgn", 0.20), ("rician", 0.03)):
        found.append(
            Published(
                f"gain from 10 % of the labels in {_TITLES[channel]}",
                value,
                "P1",
                "§VI-C1, Fig. 12",
                up,
                "p1-fig12",
                "gain",
                head | {"test_channel": channel},
                _BASE | {"test_channel": channel},
            )
        )
    found.append(
        Published(
            "largest drop in the source channel by transfer",
            0.02,
            "P1",
            "§VI-C1, Fig. 12",
            "a slight decrease in classification accuracy of up to 2% for the source domain, Rayleigh+AWGN",
            "p1-fig12",
            "drop",
            {"retrain": "head", "label_fraction": [_FIVE, 0.24, _TEN], "test_channel": "rayleigh"},
            _BASE | {"test_channel": "rayleigh"},
            over="label_fraction",
            bound="at most",
        )
    )
    # Of the network of Fig. 12, retrained at another f_s or another L: what it started from differed in that alone.
    adapted = {"retrain": "head", "train_sample_rate": 200e3, "train_channel": "awgn + rayleigh + rician"}
    fading = {"test_channel": ["rayleigh", "rician"]}
    five = {"start": "sample_rate=200000.0", "label_fraction": _FIVE} | fading
    for rate, value, words in (
        ([1.5e6], 0.26, "the accuracy for f_s = 1500 kHz is increased by 26% in fading channels"),
        ([1e6, 2e6], 0.10, "The accuracies for f_s = [1000, 2000] kHz see a smaller increase of 10%"),
    ):
        told = " and ".join(f"{value / 1e3:g}" for value in rate)
        found.append(
            Published(
                f"gain from 5 % of the labels at 1500 kHz, at {told} kHz in fading",
                value,
                "P1",
                "§VI-C2, Fig. 13",
                words,
                "p1-fig13",
                "gain",
                five | {"test_sample_rate": rate},
                adapted | fading | {"test_sample_rate": rate},
            )
        )
    for channel, title in _TITLES.items():
        found.append(
            Published(
                f"accuracy of channel-aware STN-ResNeXt at L = 8 in {title}",
                0.80,
                "P1",
                "§VI-C3, Fig. 14",
                "The maximum accuracy is around 80% for known L = 8 in each channel model",
                "p1-fig14",
                "accuracy",
                _BASE | {"test_channel": channel, "test_upsampling": 8.0},
                tolerance=0.02,
            )
        )
        for upsampling, value in ((2.0, 0.20), (32.0, 0.50)):
            place = {"test_channel": channel, "test_upsampling": upsampling}
            found.append(
                Published(
                    f"gain of channel-aware STN-ResNeXt by transfer at L = {upsampling:g} in {title}",
                    value,
                    "P1",
                    "§VI-C3, Fig. 14",
                    "the accuracy is increased by 20% for L = 2 and by 50% for L = 32 in each channel model",
                    "p1-fig14",
                    "gain",
                    {"retrain": "head"} | place,
                    _BASE | place,
                )
            )
    left = adapted | {"train_upsampling": 8.0}
    right = {"retrain": "head", "start": "channel=awgn + rayleigh + rician, upsampling=8.0"}
    for channel, value in (("rician", 0.30), ("awgn", 0.20)):
        place = {"test_channel": channel, "test_upsampling": 32.0}
        found.append(
            Published(
                f"gain from Rayleigh labels at five L, at L = 32 in {_TITLES[channel]}",
                value,
                "P1",
                "§VI-C3, Fig. 15",
                "the accuracy increases by 30% and 20% for L = 32 in Rician+AWGN and AWGN, respectively",
                "p1-fig15",
                "gain",
                right | place,
                left | place,
            )
        )
    for channel, value in (("rayleigh", 0.2307), ("rician", 0.075), ("awgn", 0.0576)):
        place = {"test_channel": channel, "test_upsampling": _ALL_L}
        found.append(
            Published(
                f"gain from Rayleigh labels at five L, over all L in {_TITLES[channel]}",
                value,
                "P1",
                "§VI-C3, Fig. 15",
                "Average accuracy increases across all Ls with TL are 23.07%, 7.5%, and 5.76% for the Rayleigh+AWGN, "
                "Rician+AWGN, and AWGN, respectively",
                "p1-fig15",
                "gain",
                right | place,
                left | place,
            )
        )
    found.append(
        Published(
            "largest gain by transfer at another L, with 5 % of the labels",
            0.30,
            "P1",
            "Abstract, §VII",
            "transfer learning improves performance by up to 30% with only 5% of labeled data",
            "p1-fig15",
            "gain",
            right | {"test_channel": ["awgn", "rician"], "test_upsampling": _OTHER_L},
            left | {"test_channel": ["awgn", "rician"], "test_upsampling": _OTHER_L},
            over="test_upsampling",
            note="in the channels without labels, pooled over both; the labels are of five L",
        )
    )
    return found


# P2 Table II and III: columns in the order of the tables.
_FIVE_MODELS = {
    "cnn2d": "RML-ConvNet",
    "vgg": "RML-CNN/VGG",
    "resnet": "RML-ResNet",
    "mod_lcnn": "Mod-LCNN",
    "mod_lrcnn": "Mod-LRCNN",
}
_TABLE_2 = {128: (2_829_399, 199_111, 179_303, 37_487, 97_663), 1024: (21_179_479, 256_455, 236_647, 37_487, 97_663)}
_TABLE_3 = {
    ("RadioML2016.04C", 128): ("p2-table3-radioml2016-04c", (93, 92, 94, 93, 94)),
    ("RadioML2016.10A", 128): ("p2-table3-radioml2016-10a", (84, 83, 90, 89, 91)),
    ("RadioML2016.10B", 128): ("p2-table3-radioml2016-10b", (88, 90, 92, 92, 92)),
    ("RadioML2018.01A", 128): ("p2-table3-radioml2018-01a-128", (50, 69, 76, 68, 76)),
    ("AugMod", 128): ("p2-table3", (61, 56, 65, 75, 72)),
    ("RadioML2018.01A", 1024): ("p2-table3-radioml2018-01a", (61, 87, 88, 85, 89)),
    ("AugMod", 1024): ("p2-table3", (68, 14, 78, 83, 82)),
}


def _p2_tables() -> list[Published]:
    found = [
        Published(
            f"parameters of {title}, {length} samples",
            value,
            "P2",
            "Table II",
            f"{value:,}",
            "p2-table3",
            "parameters",
            {"model": model, "length": length},
        )
        for length, values in _TABLE_2.items()
        for (model, title), value in zip(_FIVE_MODELS.items(), values, strict=True)
    ]
    found += [
        Published(
            f"accuracy of {title} on {dataset}, {length} samples",
            value / 100,
            "P2",
            "Table III",
            f"{value}",
            study,
            "accuracy",
            {"model": model, "length": length},
        )
        for (dataset, length), (study, values) in _TABLE_3.items()
        for (model, title), value in zip(_FIVE_MODELS.items(), values, strict=True)
    ]
    return found


def _p2_text() -> list[Published]:
    light, res, long = {"model": "mod_lrcnn"}, {"model": "resnet"}, {"length": 1024}
    fixed_long = {"length": 1024, "min_length": None} | _BASE
    fixed_short = {"length": 128, "min_length": None}
    random = {"length": 1024, "min_length": 16} | _BASE
    short, longer = [16, 32, 64, 128], [512, 1024]
    shift = [0.0, *(sign * 10.0**power for power in range(-6, 0) for sign in (-1, 1)), -0.5, 0.5]
    offsets = {"test_relative_carrier_offset": shift}
    falls = "the accuracy starts to drop at |Δf| = 10^-4 and falls out at 10^-2"
    times = {"paper": "P2", "place": "§IV", "study": "p2-fig02"}
    hardware = "on one NVIDIA 1080 Ti; ours are of GPUs, too"
    return [
        Published(
            "parameters of RML-ConvNet over Mod-LRCNN, 1024 samples",
            100,
            "P2",
            "Abstract, §VI",
            "lighter by up to two orders of magnitude",
            "p2-table3",
            "parameter_ratio",
            light | long,
            {"model": "cnn2d"} | long,
            bound="at least",
        ),
        Published(
            "parameters of RML-ResNet, 1024 over 128 samples",
            1.30,
            "P2",
            "§III",
            "going from 128 to 1024 samples adds 30% more parameters",
            "p2-table3",
            "parameter_ratio",
            res | {"length": 128},
            res | long,
            tolerance=0.05,
        ),
        Published(
            "largest gain of Mod-LRCNN over RML-ResNet on AugMod",
            0.07,
            "P2",
            "§IV",
            "outperforms it by up to 7% on the AugMod dataset",
            "p2-table3",
            "gain",
            light | {"length": [128, 1024]},
            res | {"length": [128, 1024]},
            over="length",
        ),
        Published(
            "relative gain of Mod-LRCNN over RML-ResNet at 0 dB",
            0.40,
            "P2",
            "§IV, Fig. 3 left",
            "performs more than 40% better than the best architecture of previous studies, RML-ResNet, at SNR = 0",
            "p2-table3",
            "relative_gain",
            light | long | {"snr_db": 0.0},
            res | long | {"snr_db": 0.0},
            bound="at least",
            note="read as the ratio of accuracies",
        ),
        Published(
            "SNR gain of Mod-LRCNN over RML-ResNet, in dB",
            5,
            "P2",
            "§IV, §VI",
            "In the SNR ∈ [0, 30] range, Mod-LRCNN effectively improves the performances by ~ 5 dB",
            "p2-table3",
            "snr_gain",
            light | long | {"snr_db": [0.0, 10.0, 20.0, 30.0]},
            res | long | {"snr_db": [0.0, 10.0, 20.0, 30.0]},
            tolerance=2,
            note="between the two error curves, mean over the accuracies that both reach",
        ),
        Published(
            "largest SNR gain of Mod-LRCNN over RML-ResNet, in dB",
            10,
            "P2",
            "§VI",
            "improves the threshold by ~ 5 dB (up to 10 dB) compared to previously published networks",
            "p2-table3",
            "largest_snr_gain",
            light | long | {"snr_db": [0.0, 10.0, 20.0, 30.0]},
            res | long | {"snr_db": [0.0, 10.0, 20.0, 30.0]},
            tolerance=2,
        ),
        Published(
            "seconds an epoch of Mod-LRCNN takes",
            27,
            quote="resulting in 27 seconds per epoch, with 512 examples per batch",
            quantity="epoch_seconds",
            rows=light,
            tolerance=1,
            instances=87_500,
            note=f"{hardware}; the 3.1 ms per example beside it would make 271 s of its 87,500 examples",
            **times,
        ),
        *(
            Published(
                f"speed of {title} over Mod-LRCNN",
                2,
                quote="Mod-LCNN and RML-CNN/VGG are twice as fast",
                quantity="speed_ratio",
                rows={"model": model},
                against=light,
                tolerance=0.25,
                note=hardware,
                **times,
            )
            for model, title in (("mod_lcnn", "Mod-LCNN"), ("vgg", "RML-CNN/VGG"))
        ),
        *(
            Published(
                f"speed of Mod-LRCNN over {title}",
                value,
                quote="RML-ResNet is 1.25 times longer. Finally RML-ConvNet runs in twice as long",
                quantity="speed_ratio",
                rows=light,
                against={"model": model},
                tolerance=0.25,
                note=hardware,
                **times,
            )
            for model, title, value in (("resnet", "RML-ResNet", 1.25), ("cnn2d", "RML-ConvNet", 2))
        ),
        Published(
            "gain from training on 1024 samples instead of 128, above 256 samples",
            0.0,
            "P2",
            "§V-A, Fig. 3 right",
            "It is the case for signals more than 256 samples long, however it is not the case bellow",
            "p2-fig03",
            "gain",
            fixed_long | {"test_length": longer},
            fixed_short | {"test_length": longer},
            bound="at least",
            note="0 stands for 'outperforms'",
        ),
        Published(
            "gain from training on 1024 samples instead of 128, below 256 samples",
            0.0,
            "P2",
            "§V-A, Fig. 3 right",
            "It is the case for signals more than 256 samples long, however it is not the case bellow",
            "p2-fig03",
            "gain",
            fixed_long | {"test_length": short},
            fixed_short | {"test_length": short},
            bound="at most",
            note="0 stands for 'not the case'",
        ),
        Published(
            "|Δf| at which accuracy starts to drop, random lengths",
            1e-4,
            "P2",
            "§V-B, Fig. 4",
            falls,
            "p2-fig04",
            "offset",
            random | offsets,
            share=0.05,
            tolerance=0.5,
            note="where 5 % of the accuracy above chance is lost; tested in decades, tolerance in decades",
        ),
        Published(
            "|Δf| at which accuracy falls out, random lengths",
            1e-2,
            "P2",
            "§V-B, Fig. 4",
            falls,
            "p2-fig04",
            "offset",
            random | offsets,
            share=0.80,
            tolerance=0.5,
            note="where 80 % of the accuracy above chance is lost; tested in decades, tolerance in decades",
        ),
        Published(
            "gain from random lengths at |Δf| = 1e-3",
            0.0,
            "P2",
            "§V-B, Fig. 4",
            "This behavior is even more drastic when the network is trained on fix 1024 samples long signals",
            "p2-fig04",
            "gain",
            random | {"test_relative_carrier_offset": [-1e-3, 1e-3]},
            fixed_long | {"test_relative_carrier_offset": [-1e-3, 1e-3]},
            bound="at least",
            note="0 stands for 'even more drastic'; between where the accuracy starts to drop and where it falls out",
        ),
    ]


PUBLISHED: tuple[Published, ...] = (*_p1_baselines(), *_p1_stn(), *_p1_transfer(), *_p2_tables(), *_p2_text())
