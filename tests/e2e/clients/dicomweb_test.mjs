// The stock dicomweb-client against a data store of the listening data store. It cannot sign: its
// requests are signed on their way, by the SDK's own signer. Environment: ENDPOINT, KEY_ID, SECRET,
// CLIENTS (node_modules), DATASTORE, FILES (a folder of DICOM files of one study), OTHER (one of another).
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const { SignatureV4 } = require("@smithy/signature-v4");
const { Sha256 } = require("@aws-crypto/sha256-js");
const { HttpRequest } = require("@smithy/protocol-http");

const endpoint = new URL(process.env.ENDPOINT);
const signer = new SignatureV4({ service: "medical-imaging", region: "us-east-1", sha256: Sha256,
  credentials: { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET } });

function send(signed, body) {
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: endpoint.hostname, port: endpoint.port, method: signed.method,
      path: signed.path + (Object.keys(signed.query ?? {}).length
        ? "?" + Object.entries(signed.query).flatMap(([k, v]) => [v].flat().map(
          (one) => `${encodeURIComponent(k)}=${encodeURIComponent(one)}`)).join("&") : ""),
      headers: signed.headers }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers,
        body: Buffer.concat(pieces) }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
async function exchange(method, target, headers = {}, body = undefined) {
  const url = new URL(target, process.env.ENDPOINT);
  const query = {};
  for (const [key, value] of url.searchParams) query[key] = [...(query[key] ?? []), value];
  const request = new HttpRequest({ method, protocol: "http:", hostname: endpoint.hostname,
    port: Number(endpoint.port), path: decodeURI(url.pathname), query,
    headers: { host: endpoint.host, ...headers }, body });
  return send(await signer.sign(request), body);
}

// As much of a browser's XMLHttpRequest as the client uses.
globalThis.XMLHttpRequest = class {
  open(method, url) { this.method = method.toUpperCase(); this.url = url; this.headers = {}; }
  setRequestHeader(name, value) { this.headers[name.toLowerCase()] = value; }
  getResponseHeader(name) { return this.answer?.headers[name.toLowerCase()] ?? null; }
  getAllResponseHeaders() { return ""; }
  send(data) {
    const body = data === undefined || data === null ? undefined : Buffer.from(data);
    exchange(this.method, this.url, this.headers, body).then((answer) => {
      this.answer = answer;
      this.status = answer.status;
      this.readyState = 4;
      const bytes = answer.body;
      const text = bytes.toString();
      this.responseText = this.responseType === "arraybuffer" ? undefined : text;
      this.response = this.responseType === "arraybuffer"
        ? bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
        : this.responseType === "json" ? JSON.parse(text || "null") : text;
      this.onreadystatechange?.();
      this.onloadend?.();
    }).catch((error) => { console.error(error); process.exit(1); });
  }
};
globalThis.window = globalThis;
const { api } = require("dicomweb-client");

const base = `${process.env.ENDPOINT}/datastore/${process.env.DATASTORE}`;
const client = new api.DICOMwebClient({ url: base });
const tag = (object, name) => object[name]?.Value?.[0];

const files = fs.readdirSync(process.env.FILES, { recursive: true })
  .map((name) => path.join(process.env.FILES, name)).filter((name) => fs.statSync(name).isFile());
const datasets = files.map((name) => {
  const bytes = fs.readFileSync(name);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
});

