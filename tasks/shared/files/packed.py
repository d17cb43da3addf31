"""Files of text packed with gzip, bzip2 or zstd: found out from their first bytes, and unpacked as a stream."""

import re
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.shared.errors import StillhouseError
from tasks.shared.rows import reason

if TYPE_CHECKING:
    import pyarrow as pa

PACKED = (".gz", ".bz2", ".zst")
"""What stands after the file name extension of a packed file, as in `reviews.csv.gz`."""

_CODECS = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),  # not only BZh: that may be text
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
_LONGEST_MARK = 10


def kind_of(path: Path) -> str:
    """The file name extension in lower case, of a packed file that of what is in it."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED else suffix


def unpacked(stream: BufferedReader, at: str) -> BufferedReader:
    """The bytes of a file at its beginning, unpacked if they are packed, whatever the file is called.

    What it gives can go back to its beginning, and nowhere else; a packed file that is damaged or cut off is told by it
    as StillhouseError. `at` is what stands before a message.
    """
    mark = stream.peek(_LONGEST_MARK)
    codec = next((codec for codec, known in _CODECS.items() if known.match(mark)), None)
    return stream if codec is None else BufferedReader(_Unpacked(stream, codec, at))


class _Unpacked(RawIOBase):
    def __init__(self, packed: BufferedReader, codec: str, at: str) -> None:
        self._packed, self._codec, self._at = packed, codec, at
        self._place = 0
        self._stream = self._restarted()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        if (offset, whence) != (0, 0):
            raise OSError("a packed file is read from its beginning")
        self._place, self._stream = 0, self._restarted()
        return 0

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            count: int = self._stream.readinto(buffer)
        except OSError as error:
            if error.errno is not None:  # from the system, not from the format
                raise
            said = f"broken or cut off, or not {self._codec} ({reason(error)})"
            raise StillhouseError(f"{self._at}: {said}; pack or download it again") from None
        self._place += count
        return count

    def _restarted(self) -> "pa.CompressedInputStream":
        import pyarrow as pa

        self._packed.seek(0)
        return pa.CompressedInputStream(pa.PythonFile(_KeptOpen(self._packed), "r"), self._codec)


class _KeptOpen:
    """A file that others may not close: it is hashed once it is read."""

    closed = False

    def __init__(self, stream: BufferedReader) -> None:
        self.read = stream.read

    def close(self) -> None:
        """Does nothing."""
