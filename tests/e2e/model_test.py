"""Every constraint that the service model puts on a request, held against the listening data store.

Walks the input shape of each operation in contracts/healthimaging/service-2.json: what is required,
patterns, lengths, ranges, enumerations, unions and types, in the path, the query and the body. Each is
broken once in a request that is right otherwise; the server must answer ValidationException, as the
model's clients do not check most of it. Requests are signed by botocore.
"""

import base64
import copy
import http.client
import json
import re
import sys
import urllib.parse

from harness import SKIP, Daemon, fail, in_temp_folder, shared

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ID = "0123456789abcdef0123456789abcdef"
ARN = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{ID}"
DOCUMENT = b'{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"A"}}}'
SET = {"datastoreId": ID, "imageSetId": ID}
PAGE = {"nextToken": "eA==", "maxResults": 10}
MAPPING = {"studyInstanceUID": "1.2", "seriesInstanceUID": "1.2.3", "metadataFilePath": "m/a.json"}
START = {
    "datastoreId": ID, "jobName": "walk", "dataAccessRoleArn": "arn:aws:iam::123456789012:role/in",
    "clientToken": "walk-1", "inputS3Uri": "s3://walk-in/a/", "outputS3Uri": "s3://walk-out/a/",
    "inputOwnerAccountId": "123456789012",
    "importConfiguration": {"dicomJsonMetadataImportConfiguration": {"dicomMetadataMappings": [MAPPING]}},
}
VALUES = [{"DICOMPatientId": "P"}, {"DICOMAccessionNumber": "A"}, {"DICOMStudyId": "S"},
          {"DICOMStudyInstanceUID": "1.2"}, {"DICOMSeriesInstanceUID": "1.3"}, {"createdAt": 1.0},
          {"updatedAt": 1.0}, {"DICOMStudyDateAndTime": {"DICOMStudyDate": "20240101", "DICOMStudyTime": "10"}},
          {"isPrimary": True}]

# Requests that are right, with every member there is: several where members exclude each other.
EXAMPLES = {
    "CreateDatastore": [{
        "datastoreName": "walk", "clientToken": "walk-1", "tags": {"Owner": "ward"},
        "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:alias/key",
        "lambdaAuthorizerArn": "arn:aws:lambda:us-east-1:123456789012:function:authorize",
        "losslessStorageFormat": "HTJ2K"}],
    "GetDatastore": [{"datastoreId": ID}],
    "ListDatastores": [dict(PAGE, datastoreStatus="ACTIVE")],
    "DeleteDatastore": [{"datastoreId": ID}],
    "StartDICOMImportJob": [START],
    "GetDICOMImportJob": [{"datastoreId": ID, "jobId": ID}],
    "ListDICOMImportJobs": [dict(PAGE, datastoreId=ID, jobStatus="COMPLETED")],
    "SearchImageSets": [
        {"datastoreId": ID, "maxResults": 10, "nextToken": "eA==", "searchCriteria": {
            "filters": [{"values": [value], "operator": "EQUAL"}],
            "sort": {"sortOrder": "ASC", "sortField": "createdAt"}}} for value in VALUES],
    "GetImageSet": [dict(SET, versionId="1")],
    "GetImageSetMetadata": [dict(SET, versionId="1")],
    "GetImageFrame": [dict(SET, imageFrameInformation={"imageFrameId": ID})],
    "ListImageSetVersions": [dict(SET, **PAGE)],
    "UpdateImageSetMetadata": [
        dict(SET, latestVersionId="1", force=True, includeStudyImageSets=False,
             updateImageSetMetadataUpdates={"DICOMUpdates": {
                 "removableAttributes": DOCUMENT, "updatableAttributes": DOCUMENT}}),
        dict(SET, latestVersionId="1",
             updateImageSetMetadataUpdates={"revertToVersionId": "1"})],
    "CopyImageSet": [{
        "datastoreId": ID, "sourceImageSetId": ID, "force": True, "promoteToPrimary": False,
        "copyImageSetInformation": {
            "sourceImageSet": {"latestVersionId": "1", "DICOMCopies": {
                "copiableAttributes": '{"SchemaVersion":1.1,"Study":{"Series":{"1.2":{"Instances":{"1.3":{}}}}}}'}},
            "destinationImageSet": {"imageSetId": "f" * 32, "latestVersionId": "1"}}}],
    "DeleteImageSet": [SET],
    "TagResource": [{"resourceArn": ARN, "tags": {"Owner": "ward"}}],
    "UntagResource": [{"resourceArn": ARN, "tagKeys": ["Owner"]}],
    "ListTagsForResource": [{"resourceArn": ARN}],
}


