// The stock AWS SDK for JavaScript against the listening data store: nothing here is ours but the
// questions. Environment: ENDPOINT, KEY_ID, SECRET, FILES (a folder of DICOM files), CLIENTS (node_modules).
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const s3lib = require("@aws-sdk/client-s3");
const imaginglib = require("@aws-sdk/client-medical-imaging");

const credentials = { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET };
const common = { endpoint: process.env.ENDPOINT, region: "us-east-1", maxAttempts: 1 };
const s3 = new s3lib.S3Client({ ...common, credentials, forcePathStyle: true });
const imaging = new imaginglib.MedicalImagingClient({ ...common, credentials, disableHostPrefix: true });
const ROLE = "arn:aws:iam::123456789012:role/isthmus-import";

const run = (client, library, name, input) => client.send(new library[name + "Command"](input));
const S3 = (name, input) => run(s3, s3lib, name, input);
const AHI = (name, input) => run(imaging, imaginglib, name, input);
async function fails(promise, name, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, name, `${error.name}: ${error.message}`);
    if (status) assert.equal(error.$metadata.httpStatusCode, status);
    return true;
  });
}
async function ended(datastoreId, jobId) {
  for (;;) {
    const { jobProperties } = await AHI("GetDICOMImportJob", { datastoreId, jobId });
    if (["COMPLETED", "FAILED"].includes(jobProperties.jobStatus)) return jobProperties;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// --- buckets and objects -----------------------------------------------------------------------------
await S3("CreateBucket", { Bucket: "sdk-bucket" });
await S3("HeadBucket", { Bucket: "sdk-bucket" });
assert.ok((await S3("ListBuckets", {})).Buckets.some((bucket) => bucket.Name === "sdk-bucket"));
await fails(S3("HeadBucket", { Bucket: "no-such-bucket" }), "NotFound", 404);

const names = fs.readdirSync(process.env.FILES, { recursive: true })
  .map((name) => path.join(process.env.FILES, name)).filter((name) => fs.statSync(name).isFile());
for (const name of names) {
  const Body = fs.readFileSync(name);
  await S3("PutObject", { Bucket: "sdk-bucket", Key: `in/${path.basename(name)}`, Body });
}
const odd = "odd keys/with space+plus/ünïcode/(1)*'!~.bin";
await S3("PutObject", { Bucket: "sdk-bucket", Key: odd, Body: "0123456789" });
const ranged = await S3("GetObject", { Bucket: "sdk-bucket", Key: odd, Range: "bytes=2-4" });
assert.equal(await ranged.Body.transformToString(), "234");
assert.equal((await S3("HeadObject", { Bucket: "sdk-bucket", Key: odd })).ContentLength, 10);
await fails(S3("GetObject", { Bucket: "sdk-bucket", Key: "missing" }), "NoSuchKey", 404);
await fails(S3("PutObject", { Bucket: "sdk-bucket", Key: "x", Body: "abc", ContentMD5: "1B2M2Y8AsgTpgAmY7PhCfg==" }),
  "BadDigest", 400);

const first = await S3("ListObjectsV2", { Bucket: "sdk-bucket", Prefix: "in/", MaxKeys: 2 });
assert.equal(first.KeyCount, 2);
assert.equal(first.IsTruncated, names.length > 2);
const listed = [];
for await (const page of s3lib.paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket: "sdk-bucket", Prefix: "in/" })) {
  listed.push(...page.Contents.map((entry) => entry.Key));
}
assert.equal(listed.length, names.length);
const folders = await S3("ListObjectsV2", { Bucket: "sdk-bucket", Delimiter: "/" });
assert.deepEqual(folders.CommonPrefixes.map((entry) => entry.Prefix), ["in/", "odd keys/"]);

