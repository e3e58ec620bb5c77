// The stock dicomweb-client stores a study at the gateway. Environment: BASE (…/dicom-web), CLIENTS
// (node_modules), FILES (a folder of DICOM files of one study).
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));

// As much of a browser's XMLHttpRequest as the client uses to store.
globalThis.XMLHttpRequest = class {
  open(method, url) { this.method = method.toUpperCase(); this.url = new URL(url); this.headers = {}; }
  setRequestHeader(name, value) { this.headers[name] = value; }
  getResponseHeader(name) { return this.answered?.[name.toLowerCase()] ?? null; }
  getAllResponseHeaders() { return ""; }
  send(data) {
    const sent = http.request(this.url, { method: this.method, headers: this.headers }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => {
        this.answered = answer.headers;
        this.status = answer.statusCode;
        this.readyState = 4;
        this.responseText = this.response = Buffer.concat(pieces).toString();
        this.onreadystatechange?.();
        this.onloadend?.();
      });
    });
    sent.on("error", (error) => { console.error(error); process.exit(1); });
    sent.end(Buffer.from(data));
  }
};
globalThis.window = globalThis;
const { api } = require("dicomweb-client");

const client = new api.DICOMwebClient({ url: process.env.BASE });
const datasets = fs.readdirSync(process.env.FILES, { recursive: true })
  .map((name) => path.join(process.env.FILES, name)).filter((name) => fs.statSync(name).isFile())
  .map((name) => { const bytes = fs.readFileSync(name);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length); });
const module = (answer) => typeof answer === "string" ? JSON.parse(answer) : answer;

const stored = module(await client.storeInstances({ datasets }));
if (stored?.["00081199"]) assert.equal(stored["00081199"].Value.length, datasets.length);
await client.storeInstances({ datasets: datasets.slice(0, 1) });
await assert.rejects(client.storeInstances({ datasets, studyInstanceUID: "1.2.3" }));
console.log("dicomweb-client:", datasets.length, "instances stored");
