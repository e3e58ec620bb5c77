"""The forms that DICOMweb gives and takes: files and frames in the transfer syntax that was negotiated, held
against what DCMTK's own tools decode; bulk data by their addresses; metadata in JSON with bulk data, stored."""

import atexit
import collections
import copy
import json
import struct
import sys
import zlib

from google_client import DATASET, Google
from harness import SKIP, Daemon, fail, in_temp_folder, make_study, shared_or_none
from dicomfile import dataset_of
from pixel_truth import attributes, elements, plain_frames, with_uids

PLAIN = "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.202"
MPEG2 = "1.2.840.10008.1.2.4.100"


class Store:
    """A DICOM store of its own, so that the same instance can be in several."""

    made = 0

    def __init__(self, google):
        self.google = google
        Store.made += 1
        name = f"forms{Store.made}"
        google.json("POST", f"/v1/{DATASET}/dicomStores?dicomStoreId={name}", b"{}")
        self.base = f"/v1/{DATASET}/dicomStores/{name}/dicomWeb"

    def remove(self):
        self.google.json("DELETE", self.base.removesuffix("/dicomWeb"))

    def put(self, content, kind="application/dicom"):
        return self.google.call("POST", f"{self.base}/studies", content, Content_Type=kind,
                                Accept="application/dicom+json")

    def only(self):
        """The address of its only instance."""
        [one] = json.loads(self.get("/instances", "application/dicom+json")[1])
        study, series, instance = (one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        return f"/studies/{study}/series/{series}/instances/{instance}"

    def get(self, path, accept):
        target = path if path.startswith("http") else self.base + path
        if target.startswith("http"):
            target = "/" + target.split("/", 3)[3]
        return self.google.call("GET", target, Accept=accept)


def begun(folder):
    daemon = Daemon(folder, datastore__google_metadata_server="true").start()
    atexit.register(daemon.kill)  # when the test fails
    google = Google(daemon)
    google.json("POST", f"/v1/{DATASET.rsplit('/', 1)[0]}?datasetId=ds1", b"{}")
    return daemon, google


def dicom(syntax):
    return f"application/dicom; transfer-syntax={syntax}"


def frames_of(folder, content):
    path = folder / "got.dcm"
    path.write_bytes(content)
    said = attributes(folder, path)
    return said, plain_frames(folder, path, said["syntax"])


def check_file(folder, google, path, content, counts):
    source = folder / "source.dcm"
    source.write_bytes(content)
    syntax = attributes(folder, source)["syntax"]
    truth = plain_frames(folder, source, syntax)
    store = Store(google)
    status, text, _ = store.put(content)
    if status != 200:  # not to be imported: real_input_test has the reasons
        return store.remove()
    where = store.only()

    status, got, headers = store.get(where, dicom("*"))
    if (status, got) != (200, content) or syntax not in headers["Content-Type"]:
        fail(f"{path.name}: not the stored bytes: {status} {headers['Content-Type']}")
    # The first cannot be had, unless it is the file's own.
    status, got, _ = store.get(where, dicom(MPEG2) + "; q=0.9, " + dicom("*") + "; q=0.5")
    if (status, got) != (200, content):
        fail(f"{path.name}: the second best is not given: {status}")
    if syntax != MPEG2 and store.get(where, dicom(MPEG2))[0] != 406:
        fail(f"{path.name}: given as a video")

    plain_status, plain, headers = store.get(where, "application/dicom")
    if plain_status == 406:
        counts["not plain"] += 1
    else:
        said, frames = frames_of(folder, plain)
        if plain_status != 200 or said["syntax"] != PLAIN or PLAIN not in headers["Content-Type"]:
            fail(f"{path.name}: not transcoded: {plain_status} {said}")
        if truth is not None and frames is not None:
            if frames != truth:
                fail(f"{path.name}: other pixels in {PLAIN}")
            counts["plain"] += 1
    for wanted in (JPEG_2000, HTJ2K):
        status, encoded, _ = store.get(where, dicom(wanted))
        if status == 406:
            counts["not encoded"] += 1
            continue
        if status != 200 or plain_status != 200 or attributes_of(folder, encoded)["syntax"] != wanted:
            fail(f"{path.name}: not in {wanted}: {status} {encoded[:200]}")
        again = Store(google)
        if again.put(encoded)[0] != 200:
            fail(f"{path.name}: in {wanted} it is no file that can be stored")
        status, decoded, _ = again.get(where, dicom(PLAIN))
        if status != 200 or frames_of(folder, decoded)[1] != frames_of(folder, plain)[1]:
            fail(f"{path.name}: other pixels after {wanted}: {status}")
        again.remove()
        counts["encoded"] += 1
    check_pixels(folder, store, where, path, truth, counts)
    store.remove()


def attributes_of(folder, content):
    path = folder / "asked.dcm"
    path.write_bytes(content)
    return attributes(folder, path)


def check_pixels(folder, store, where, path, truth, counts):
    """Frames and bulk data of a file that DCMTK's tools decode."""
    if truth is None or not truth:
        return
    status, got, headers = store.get(f"{where}/frames/1", f"application/octet-stream; transfer-syntax={PLAIN}")
    if status != 200 or zlib.crc32(got) != truth[0]:
        fail(f"{path.name}: frame 1 is not plain: {status} {headers['Content-Type']}")
    size = len(got)
    status, got, headers = store.get(
        f"{where}/frames/1", f"image/jp2; transfer-syntax={JPEG_2000}; q=1, application/octet-stream; q=0.1")
    if status != 200 or not (got.startswith(b"\xff\x4f\xff\x51") or zlib.crc32(got) == truth[0]):
        fail(f"{path.name}: frame 1 is no JPEG 2000: {status} {headers['Content-Type']}")
    counts["frames"] += 1
    status, text, _ = store.get(f"{where}/metadata", "application/dicom+json")
    [metadata] = json.loads(text)
    status, got, _ = store.get(metadata["7FE00010"]["BulkDataURI"], "application/octet-stream")
    if status != 200 or [zlib.crc32(got[i * size:(i + 1) * size]) for i in range(len(truth))] != truth:
        fail(f"{path.name}: bulk data are not the pixels: {status} {len(got)} bytes, {len(truth)} frames")
    counts["bulk data"] += 1


def every_transfer_syntax(folder):
    source = shared_or_none()
    if source is None:
        print("skipped: no ../shared beside the repository")
        sys.exit(SKIP)
    daemon, google = begun(folder)
    counts = dict.fromkeys(("plain", "not plain", "encoded", "not encoded", "frames", "bulk data"), 0)
    paths = sorted((source / "dicom/transfer-syntax").glob("*.dcm"))
    paths += sorted((source / "dicom/encapsulated").glob("*.dcm"))
    syntaxes = collections.Counter()
    for number, path in enumerate(paths):
        content = path.read_bytes()
        if dataset_of(content) is None or len(content) > 1_500_000:
            continue
        syntax = attributes(folder, path).get("syntax", "")
        if not syntax or syntaxes[syntax] == 2:
            continue
        if syntax == PLAIN:
            content = with_uids(content, number)
        check_file(folder, google, path, content, counts)
        syntaxes[syntax] += 1
    print(counts, len(syntaxes), "transfer syntaxes")
    if counts["plain"] < 10 or counts["encoded"] < 15 or counts["bulk data"] < 10:
        fail(f"too little was compared: {counts}")
    assert daemon.stop() == 0


def related(kind, parts, boundary="forms-boundary"):
    body = b""
    for part_kind, location, content in parts:
        body += f"--{boundary}\r\nContent-Type: {part_kind}\r\n".encode()
        if location:
            body += f"Content-Location: {location}\r\n".encode()
        body += b"\r\n" + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="{kind}"; boundary={boundary}'


def long_value(content, size):
    """The file with an encapsulated document of so many bytes, in front of its pixel data."""
    dataset = dataset_of(content)
    head = content[:len(content) - len(dataset)]
    value = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000)
    [begin] = [at for tag, _, at, _ in elements(dataset) if tag == 0x7FE00010]
    element = struct.pack("<HH2sHI", 0x42, 0x11, b"OB", 0, len(value)) + value
    return head + dataset[:begin] + element + dataset[begin:], value


