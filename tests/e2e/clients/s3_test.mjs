// The stock AWS SDK for JavaScript against the data store's S3 face: parts, presigned URLs, copies,
// checksums, conditions, buckets by host name. Environment: ENDPOINT, KEY_ID, SECRET, CLIENTS.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import http from "node:http";
import path from "node:path";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const s3lib = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { NodeHttpHandler } = require("@smithy/node-http-handler");

const credentials = { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET };
const common = { endpoint: process.env.ENDPOINT, region: "us-east-1", maxAttempts: 1, credentials };
const s3 = new s3lib.S3Client({ ...common, forcePathStyle: true });
const S3 = (name, input) => s3.send(new s3lib[name + "Command"](input));
async function fails(promise, name, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, name, `${error.name}: ${error.message}`);
    if (status) assert.equal(error.$metadata.httpStatusCode, status);
    return true;
  });
}
const Bucket = "forms-bucket";
await S3("CreateBucket", { Bucket });

// --- lib-storage: 200 MB of a stream in parts, sent side by side ---------------------------------------
const MB = 1024 * 1024, SIZE = 200 * MB;
const piece = crypto.createHash("sha512").update("seed").digest();
const block = Buffer.concat(Array(MB / piece.length).fill(piece));
const whole = crypto.createHash("sha256");
function* blocks() {
  for (let i = 0; i < SIZE / MB; ++i) {
    const one = Buffer.from(block);
    one.writeUInt32BE(i, 0);
    whole.update(one);
    yield one;
  }
}
const upload = new Upload({ client: s3, partSize: 16 * MB, queueSize: 4,
  params: { Bucket, Key: "large.bin", Body: Readable.from(blocks()), ContentType: "application/x" } });
const done = await upload.done();
assert.match(done.ETag, /-13"$/);
const large = await S3("GetObject", { Bucket, Key: "large.bin" });
assert.equal(large.ContentLength, SIZE);
assert.equal(large.ContentType, "application/x");
const back = crypto.createHash("sha256");
for await (const chunk of large.Body) back.update(chunk);
assert.equal(back.digest("hex"), whole.digest("hex"));
await S3("CopyObject", { Bucket, Key: "large-copy.bin", CopySource: `${Bucket}/large.bin` });
assert.equal((await S3("HeadObject", { Bucket, Key: "large-copy.bin" })).ContentLength, SIZE);

// --- checksums: each algorithm, as the SDK computes it -----------------------------------------------------
for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"]) {
  const member = "Checksum" + ChecksumAlgorithm;
  let put;
  try {
    put = await S3("PutObject", { Bucket, Key: "sum", Body: "hello", ChecksumAlgorithm });
  } catch (error) {
    // The SDK computes this one only with a package of native code.
    if (ChecksumAlgorithm === "CRC64NVME" && !error.$metadata?.httpStatusCode) continue;
    throw error;
  }
  assert.ok(put[member], member);
  const got = await S3("GetObject", { Bucket, Key: "sum", ChecksumMode: "ENABLED" });
  assert.equal(got[member], put[member]);
  assert.equal(await got.Body.transformToString(), "hello");  // the SDK verifies as it reads
}
// A stream goes out as aws-chunked with its checksum in a trailer.
await S3("PutObject", { Bucket, Key: "streamed", ContentLength: 10, Body: Readable.from([Buffer.from("01234"), Buffer.from("56789")]) });
assert.equal(await (await S3("GetObject", { Bucket, Key: "streamed" })).Body.transformToString(), "0123456789");

// --- presigned URLs, used by a client that knows nothing of S3 ---------------------------------------------
const get = await getSignedUrl(s3, new s3lib.GetObjectCommand({ Bucket, Key: "streamed" }), { expiresIn: 60 });
assert.equal(await (await fetch(get)).text(), "0123456789");
const put = await getSignedUrl(new s3lib.S3Client({ ...common, forcePathStyle: true, requestChecksumCalculation: "WHEN_REQUIRED" }),
  new s3lib.PutObjectCommand({ Bucket, Key: "presigned", Metadata: { kind: "test" } }), { expiresIn: 60 });
