"""Just enough of a STOW-RS client for tests."""

import http.client
import json

BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
RELATED = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def related(parts):
    pieces = []
    for part in parts:
        pieces += [f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode(), part, b"\r\n"]
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def uids_of(answer, tag="00081199"):
    return [item["00081155"]["Value"][0] for item in answer.get(tag, {}).get("Value", [])]


def post(connection, content, content_type=RELATED, path="/dicom-web/studies"):
    """Status and response module."""
    connection.request("POST", path, content, {"Content-Type": content_type,
                                               "Accept": "application/dicom+json"})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else {}


def store(daemon, content):
    """UIDs that are stored, by a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
    try:
        return uids_of(post(connection, content)[1])
    finally:
        connection.close()