def bulk_data_have_addresses(folder):
    [path] = make_study(folder / "study", series=1, instances=1, rows=32, cols=32)
    content, value = long_value(path.read_bytes(), 6_000_000)
    daemon, google = begun(folder)
    store = Store(google)
    status, text, _ = store.put(content)
    if status != 200:
        fail(f"not stored: {status} {text[:300]}")
    where = store.only()
    [metadata] = json.loads(store.get(f"{where}/metadata", "application/dicom+json")[1])
    address = metadata["00420011"]["BulkDataURI"]
    for accept in ("application/octet-stream", "*/*", f"application/octet-stream; transfer-syntax={PLAIN}"):
        status, got, headers = store.get(address, accept)
        if (status, got) != (200, value):
            fail(f"{accept}: {status} {len(got)} bytes {headers['Content-Type']}")
    status, got, headers = store.get(address, 'multipart/related; type="application/octet-stream"')
    if status != 200 or value not in got or "multipart/related" not in headers["Content-Type"]:
        fail(f"not in parts: {status} {headers['Content-Type']}")
    if store.get(address, "image/jp2")[0] != 406:
        fail("a document is given as an image")
    if store.get(address.replace("00420011", "00420012"), "*/*")[0] != 404:
        fail("what is not there was given")
    if b'<BulkData uri="' not in store.get(
            f"{where}/metadata", 'multipart/related; type="application/dicom+xml"')[1]:
        fail("metadata in XML have no address")
    assert daemon.stop() == 0


