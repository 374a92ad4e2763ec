"""JSON whose long lists are read entry by entry, so that memory holds only what is kept of them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

_CHUNK = 1 << 18  # bytes read at a time
_BLANK = " \t\n\r"
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*").match


class JsonStream:
    """One JSON object, from bytes of UTF-8. Raises ValueError for what is not valid JSON.

    file: read from its current position. size: number of bytes to read.
    """

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.parse = json.JSONDecoder().raw_decode
        self.text, self.at = "", 0

    def members(self) -> Iterator[str]:
        """The names of the object's fields; the caller reads the `value` or the `entries` after each."""
        self._expect("{")
        names: set[str] = set()
        while self.peek() != "}":
            if names:
                self._expect(",")
                self.peek()
            name = self.value()
            if not isinstance(name, str) or name in names:
                raise ValueError(f"{name!r:.80} is a duplicate or not the name of a field")
            names.add(name)
            self._expect(":")
            yield name
        self._expect("}")
        if self.peek():
            raise ValueError("more text follows the object")

    def entries(self) -> Iterator[Any]:
        """The entries of the list that follows, one at a time."""
        self._expect("[")
        more = self.peek() != "]"
        while more:
            yield self.value()
            comma = _COMMA(self.text, self.at)
            if comma and comma.end() < len(self.text):  # the usual case: the next entry begins in this chunk
                self.at = comma.end()
            elif self.peek() == ",":
                self._expect(",")
            else:
                more = False
        self._expect("]")

    def value(self) -> Any:
        """The next value."""
        while True:
            try:
                value, end = self.parse(self.text, self.at)
            except json.JSONDecodeError as error:
                if error.pos == self.at and self.at != len(self.text) and self.text[self.at] in _BLANK:
                    self.peek()
                    continue
                if not self._fill():
                    raise ValueError(error.msg) from None
                continue
            if end < len(self.text) or not self._fill():  # a number may go on in the next chunk
                self.at = end
                return value

    def _expect(self, character: str) -> None:
        if self.peek() != character:
            raise ValueError(f"{character!r} is expected, but {self.peek() or 'the end'!r} follows")
        self.at += 1

    def peek(self) -> str:
        """The next character that is not blank, without consuming it; "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _BLANK:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Read at least twice as much as is left, so that a long value is not parsed again and again."""
        if not self.left:
            return False
        rest = self.text[self.at :]
        content = self.file.read(min(self.left, max(_CHUNK, 2 * len(rest))))
        if not content:
            raise ValueError("the file ends too early")
        self.left -= len(content)
        self.text, self.at = rest + self.decoder.decode(content, final=not self.left), 0
        return True