const { UploadId } = await S3("CreateMultipartUpload", { Bucket: "sdk-bucket", Key: "large" });
const part = Buffer.alloc(5 * 1024 * 1024, "a");
const parts = [];
for (const [PartNumber, Body] of [[1, part], [2, Buffer.from("tail")]]) {
  const { ETag } = await S3("UploadPart", { Bucket: "sdk-bucket", Key: "large", UploadId, PartNumber, Body });
  parts.push({ PartNumber, ETag });
}
await S3("CompleteMultipartUpload", { Bucket: "sdk-bucket", Key: "large", UploadId, MultipartUpload: { Parts: parts } });
const large = await S3("GetObject", { Bucket: "sdk-bucket", Key: "large" });
assert.equal(large.ContentLength, part.length + 4);
assert.ok(Buffer.concat([part, Buffer.from("tail")]).equals(Buffer.from(await large.Body.transformToByteArray())));
await S3("DeleteObject", { Bucket: "sdk-bucket", Key: "large" });
const gone = await S3("DeleteObjects", { Bucket: "sdk-bucket", Delete: { Objects: [{ Key: odd }, { Key: "never" }] } });
assert.equal(gone.Deleted.length, 2);

// --- keys that are not ours ----------------------------------------------------------------------------
const wrong = { ...common, credentials: { ...credentials, secretAccessKey: "wrong" } };
await fails(new s3lib.S3Client({ ...wrong, forcePathStyle: true }).send(new s3lib.ListBucketsCommand({})), "SignatureDoesNotMatch", 403);
await fails(new s3lib.S3Client({ ...common, credentials: { accessKeyId: "NOBODY", secretAccessKey: "x" }, forcePathStyle: true })
  .send(new s3lib.ListBucketsCommand({})), "InvalidAccessKeyId", 403);
await fails(new imaginglib.MedicalImagingClient({ ...wrong, disableHostPrefix: true })
  .send(new imaginglib.ListDatastoresCommand({})), "AccessDeniedException", 403);

// --- data stores -----------------------------------------------------------------------------------------
const { datastoreId, datastoreStatus } = await AHI("CreateDatastore", { datastoreName: "sdk-store" });
assert.match(datastoreId, /^[0-9a-z]{32}$/);
assert.ok(["CREATING", "ACTIVE"].includes(datastoreStatus));
const { datastoreProperties } = await AHI("GetDatastore", { datastoreId });
assert.equal(datastoreProperties.datastoreName, "sdk-store");
assert.ok(datastoreProperties.createdAt instanceof Date);
assert.ok((await AHI("ListDatastores", { datastoreStatus: "ACTIVE" })).datastoreSummaries
  .some((summary) => summary.datastoreId === datastoreId));
await fails(AHI("CreateDatastore", { datastoreName: "not a name!" }), "ValidationException", 400);
await fails(AHI("GetDatastore", { datastoreId: "0".repeat(32) }), "ResourceNotFoundException", 404);
await fails(AHI("GetDatastore", { datastoreId: "short" }), "ValidationException", 400);

// --- import ------------------------------------------------------------------------------------------------
const start = {
  datastoreId, jobName: "sdk-job", dataAccessRoleArn: ROLE, clientToken: "sdk-token-1",
  inputS3Uri: "s3://sdk-bucket/in/", outputS3Uri: "s3://sdk-bucket/out",
};
const job = await AHI("StartDICOMImportJob", start);
assert.ok(job.submittedAt instanceof Date);
assert.equal((await AHI("StartDICOMImportJob", start)).jobId, job.jobId, "same token and body, same job");
await fails(AHI("StartDICOMImportJob", { ...start, jobName: "other" }), "ConflictException", 409);
await fails(AHI("StartDICOMImportJob", { ...start, clientToken: "t2", dataAccessRoleArn: "arn:aws:iam::1:nonsense" }), "ValidationException", 400);
await fails(AHI("StartDICOMImportJob", { ...start, clientToken: "t3", inputS3Uri: "http://x/y" }), "ValidationException", 400);
await fails(AHI("StartDICOMImportJob", { ...start, clientToken: "t4", datastoreId: "f".repeat(32) }), "ResourceNotFoundException", 404);
await fails(AHI("StartDICOMImportJob", { ...start, clientToken: "t5", inputOwnerAccountId: "12" }), "ValidationException", 400);
const properties = await ended(datastoreId, job.jobId);
assert.equal(properties.jobStatus, "COMPLETED");
assert.ok((await AHI("ListDICOMImportJobs", { datastoreId, jobStatus: "COMPLETED" })).jobSummaries
  .some((summary) => summary.jobId === job.jobId && summary.jobName === "sdk-job"));
