"""Writes instances as a SigMF recording, by the specification 1.2 (github.com/sigmf/SigMF)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amc_core.errors import AmcError
from amc_core.recordings.atomic import replacing
from amc_core.recordings.details import detail_of
from amc_core.recordings.names import modulation_name
from amc_core.recordings.recording import per_instance


def write_sigmf(
    path: str | Path,
    x: np.ndarray,
    sample_rate: float,
    modulation: str | Sequence[str],
    snr_db: float | Sequence[float],
    description: str = "",
) -> Path:
    """Write instances, one after the other, as a SigMF recording of cf32_le samples.

    path: with or without .sigmf-meta. x: (batch, 2, length) real. sample_rate: Hz. modulation: one name, or one for
    each instance. snr_db: dB, one value or one for each instance. Consecutive instances of the same modulation and SNR
    share an annotation. Returns the path of the .sigmf-meta file, which appears last, when the recording is complete.

    Raises AmcError for what SigMF cannot hold, and if the files cannot be written.
    """
    base = str(path).removesuffix(".sigmf-meta").removesuffix(".sigmf-data")
    meta, data = Path(base + ".sigmf-meta"), Path(base + ".sigmf-data")
    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 3 or x.shape[1] != 2 or not x.size:
        raise AmcError(f"{meta}: instances have shape {x.shape}; allowed is (batch, 2, length)")
    if not np.isfinite(x).all():
        raise AmcError(f"{meta}: instances have samples that are nan or infinite; allowed are finite samples")
    if not 0 < sample_rate <= 1e12:
        raise AmcError(f"{meta}: sample_rate is {sample_rate}; allowed is above 0 Hz, up to 1e12 Hz")
    names = [modulation_name(str(name)) for name in per_instance(meta, "modulation", modulation, len(x))]
    levels = per_instance(meta, "snr_db", snr_db, len(x)).astype(np.float64)
    if not all(names) or not np.isfinite(levels).all():
        raise AmcError(f"{meta}: a modulation has no name, or an SNR is not finite; allowed are names and finite SNRs")
    samples = np.ascontiguousarray(x.transpose(0, 2, 1), dtype="<f4")
    extensions = [{"name": name, "version": "1.0.0", "optional": True} for name in ("signal", "amc")]
    content = {
        "global": {
            "core:datatype": "cf32_le",
            "core:version": "1.2.0",
            "core:sample_rate": float(sample_rate),
            "core:sha512": hashlib.sha512(samples).hexdigest(),
            "core:recorder": "amc-sweeps",
            "core:description": description,
            "core:extensions": extensions,
            "amc:length": x.shape[2],
        },
        "captures": [{"core:sample_start": 0}],
        "annotations": _annotations(names, levels.tolist(), x.shape[2]),
    }
    with replacing(data, meta) as [partial_data, partial_meta]:
        samples.tofile(partial_data)
        partial_meta.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    return meta


def _annotations(names: list[str], snrs_db: list[float], length: int) -> list[dict[str, Any]]:
    """An annotation for each series of instances of one modulation and SNR."""
    annotations, previous = [], None
    for index, label in enumerate(zip(names, snrs_db, strict=True)):
        if label != previous:
            start = {"core:sample_start": index * length, "core:sample_count": 0, "core:label": label[0]}
            detail = detail_of(label[0])
            annotations.append(start | {"amc:snr_db": label[1]} | ({"signal:detail": detail} if detail else {}))
            previous = label
        annotations[-1]["core:sample_count"] += length
    return annotations