// --- store
await client.storeInstances({ datasets });
const [study] = await client.searchForStudies();
const studyInstanceUID = tag(study, "0020000D");
assert.equal(tag(study, "00201208"), files.length);
const boundary = "b-o_u.n:d";
function related(parts) {
  return Buffer.concat([...parts.flatMap((part) => [
    Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`), part, Buffer.from("\r\n")]),
    Buffer.from(`--${boundary}--\r\n`)]);
}
const type = `multipart/related; type="application/dicom"; boundary="${boundary}"`;
const post = (where, body, contentType = type) =>
  exchange("POST", `${base}/studies${where}`, { "content-type": contentType }, body);
const good = fs.readFileSync(files[0]), other = fs.readFileSync(process.env.OTHER);
let answer = await post("", related([good, Buffer.from("no DICOM")]));
assert.equal(answer.status, 202);
let body = JSON.parse(answer.body);
assert.equal(body["00081199"].Value.length, 1);
assert.equal(body["0008119A"].Value[0]["00081197"].Value[0], 0xc000);
assert.equal(body["00081198"], undefined);
answer = await post(`/${studyInstanceUID}`, related([other]));
assert.equal(answer.status, 409);
body = JSON.parse(answer.body);
assert.equal(body["00081198"].Value[0]["00081197"].Value[0], 0xa900);
assert.equal((await post("", related([]))).status, 400);
assert.equal((await post("", related([good]).subarray(0, 500))).status, 400);
assert.equal((await post("", good, "text/plain")).status, 415);
assert.equal((await post("/not-a-uid", related([good]))).status, 400);
assert.equal((await post("", good, "application/dicom")).status, 200);

// --- search
const series = await client.searchForSeries({ studyInstanceUID });
const all = await client.searchForInstances({ studyInstanceUID });
assert.equal(all.length, files.length);
assert.equal(series.reduce((sum, one) => sum + tag(one, "00201209"), 0), files.length);
const find = (queryParams) => client.searchForStudies({ queryParams });
const name = tag(study, "00100010").Alphabetic, id = tag(study, "00100020");
const date = tag(study, "00080020");
for (const hit of [{ PatientID: id }, { "00100020": id.slice(0, 3) + "*" }, { PatientName: `${name.slice(0, 4)}*` },
  { PatientName: name.split("^")[1].toUpperCase(), fuzzymatching: true }, { StudyDate: date },
  { StudyDate: `${date}-` }, { StudyDate: `-${date}` }, { StudyDate: `19000101-${date}` },
  { StudyInstanceUID: `1.2.3,${studyInstanceUID}` }, { ModalitiesInStudy: tag(series[0], "00080060") },
  { limit: 1, offset: 0 }]) {
  assert.equal((await find(hit)).length, 1, JSON.stringify(hit));
}
for (const miss of [{ PatientID: "nobody" }, { PatientName: "X*" }, { StudyDate: "19000101" }, { offset: 1 },
  { StudyDate: "-19000101" }, { ModalitiesInStudy: "XX" }, { PatientName: "x", fuzzymatching: true },
  { PatientID: "' OR 1=1 --" }]) {
  assert.equal((await find(miss)).length, 0, JSON.stringify(miss));
}
assert.equal((await exchange("GET", `${base}/studies?limit=1001`)).status, 400);
assert.equal((await exchange("GET", `${base}/studies?NoSuchKey=1`)).status, 400);
const first = await exchange("GET", `${base}/instances?limit=1`);
assert.match(first.headers.warning, /additional results/);
assert.equal((await exchange("GET", `${base}/instances`, { accept: "text/html" })).status, 406);

// --- retrieve
const where = { studyInstanceUID, seriesInstanceUID: tag(all[0], "0020000E"), sopInstanceUID: tag(all[0], "00080018") };
const whole = Buffer.from(await client.retrieveInstance(where));
assert.ok(files.some((one) => fs.readFileSync(one).equals(whole)), "the instance is not the file that was stored");
assert.equal((await client.retrieveStudy({ studyInstanceUID })).length, files.length);
assert.ok((await client.retrieveSeries(where)).length >= 1);
const [metadata] = [].concat(await client.retrieveInstanceMetadata(where));
assert.equal(tag(metadata, "00080018"), where.sopInstanceUID);
assert.equal(metadata["00280010"].vr, "US");
assert.equal((await client.retrieveStudyMetadata({ studyInstanceUID })).length, files.length);
const rows = tag(metadata, "00280010"), columns = tag(metadata, "00280011");
const [plain] = await client.retrieveInstanceFrames({ ...where, frameNumbers: [1] });
assert.equal(plain.byteLength, rows * columns * tag(metadata, "00280100") / 8);
assert.ok(whole.subarray(-plain.byteLength).equals(Buffer.from(plain)), "the frame's pixels differ");
const at = `${base}/studies/${studyInstanceUID}/series/${where.seriesInstanceUID}/instances/${where.sopInstanceUID}`;
answer = await exchange("GET", `${at}/frames/1`, { accept: "image/jph" });
assert.equal(answer.headers["content-type"], "image/jph; transfer-syntax=1.2.840.10008.1.2.4.202");
assert.equal(answer.body.readUInt16BE(0), 0xff4f);
answer = await exchange("GET", `${at}/frames/1`, { accept: "image/jpeg;q=0.9, application/octet-stream;q=0.5" });
assert.equal(answer.headers["content-type"], "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1");
assert.ok(answer.body.equals(Buffer.from(plain)));
assert.equal((await exchange("GET", `${at}/frames/1`, { accept: "image/jpeg" })).status, 406);
assert.equal((await exchange("GET", `${at}/frames/2`)).status, 404);
assert.equal((await exchange("GET", `${at}/frames/0`)).status, 400);
assert.equal((await exchange("GET", `${at}.9`)).status, 404);
const unsigned = await send({ method: "GET", path: new URL(at).pathname, headers: { host: endpoint.host } });
assert.equal(unsigned.status, 403);
console.log("dicomweb-client:", files.length, "instances stored, searched and retrieved");