await fails(AHI("GetDICOMImportJob", { datastoreId, jobId: "0".repeat(32) }), "ResourceNotFoundException", 404);

const [, , bucket, ...rest] = properties.outputS3Uri.split("/");
assert.equal(bucket, "sdk-bucket");
assert.ok(properties.outputS3Uri.endsWith(`${datastoreId}-DicomImport-${job.jobId}/`), properties.outputS3Uri);
const manifestObject = await S3("GetObject", { Bucket: bucket, Key: rest.join("/") + "job-output-manifest.json" });
const { jobSummary } = JSON.parse(await manifestObject.Body.transformToString());
assert.equal(jobSummary.numberOfImportedFiles, names.length);
assert.equal(jobSummary.numberOfFilesWithCustomerError, 0);
assert.equal(jobSummary.numberOfGeneratedImageSets, jobSummary.imageSetsSummary.length);

// --- image sets ----------------------------------------------------------------------------------------------
const all = [];
for await (const page of imaginglib.paginateSearchImageSets({ client: imaging, pageSize: 1 }, { datastoreId, searchCriteria: {} })) {
  all.push(...page.imageSetsMetadataSummaries);
}
assert.equal(all.length, jobSummary.imageSetsSummary.length);
assert.ok(all.every((summary) => summary.isPrimary === true && summary.version === 1));
const studyUid = all[0].DICOMTags.DICOMStudyInstanceUID;
const found = await AHI("SearchImageSets", {
  datastoreId,
  searchCriteria: { filters: [{ operator: "EQUAL", values: [{ DICOMStudyInstanceUID: studyUid }] }],
    sort: { sortField: "createdAt", sortOrder: "DESC" } },
});
assert.equal(found.imageSetsMetadataSummaries.length, all.length);
const none = await AHI("SearchImageSets", {
  datastoreId,
  searchCriteria: { filters: [{ operator: "BETWEEN", values: [{ createdAt: new Date(0) }, { createdAt: new Date(1000) }] }] },
});
assert.equal(none.imageSetsMetadataSummaries.length, 0);
await fails(AHI("SearchImageSets", { datastoreId, searchCriteria: { filters: [{ operator: "NEAR", values: [{ DICOMPatientId: "x" }] }] } }),
  "ValidationException", 400);

const imageSetId = all[0].imageSetId;
const imageSet = await AHI("GetImageSet", { datastoreId, imageSetId });
assert.equal(imageSet.imageSetState, "ACTIVE");
assert.equal(imageSet.versionId, "1");
const versions = await AHI("ListImageSetVersions", { datastoreId, imageSetId });
assert.equal(versions.imageSetPropertiesList.length, 1);
const metadata = await AHI("GetImageSetMetadata", { datastoreId, imageSetId });
assert.equal(metadata.contentEncoding, "gzip");
const document = JSON.parse(zlib.gunzipSync(Buffer.from(await metadata.imageSetMetadataBlob.transformToByteArray())));
assert.equal(document.ImageSetID, imageSetId);
assert.equal(document.Study.DICOM.StudyInstanceUID, studyUid);
await fails(AHI("GetImageSet", { datastoreId, imageSetId: "0".repeat(32) }), "ResourceNotFoundException", 404);

// The same study imported again: the same image sets in a new version.
const again = await AHI("StartDICOMImportJob", { ...start, clientToken: "sdk-token-2" });
assert.notEqual(again.jobId, job.jobId);
assert.equal((await ended(datastoreId, again.jobId)).jobStatus, "COMPLETED");
assert.equal((await AHI("GetImageSet", { datastoreId, imageSetId })).versionId, "2");
assert.equal((await AHI("ListImageSetVersions", { datastoreId, imageSetId })).imageSetPropertiesList.length, 2);
assert.equal((await AHI("GetImageSet", { datastoreId, imageSetId, versionId: "1" })).versionId, "1");

await fails(AHI("DeleteDatastore", { datastoreId }), "ConflictException", 409);
const empty = await AHI("CreateDatastore", { datastoreName: "sdk-empty" });
await AHI("DeleteDatastore", { datastoreId: empty.datastoreId });
console.log(`stock SDK for JavaScript: ${names.length} files, ${all.length} image sets, all as the contract says`);