class Model:
    def __init__(self, path):
        self.model = json.loads(path.read_text())
        self.shapes, self.operations = self.model["shapes"], self.model["operations"]

    def input_of(self, operation):
        return self.operations[operation]["input"]["shape"]

    def reachable(self, name, seen):
        if name in seen:
            return seen
        seen.add(name)
        shape = self.shapes[name]
        for member in shape.get("members", {}).values():
            self.reachable(member["shape"], seen)
        for part in ("member", "key", "value"):
            if part in shape:
                self.reachable(shape[part]["shape"], seen)
        return seen

    def constraints(self, name):
        """What a value of the shape can break, by name."""
        shape = self.shapes[name]
        found = {key for key in ("pattern", "max", "enum", "union") if shape.get(key)}
        if shape.get("min"):
            found.add("min")
        found |= {"required " + member for member in shape.get("required", [])}
        return {(name, key) for key in found}


def printed(model, name, value):
    """JSON of a body; blobs are base64."""
    shape = model.shapes[name]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if shape["type"] == "structure" and isinstance(value, dict):
        return {key: printed(model, shape["members"][key]["shape"], part) if key in shape["members"] else part
                for key, part in value.items()}
    if shape["type"] == "list" and isinstance(value, list):
        return [printed(model, shape["member"]["shape"], part) for part in value]
    return value


