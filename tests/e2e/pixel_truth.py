"""What DCMTK's own tools make of a file: attributes, and each frame as plain pixels."""

import struct
import subprocess
import zlib

from dicomfile import dataset_of

DECODERS = {  # transfer syntax → the tool that makes plain pixels of it, little endian
    "1.2.840.10008.1.2": ["dcmconv", "+te"],
    "1.2.840.10008.1.2.1": ["dcmconv", "+te"],
    "1.2.840.10008.1.2.1.99": ["dcmconv", "+te"],
    "1.2.840.10008.1.2.2": ["dcmconv", "+te"],
    "1.2.840.10008.1.2.4.51": ["dcmdjpeg", "+cn", "+px", "+te"],
    "1.2.840.10008.1.2.4.57": ["dcmdjpeg", "+cn", "+px", "+te"],
    "1.2.840.10008.1.2.4.70": ["dcmdjpeg", "+cn", "+px", "+te"],
    "1.2.840.10008.1.2.4.80": ["dcmdjpls", "+px", "+te"],
    "1.2.840.10008.1.2.4.81": ["dcmdjpls", "+px", "+te"],
    "1.2.840.10008.1.2.5": ["dcmdrle", "+te"],
}


def elements(data, at=0):
    """(tag, VR, where the element begins, its value) of the top level, Explicit VR Little Endian."""
    while at + 8 <= len(data):
        begin = at
        group, element = struct.unpack_from("<HH", data, at)
        vr = data[at + 4:at + 6]
        if vr in (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UT", b"UN", b"UC", b"UR", b"SV",
                  b"UV"):
            length = struct.unpack_from("<I", data, at + 8)[0]
            at += 12
        else:
            length = struct.unpack_from("<H", data, at + 6)[0]
            at += 8
        if length == 0xFFFFFFFF:
            yield (group << 16 | element), vr, begin, data[at:]
            return
        yield (group << 16 | element), vr, begin, data[at:at + length]
        at += length


def with_uids(data, number):
    """A file of a test suite that lacks them, with study and series UIDs put in where they belong."""
    dataset = dataset_of(data)
    head = data[:len(data) - len(dataset)]
    if b"\x20\x00\x0d\x00UI" in dataset:
        return data
    for tag, _, begin, _ in elements(dataset):
        if tag > 0x0020000E:
            break
    new = b""
    for element in (0x0D, 0x0E):
        uid = f"2.25.4711.{number}.{element}".encode()
        uid += b"\0" * (len(uid) % 2)
        new += struct.pack("<HH2sH", 0x20, element, b"UI", len(uid)) + uid
    return head + dataset[:begin] + new + dataset[begin:]


def attributes(folder, path):
    """Plain attributes by dcmdump: SOP Instance UID, transfer syntax, shape."""
    tags = {"0008,0018": "uid", "0002,0010": "syntax", "0028,0010": "rows", "0028,0011": "columns",
            "0028,0002": "samples", "0028,0100": "allocated", "0028,0008": "frames",
            "0028,0006": "planar", "0028,0004": "photometric"}
    words = []
    for tag in tags:
        words += ["+P", tag]
    done = subprocess.run(["dcmdump", "-q", "-Un", "+L", *words, str(path)], capture_output=True,
                          text=True, errors="replace")
    found = {}
    for line in done.stdout.splitlines():
        name = tags.get(line.strip()[1:10])
        value = line[line.find(" ", 12):line.rfind("#")].strip().strip("[]= ")
        if name and name not in found:
            found[name] = value.split("#")[0].strip(" []")
    return found


def plain_frames(folder, path, syntax):
    """CRC-32 of each frame as DCMTK's tools decode it; None where they do not."""
    if syntax not in DECODERS:
        return None
    tool, *options = DECODERS[syntax]
    out = folder / "plain.dcm"
    done = subprocess.run([tool, "-q", *options, str(path), str(out)], capture_output=True)
    if done.returncode != 0:
        return None
    shape = attributes(folder, out)
    try:
        rows, columns, samples, allocated = (
            int(shape[name]) for name in ("rows", "columns", "samples", "allocated"))
    except (KeyError, ValueError):
        return None
    # DCMTK turns the 16-bit words of an OW element, and leaves halves of longer cells as they were.
    if allocated == 32 and syntax == "1.2.840.10008.1.2.2":
        return None
    if allocated not in (8, 16, 32) or shape.get("planar") == "1" or "42" in shape["photometric"]:
        return None
    data = dataset_of(out.read_bytes())
    at = data.rfind(b"\xe0\x7f\x10\x00O")
    if at < 0 or data[at + 5:at + 6] not in (b"B", b"W"):
        return None
    pixels = data[at + 12:]
    size = rows * columns * samples * allocated // 8
    count = int(shape.get("frames") or 1)
    if len(pixels) < size * count:
        return None
    return [zlib.crc32(pixels[i * size:(i + 1) * size]) for i in range(count)]
