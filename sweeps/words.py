"""Words that several commands and displays share."""

from datetime import timedelta


def many(count: int, noun: str) -> str:
    """ "1 run", "1,200 runs"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> timedelta:
    """In whole seconds, at least one."""
    return timedelta(seconds=max(1, round(seconds)))


def bytes_in_words(size: int) -> str:
    """ "512 bytes", "1.5 kB", "2.3 GB": powers of 1000."""
    if size < 1000:
        return many(int(size), "byte")
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"