def request_of(model, operation, values):
    http_of = model.operations[operation]["http"]
    shape = model.shapes[model.input_of(operation)]
    path, query, body = http_of["requestUri"], [], {}
    for name, value in values.items():
        member = shape["members"][name]
        text = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
        if member.get("location") == "uri":
            path = path.replace("{" + member["locationName"] + "}", urllib.parse.quote(str(text), safe=""))
        elif member.get("location") == "querystring":
            for one in text if isinstance(text, list) else [text]:
                query.append((member["locationName"], str(one)))
        elif shape.get("payload") == name:
            body = printed(model, member["shape"], value)
        else:
            body[name] = printed(model, member["shape"], value)
    target = path + ("?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote) if query else "")
    return http_of["method"], target, json.dumps(body) if http_of["method"] == "POST" else ""


def outside_pattern(pattern):
    pattern = pattern.replace("\\p{ASCII}", "[\\x00-\\x7f]")
    for candidate in ("é", "not/valid at all!", "-", " ", "A b", "x" * 32 + "!", "aws:key?"):
        if re.fullmatch(pattern, candidate) is None:
            return candidate
    fail(f"nothing is outside of {pattern}")


def longer_than(shape):
    """Too long, and nothing else is wrong where the pattern allows that."""
    size, pattern = shape["max"] + 1, shape.get("pattern", ".*").replace("\\p{ASCII}", "[\\x00-\\x7f]")
    for text in ("1" * size, "a" * size, "s3://bucket/" + "a" * (size - 12),
                 "arn:aws:iam::123456789012:role/" + "a" * (size - 31)):
        if re.fullmatch(pattern, text):
            return text
    return "a" * size


class Walk:
    """Yields (what is broken, shape and constraint, the request's values) for one right request."""

    def __init__(self, model, operation, example):
        self.model, self.operation, self.example = model, operation, example

    def broken(self):
        yield from self.structure(self.model.input_of(self.operation), [], True)

    def at(self, path, change):
        values = copy.deepcopy(self.example)
        place = values
        for key in path[:-1]:
            place = place[key]
        change(place, path[-1])
        return values

    def put(self, path, value):
        return self.at(path, lambda place, key: place.__setitem__(key, value))

    def value_at(self, path):
        place = self.example
        for key in path:
            place = place[key]
        return place

    def structure(self, name, path, top=False):
        shape = self.model.shapes[name]
        given = self.value_at(path) if path else self.example
        for member in shape.get("required", []):
            where = shape["members"][member].get("location")
            if member in given and where != "uri":  # without it, it is another path
                def drop(place, key):
                    del place[key]
                yield f"{name}.{member} is missing", (name, "required " + member), self.at(path + [member], drop)
        if shape.get("union"):
            other = next((key for key in shape["members"] if key not in given), None)
            if other:
                member = {"structure": {}, "string": "1", "boolean": True, "timestamp": 1.0}[
                    self.model.shapes[shape["members"][other]["shape"]]["type"]]
                yield f"{name} has two", (name, "union"), self.put(path + [other], member)
            yield f"{name} is empty", (name, "union"), self.put(path, {})
            yield f"{name} has a stranger", (name, "union"), self.put(path, {"stranger": 1})
        if not top:
            yield f"{name} is a list", (name, "type"), self.put(path, [])
        for member, value in given.items():
            reference = shape["members"][member]
            in_path = reference.get("location") == "uri"
            yield from self.value(reference["shape"], path + [member], in_path, reference.get("location"))

    def value(self, name, path, in_path, location):
        shape, kind = self.model.shapes[name], self.model.shapes[name]["type"]
        if kind == "structure":
            yield from self.structure(name, path)
        elif kind == "string":
            yield from self.string(name, shape, path, in_path, location)
        elif kind in ("integer", "long"):
            for key, step in (("min", -1), ("max", 1)):
                if key in shape:
                    yield f"{name} is beyond {key}", (name, key), self.put(path, shape[key] + step)
            yield f"{name} is a word", (name, "type"), self.put(path, "ten")
        elif kind == "boolean":
            yield f"{name} is a word", (name, "type"), self.put(path, "perhaps")
        elif kind == "timestamp":
            yield f"{name} is a word", (name, "type"), self.put(path, "yesterday")
        elif kind == "blob":
            yield f"{name} is too long", (name, "max"), self.put(path, b"x" * (shape["max"] + 1))
            if shape.get("min"):
                yield f"{name} is empty", (name, "min"), self.put(path, b"")
            yield f"{name} is not base64", (name, "type"), self.put(path, "?")
        elif kind == "list":
            yield from self.list(name, shape, path, location)
        elif kind == "map":
            yield f"{name} is a list", (name, "type"), self.put(path, [])
            for broken in self.strings(shape["key"]["shape"], False):
                yield f"{name} key {broken[0]}", (shape["key"]["shape"], broken[0]), self.put(path, {broken[1]: "v"})
            for broken in self.strings(shape["value"]["shape"], False):
                yield f"{name} value {broken[0]}", (shape["value"]["shape"], broken[0]), self.put(path, {"k": broken[1]})
        else:
            fail(f"a {kind} is not walked")

    def strings(self, name, in_path):
        shape = self.model.shapes[name]
        if shape.get("min") and not in_path:
            yield "min", ""
        if "max" in shape:
            yield "max", longer_than(shape)
        if "pattern" in shape:
            yield "pattern", outside_pattern(shape["pattern"])
        if "enum" in shape:
            yield "enum", "NO_SUCH_ONE"

    def string(self, name, shape, path, in_path, location):
        for key, text in self.strings(name, in_path):
            yield f"{name} breaks {key}", (name, key), self.put(path, text)
        if location is None:
            yield f"{name} is a number", (name, "type"), self.put(path, 17)

    def list(self, name, shape, path, location):
        given = self.value_at(path)
        if shape.get("min"):
            yield f"{name} is empty", (name, "min"), self.put(path, [])
        if "max" in shape:
            yield f"{name} is too long", (name, "max"), self.put(path, given[:1] * (shape["max"] + 1))
        if location is None:
            yield f"{name} is an object", (name, "type"), self.put(path, {})
        for index in range(len(given)):
            yield from self.value(shape["member"]["shape"], path + [index], False, location)


class Server:
    def __init__(self, daemon):
        key = daemon.access_key()
        self.port = daemon.datastore_port
        self.signer = SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]),
                                "medical-imaging", "us-east-1")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(self, method, target, body):
        request = AWSRequest(method=method, url=f"http://127.0.0.1:{self.port}{target}",
                             data=body.encode(), headers={"Content-Type": "application/json"})
        self.signer.add_auth(request)
        self.connection.request(method, target, body.encode(), dict(request.headers.items()))
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, (answer.headers.get("x-amzn-ErrorType") or "").split(":")[0], text


