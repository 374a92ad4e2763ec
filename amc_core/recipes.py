"""Recipes of the literature, by their authors; `recipe: {like: amr_benchmark}` in a study takes the fields of one."""

from __future__ import annotations

from typing import Any

_PLATEAU = {"schedule": "plateau", "stop_on": "loss", "keep": "lowest_loss"}
_AMR_BENCHMARK = _PLATEAU | {
    "epochs": 1000, "batch_size": 400, "learning_rate": 1e-3, "plateau_factor": 0.5, "plateau_patience": 10,
    "plateau_minimum": 1e-7, "plateau_counting": "keras", "patience": 50,
}  # fmt: skip
_IQFORMER = {
    "epochs": 60, "batch_size": 256, "learning_rate": 1e-3, "optimiser": "adamw", "weight_decay": 0.01,
    "schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": 3, "plateau_minimum": 5e-5,
    "plateau_counting": "pytorch", "stop_on": "accuracy", "patience": 10, "keep": "best",
}  # fmt: skip

# Name → fields of a recipe. The plateau of AMR-Benchmark waits Keras's default of ten epochs: its scripts ask for five
# with an argument that Keras ignores.
RECIPES: dict[str, dict[str, Any]] = {
    "amr_benchmark": _AMR_BENCHMARK,  # Zhang et al. 2022, and PET-CGDNN's authors
    "mcldnn": _AMR_BENCHMARK | {"epochs": 10_000, "plateau_factor": 0.8, "patience": 60},  # Xu et al. 2020
    "amc_net": _PLATEAU  # Zhang et al. 2023
    | {
        "epochs": 100, "batch_size": 64, "learning_rate": 1e-3, "plateau_factor": 0.1, "plateau_patience": 3,
        "patience": 10, "keep": "best",
    },
    "iqformer": _IQFORMER,  # Shao et al. 2025
    "iqformer_lite": _IQFORMER | {"epochs": 100, "batch_size": 1024},  # also for all baselines of that paper
    "tldnn": {  # on RadioML 2016.10A
        "epochs": 150, "batch_size": 128, "learning_rate": 1e-3, "optimiser": "adamw", "weight_decay": 0.02,
        "schedule": "plateau", "plateau_factor": 0.1, "plateau_patience": 10, "plateau_counting": "pytorch",
        "keep": "best",
    },
}  # fmt: skip
