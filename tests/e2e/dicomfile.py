"""Just enough of Part 10 for tests: where the data set of a file begins."""

import struct


def dataset_of(data):
    """The bytes after group 0002, or None when it is no Part 10 file with a readable meta group."""
    if len(data) < 132 or data[128:132] != b"DICM":
        return None
    at = 132
    while at + 8 <= len(data):
        group, _ = struct.unpack_from("<HH", data, at)
        if group != 2:
            return data[at:]
        vr = data[at + 4:at + 6]
        if vr in (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR"):
            length = struct.unpack_from("<I", data, at + 8)[0]
            at += 12 + length
        else:
            length = struct.unpack_from("<H", data, at + 6)[0]
            at += 8 + length
    return data[at:] if at == len(data) else None


def padded(dataset):
    """As it travels in DIMSE: of even length (PS3.5 section 7.1)."""
    return dataset + b"\0" if len(dataset) % 2 else dataset