def metadata_with_bulk_data_are_stored(folder):
    files = make_study(folder / "study", series=1, instances=2, rows=32, cols=32)
    daemon, google = begun(folder)
    origin = Store(google)
    instances, parts = [], []
    for number, path in enumerate(files):
        assert origin.put(path.read_bytes())[0] == 200
        [pixels] = [value for tag, _, _, value in elements(dataset_of(path.read_bytes())) if tag == 0x7FE00010]
        parts.append(("application/octet-stream", f"bulk/{number}", pixels))
    for number, one in enumerate(json.loads(origin.get("/instances", "application/dicom+json")[1])):
        where = (f"/studies/{one['0020000D']['Value'][0]}/series/{one['0020000E']['Value'][0]}"
                 f"/instances/{one['00080018']['Value'][0]}")
        [metadata] = json.loads(origin.get(f"{where}/metadata", "application/dicom+json")[1])
        status, pixels, _ = origin.get(f"{where}/frames/1", "application/octet-stream")
        [location] = [location for _, location, value in parts if value[:len(pixels)] == pixels]
        metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": location}
        for tag in ("00083002", "00081190"):
            metadata.pop(tag, None)
        instances.append((where, metadata))

    def body(objects, bulk):
        text = json.dumps(objects).encode()
        return related("application/dicom+json", [("application/dicom+json", None, text), *bulk])

    store = Store(google)
    status, text, _ = store.put(*body([metadata for _, metadata in instances], parts))
    answer = json.loads(text)
    if status != 200 or len(answer["00081199"]["Value"]) != 2 or "00081198" in answer:
        fail(f"not stored: {status} {text[:500]}")
    for where, metadata in instances:
        [found] = json.loads(store.get(f"{where}/metadata", "application/dicom+json")[1])
        for tag, element in metadata.items():
            if tag != "7FE00010" and found.get(tag) != element:
                fail(f"{tag} is {found.get(tag)}, not {element}")
        pixels = store.get(f"{where}/frames/1", "application/octet-stream")[1]
        if pixels != origin.get(f"{where}/frames/1", "application/octet-stream")[1]:
            fail("the pixels are others")
    # The same again is success; one whose bulk data are missing fails alone.
    if store.put(*body([metadata for _, metadata in instances], parts))[0] != 200:
        fail("the same again is refused")
    partly = copy.deepcopy([metadata for _, metadata in instances])
    partly[1]["7FE00010"]["BulkDataURI"] = "bulk/none"
    other = Store(google)
    status, text, _ = other.put(*body(partly, parts))
    answer = json.loads(text)
    [refused] = answer["00081198"]["Value"]
    if status != 409 or refused["00081197"]["Value"] != [272] or len(answer["00081199"]["Value"]) != 1 \
            or refused["00081155"]["Value"] != partly[1]["00080018"]["Value"] \
            or not refused["00091097"]["Value"][0]:
        fail(f"a missing part: {status} {text[:500]}")
    content, kind = body([], parts)
    if other.put(b"{" + content, kind)[0] == 200 or other.put(content, kind)[0] != 400:
        fail("no instance was stored")
    # XML metadata are not in the contract.
    if other.put(content, kind.replace("dicom+json", "dicom+xml"))[0] != 415:
        fail("metadata in XML were taken")
    assert daemon.stop() == 0
    found = json.loads(daemon.command("datastore", "verify", "--content").stdout)
    assert found["sound"], found


for test in (bulk_data_have_addresses, metadata_with_bulk_data_are_stored, every_transfer_syntax):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
