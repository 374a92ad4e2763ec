"""`signal:detail` of SigMF's signal extension 1.0.0, and the modulations that it describes."""

from __future__ import annotations

import re
from typing import Any

from amc_core.modulations import known_name
from amc_core.quantities import whole
from amc_core.recordings.names import modulation_name

# How the signal extension describes our modulations. It has no class for APSK.
_DETAILS = (
    {"BPSK": {"mod_class": "psk", "order": 2}, "QPSK": {"mod_class": "psk", "order": 4}}
    | {"OQPSK": {"mod_class": "psk", "order": 4, "symbol_variant": "offset"}}
    | {f"{order}PSK": {"mod_class": "psk", "order": order} for order in (8, 16, 32)}
    | {f"{order}QAM": {"mod_class": "qam", "order": order} for order in (8, 16, 32, 64, 128, 256)}
    | {f"{order}APSK": {"order": order, "class_variant": "APSK"} for order in (16, 32, 64, 128, 256)}
    | {"OOK": {"mod_class": "ook", "order": 2}, "PAM4": {"mod_class": "ask", "order": 4, "class_variant": "PAM"}}
    | {f"{order}ASK": {"mod_class": "ask", "order": order} for order in (4, 8)}
    | {"CPFSK": {"mod_class": "cpm", "order": 2, "class_variant": "CPFSK"}}
    | {"GFSK": {"mod_class": "fsk", "order": 2, "class_variant": "GFSK"}}
    | {"GMSK": {"mod_class": "msk", "order": 2, "class_variant": "GMSK"}}
    | {"FM": {"mod_class": "fm"}, "B-FM": {"mod_class": "fm", "class_variant": "B-FM"}}
    | {f"AM-{bands}-WC": {"mod_class": bands.lower()} for bands in ("DSB", "SSB")}
    | {
        f"AM-{bands}-SC": {
            "mod_class": bands.lower(),
            "carrier_variant": "suppressed_carrier",
            "class_variant": f"AM-{bands}-SC",
        }
        for bands in ("DSB", "SSB")
    }
    | {"DSB-AM": {"mod_class": "dsb", "carrier_variant": "suppressed_carrier"}}
    | {"SSB-AM": {"mod_class": "ssb", "carrier_variant": "suppressed_carrier"}}
)

# Class in the extension → family; one modulation may be described by any class of its family.
_FAMILIES = {"psk": "psk", "qam": "qam", **dict.fromkeys(("ask", "ook"), "ask")}
_FAMILIES |= {**dict.fromkeys(("fsk", "msk", "cpm"), "fsk"), "fm": "fm", **dict.fromkeys(("am", "dsb", "ssb"), "am")}

_MODULATION = ("order", "mod_class", "symbol_variant", "class_variant")
# Fields that describe several signals or a spread one: the samples then differ from those of the plain modulation.
_COMPOSITION = ("multiplexing", "multiple_access", "spreading")
_COMPOSED = re.compile(r"\b(?:OFDMA?|SC-?FDMA|W?CDMA|DSSS|FHSS)\b")  # in a label, if the detail does not say it
_ONE_PLAIN_CARRIER = ("single_carrier", "with_carrier")


def modulation_of(label: str, detail: dict[str, Any]) -> str | None:
    """The class of a signal: its label if we know it, else what the detail says, else the label as it is.

    If the detail or the label says more than a modulation (OFDM, spreading, several carriers, a variant of the
    symbols), the class says so too: "16QAM-OFDM", "QPSK-DIFFERENTIAL". It is None if neither says anything. Raises
    ValueError if label and detail name different orders or families.
    """
    values = {key: _plain(key, detail[key]) for key in _MODULATION if key in detail}
    carrier = detail.get("carrier_variant", _ONE_PLAIN_CARRIER[0])
    composition = [word for key in _COMPOSITION for word in _listed(detail.get(key)) if word and word != "none"]
    composition += [word for word in _COMPOSED.findall(label.upper()) if not composition]
    if carrier == "suppressed_carrier":
        values["carrier_variant"] = carrier
    elif carrier not in _ONE_PLAIN_CARRIER and not composition:
        composition = [carrier]
    by_label = known_name(label)
    by_detail = next((name for name, known in _DETAILS.items() if known == values), None)
    orders = [_DETAILS.get(by_label, {}).get("order"), values.get("order")]
    if None not in orders and orders[0] != orders[1]:
        raise ValueError(f"the label is {label!r} and the detail's order is {orders[1]!r:.80}")
    family = _FAMILIES.get(_DETAILS.get(by_label, {}).get("mod_class"))
    if family and _FAMILIES.get(values.get("mod_class"), family) != family:
        raise ValueError(f"the label is {label!r} and the detail's class is {values['mod_class']!r:.80}")
    variant = values.get("symbol_variant")
    if by_label and variant and variant != _DETAILS.get(by_label, {}).get("symbol_variant"):
        by_label, composition = (by_detail, composition) if by_detail else (by_label, [variant, *composition])
    spelled = "-".join(str(part) for part in values.values() if isinstance(part, str | int))
    name = by_label or by_detail or modulation_name(label) or spelled.upper()
    extra = "-".join(str(part).upper()[:40] for part in composition)
    if not extra or extra in name:
        return name or None
    return f"{name}-{extra}" if name else extra


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _plain(key: str, value: Any) -> Any:
    """A value of a detail as the extension spells it: classes in small letters, the order as a number."""
    if key == "order":
        return value if (read := whole(value)) is None else read
    return value.lower() if key == "mod_class" and isinstance(value, str) else value


def detail_of(name: str) -> dict[str, Any]:
    """The detail that describes one of our modulations, empty if the extension cannot describe it."""
    if name not in _DETAILS:
        return {}
    analogue = _DETAILS[name].get("mod_class") in ("fm", "dsb", "ssb")
    return {"type": "analog" if analogue else "digital"} | _DETAILS[name]