def walk(folder):
    model = Model(shared() / "contracts/healthimaging/service-2.json")
    missing = set(model.operations) - set(EXAMPLES)
    if missing:
        fail(f"no example of {missing}")
    only = set(sys.argv[1:])
    with Daemon(folder) as daemon:
        server = Server(daemon)
        asked, wrong, broken = 0, [], {}
        for operation in sorted(EXAMPLES):
            if only and operation not in only:
                continue
            met = set()
            for example in EXAMPLES[operation]:
                status, error, text = server.send(*request_of(model, operation, example))
                if b"validation error detected" in text or error == "UnknownOperationException":
                    wrong.append(f"{operation}: a right request has {status} {text!r}")
                for what, constraint, values in Walk(model, operation, example).broken():
                    status, error, text = server.send(*request_of(model, operation, values))
                    asked += 1
                    met.add(constraint)
                    if (status, error) != (400, "ValidationException"):
                        wrong.append(f"{operation}: {what}: {status} {error} {text[:120]!r}")
            wrong += unbroken(model, operation, met)
            broken[operation] = {one for one in met if one[1] != "type"}
        if wrong:
            fail(f"{len(wrong)} of {asked}:\n" + "\n".join(wrong))
        print(counted(model, broken, asked))


def unbroken(model, operation, met):
    """Constraints of the operation's input that no request has broken."""
    return [f"{operation}: {constraint} was never broken"
            for name in model.reachable(model.input_of(operation), set())
            for constraint in model.constraints(name) - met
            if not not_sendable(model, operation, constraint)]


def not_sendable(model, operation, constraint):
    """Without a value the path is another path: what would be in it can be neither absent nor empty."""
    name, key = constraint
    in_path = {member: reference["shape"]
               for member, reference in model.shapes[model.input_of(operation)].get("members", {}).items()
               if reference.get("location") == "uri"}
    if key.startswith("required "):
        return name == model.input_of(operation) and key.split()[1] in in_path
    return key == "min" and name in in_path.values()


def counted(model, broken, asked):
    """Held against the model's own words, counted by another way than the walk: it cannot shrink silently."""
    total, never = 0, 0
    for operation, met in broken.items():
        names = model.reachable(model.input_of(operation), set())
        own = sum(words_in(model.shapes[name]) for name in names)
        not_there = sum(not_sendable(model, operation, one)
                        for name in names for one in model.constraints(name) if one not in met)
        if len(met) + not_there != own:
            fail(f"{operation}: {len(met)} constraints were broken and {not_there} cannot be: the model has {own}")
        total, never = total + own, never + not_there
    return (f"{asked} broken requests of {len(broken)} of the model's {len(model.operations)} operations were "
            f"refused: {total - never} of {total} constraints; {never} cannot be sent (parts of a path)")


def words_in(shape):
    """How many constraints a shape's own text has. A minimum of 0 is none of a length, but one of a number."""
    flat = json.dumps({key: value for key, value in shape.items() if key not in ("documentation", "members")})
    count = sum(f'"{word}": ' in flat for word in ("pattern", "max", "enum", "union"))
    count += '"min": ' in flat and '"min": 0' not in flat
    return count + len(shape.get("required", []))


try:
    import botocore  # noqa: F401
except ImportError:
    print("skipped: no botocore")
    sys.exit(SKIP)
in_temp_folder(walk)
print("passed: model walk", flush=True)
