"""Words that several commands and displays share."""


def many(count: int, noun: str) -> str:
    """ "1 run", "1,200 runs"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
