// Google's own Cloud Storage client for Node against the data store: tokens from the metadata server
// that stands in or by a key, uploads in one piece and resumable, downloads verified by CRC32C, lists, conditions.
// Environment: ENDPOINT, CLIENTS; GCE_METADATA_HOST, or a key and its universe.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import path from "node:path";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const { Storage } = require("@google-cloud/storage");

const storage = new Storage({ apiEndpoint: process.env.ENDPOINT, useAuthWithCustomEndpoint: true,
  projectId: "isthmus", retryOptions: { autoRetry: true, maxRetries: 2 } });
// This version of the client leaves its token out of resumable uploads to endpoints of one's own.
const { Authorization } = await storage.authClient.getRequestHeaders(process.env.ENDPOINT);
storage.interceptors.push({ request: (options) => ({ ...options, headers: { ...options.headers, Authorization } }) });
async function fails(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, `${error.code}: ${error.message}`);
    return true;
  });
}

const [bucket] = await storage.createBucket("google-bucket");
assert.deepEqual(await bucket.exists(), [true]);
assert.deepEqual(await storage.bucket("no-such-bucket").exists(), [false]);
await fails(storage.createBucket("google-bucket"), 409);

// --- in one piece ---------------------------------------------------------------------------------------
const small = bucket.file("in/1.2.3/1 & ü.dcm");
await small.save("hello world", { resumable: false, contentType: "application/dicom", metadata: { metadata: { sop: "1.2.3" } } });
const [metadata] = await small.getMetadata();
assert.equal(metadata.crc32c, "yZRlqg==");
assert.equal(metadata.contentType, "application/dicom");
assert.equal(metadata.metadata.sop, "1.2.3");
assert.equal((await small.download())[0].toString(), "hello world");
assert.equal((await small.download({ start: 6, end: 10 }))[0].toString(), "world");
await fails(small.save("again", { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }), 412);
await small.save("again", { resumable: false, preconditionOpts: { ifGenerationMatch: metadata.generation } });
assert.equal((await small.download())[0].toString(), "again");
await small.setMetadata({ metadata: { more: "yes" } });
assert.equal((await small.getMetadata())[0].metadata.more, "yes");

// --- resumable: in one request, and in chunks --------------------------------------------------------------
const bytes = crypto.randomBytes(10 * 1024 * 1024 + 12345);
for (const chunkSize of [undefined, 1024 * 1024]) {
  const large = bucket.file(`in/large-${chunkSize ?? "whole"}`);
  await large.save(bytes, { resumable: true, chunkSize, validation: "crc32c" });
  assert.ok((await large.download({ validation: "crc32c" }))[0].equals(bytes));
}
const streamed = bucket.file("in/streamed");
await pipeline(Readable.from([bytes.subarray(0, 7), bytes.subarray(7, 400000)]), streamed.createWriteStream({ resumable: true }));
assert.ok((await streamed.download())[0].equals(bytes.subarray(0, 400000)));
const [uri] = await bucket.file("in/session").createResumableUpload({ preconditionOpts: { ifGenerationMatch: 0 } });
await new Promise((resolve, reject) => bucket.file("in/session").createWriteStream({ uri, resumable: true })
  .on("finish", resolve).on("error", reject).end(bytes.subarray(0, 1000)));
assert.ok((await bucket.file("in/session").download())[0].equals(bytes.subarray(0, 1000)));

// --- lists, copies, deletion -----------------------------------------------------------------------------------
const [files] = await bucket.getFiles({ prefix: "in/", maxResults: 2, autoPaginate: true });
assert.equal(files.length, 2);
const [all] = await bucket.getFiles({ prefix: "in/" });
assert.equal(all.length, 5);
const [, , page] = await bucket.getFiles({ delimiter: "/", autoPaginate: false });
assert.deepEqual(page.prefixes, ["in/"]);
await streamed.copy(bucket.file("copied"));
assert.ok((await bucket.file("copied").download())[0].equals(bytes.subarray(0, 400000)));
await fails(bucket.file("none").download(), 404);
await fails(bucket.file("copied").delete({ ifGenerationMatch: 1 }), 412);
await bucket.deleteFiles();
assert.equal((await bucket.getFiles())[0].length, 0);
await bucket.delete();

console.log("Cloud Storage client for Node: uploads, sessions, downloads, lists and conditions");