assert.equal((await fetch(put, { method: "PUT", body: "by url" })).status, 200);
const presigned = await S3("GetObject", { Bucket, Key: "presigned" });
assert.equal(await presigned.Body.transformToString(), "by url");
assert.deepEqual(presigned.Metadata, { kind: "test" });
assert.equal((await fetch(get, { method: "DELETE" })).status, 403);
const past = await getSignedUrl(s3, new s3lib.GetObjectCommand({ Bucket, Key: "streamed" }),
  { expiresIn: 60, signingDate: new Date(Date.now() - 120_000) });
const late = await fetch(past);
assert.equal(late.status, 403);
assert.match(await late.text(), /<Code>AccessDenied<\/Code><Message>Request has expired/);

// --- copies, conditions, tags, the older list ------------------------------------------------------------------
await S3("PutObject", { Bucket, Key: "from me", Body: "copied", Metadata: { a: "1" }, Tagging: "k=v", StorageClass: "STANDARD_IA" });
await S3("CopyObject", { Bucket, Key: "to", CopySource: encodeURI(`${Bucket}/from me`) });
const copy = await S3("GetObject", { Bucket, Key: "to" });
assert.equal(await copy.Body.transformToString(), "copied");
assert.deepEqual(copy.Metadata, { a: "1" });
await S3("CopyObject", { Bucket, Key: "to", CopySource: `${Bucket}/to`, MetadataDirective: "REPLACE", Metadata: { b: "2" } });
assert.deepEqual((await S3("HeadObject", { Bucket, Key: "to" })).Metadata, { b: "2" });
assert.deepEqual((await S3("GetObjectTagging", { Bucket, Key: "to" })).TagSet, []);
await fails(S3("PutObject", { Bucket, Key: "to", Body: "x", IfNoneMatch: "*" }), "PreconditionFailed", 412);
await fails(S3("PutObject", { Bucket, Key: "to", Body: "x", IfMatch: '"0"' }), "PreconditionFailed", 412);
await S3("PutObject", { Bucket, Key: "to", Body: "x", IfMatch: copy.ETag });
const first = await S3("ListObjects", { Bucket, MaxKeys: 2 });
assert.equal(first.IsTruncated, true);
const second = await S3("ListObjects", { Bucket, Marker: first.Contents.at(-1).Key });
assert.equal(second.IsTruncated, false);
assert.equal(first.Contents.length + second.Contents.length, (await S3("ListObjectsV2", { Bucket })).KeyCount);
const { UploadId } = await S3("CreateMultipartUpload", { Bucket, Key: "joined" });
const parts = [];
for (const [PartNumber, CopySourceRange] of [[1, `bytes=0-${6 * MB - 1}`], [2, `bytes=${6 * MB}-${6 * MB + 99}`]]) {
  const { CopyPartResult } = await S3("UploadPartCopy", { Bucket, Key: "joined", UploadId, PartNumber, CopySource: `${Bucket}/large.bin`, CopySourceRange });
  parts.push({ PartNumber, ETag: CopyPartResult.ETag });
}
await S3("CompleteMultipartUpload", { Bucket, Key: "joined", UploadId, MultipartUpload: { Parts: parts } });
const joined = Buffer.from(await (await S3("GetObject", { Bucket, Key: "joined" })).Body.transformToByteArray());
const start = Buffer.from(await (await S3("GetObject", { Bucket, Key: "large.bin", Range: `bytes=0-${6 * MB + 99}` })).Body.transformToByteArray());
assert.ok(joined.equals(start));

// --- buckets by host name: forms-bucket.localhost ---------------------------------------------------------------
const port = new URL(process.env.ENDPOINT).port;
const lookup = (name, options, then) => options.all ? then(null, [{ address: "127.0.0.1", family: 4 }]) : then(null, "127.0.0.1", 4);
const hosted = new s3lib.S3Client({ ...common, endpoint: `http://localhost:${port}`,
  requestHandler: new NodeHttpHandler({ httpAgent: new http.Agent({ lookup }) }) });
await hosted.send(new s3lib.PutObjectCommand({ Bucket, Key: "by/host", Body: "virtual" }));
assert.equal(await (await hosted.send(new s3lib.GetObjectCommand({ Bucket, Key: "by/host" }))).Body.transformToString(), "virtual");
assert.ok((await S3("ListObjectsV2", { Bucket, Prefix: "by/" })).Contents.some((object) => object.Key === "by/host"));

console.log("stock SDK for JavaScript: S3 in every form");
