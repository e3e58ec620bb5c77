// The stock AWS SDK for JavaScript changes image sets of the listening data store: every operation that
// changes one, happy and failing, and tags. Environment: as for sdk_test.mjs.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const s3lib = require("@aws-sdk/client-s3");
const lib = require("@aws-sdk/client-medical-imaging");
const common = {
  endpoint: process.env.ENDPOINT, region: "us-east-1", maxAttempts: 1,
  credentials: { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET },
};
const s3 = new s3lib.S3Client({ ...common, forcePathStyle: true });
const imaging = new lib.MedicalImagingClient({ ...common, disableHostPrefix: true });
const AHI = (name, input) => imaging.send(new lib[name + "Command"](input));
async function fails(promise, name, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, name, `${error.name}: ${error.message}`);
    assert.equal(error.$metadata.httpStatusCode, status);
    return true;
  });
}
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

// --- two series of one study ---------------------------------------------------------------------------
await s3.send(new s3lib.CreateBucketCommand({ Bucket: "sets-bucket" }));
const files = fs.readdirSync(process.env.FILES, { recursive: true })
  .map((name) => path.join(process.env.FILES, name)).filter((name) => fs.statSync(name).isFile());
for (const name of files) {
  await s3.send(new s3lib.PutObjectCommand({ Bucket: "sets-bucket", Key: `in/${path.basename(name)}`, Body: fs.readFileSync(name) }));
}
const { datastoreId } = await AHI("CreateDatastore", { datastoreName: "sets", tags: { Made: "here" } });
const { jobId } = await AHI("StartDICOMImportJob", {
  datastoreId, dataAccessRoleArn: "arn:aws:iam::123456789012:role/in",
  inputS3Uri: "s3://sets-bucket/in/", outputS3Uri: "s3://sets-bucket/out/",
});
for (;;) {
  const { jobProperties } = await AHI("GetDICOMImportJob", { datastoreId, jobId });
  if (jobProperties.jobStatus === "COMPLETED") break;
  assert.notEqual(jobProperties.jobStatus, "FAILED");
  await pause();
}
const search = async () => (await AHI("SearchImageSets", { datastoreId, searchCriteria: {} })).imageSetsMetadataSummaries;
const sets = await search();
assert.equal(sets.length, 2);
const [imageSetId, otherId] = sets.map((set) => set.imageSetId);

async function settled(id) {
  for (;;) {
    const set = await AHI("GetImageSet", { datastoreId, imageSetId: id });
    if (set.imageSetState !== "LOCKED") return set;
    await pause();
  }
}
async function metadata(id, versionId) {
  const answer = await AHI("GetImageSetMetadata", { datastoreId, imageSetId: id, versionId });
  return JSON.parse(zlib.gunzipSync(Buffer.from(await answer.imageSetMetadataBlob.transformToByteArray())));
}
const text = (document) => new TextEncoder().encode(JSON.stringify({ SchemaVersion: 1.1, ...document }));
const update = (id, latestVersionId, DICOMUpdates, more = {}) => AHI("UpdateImageSetMetadata",
  { datastoreId, imageSetId: id, latestVersionId, updateImageSetMetadataUpdates: { DICOMUpdates }, ...more });
const only = (map) => Object.values(map)[0];

// --- UpdateImageSetMetadata ----------------------------------------------------------------------------
const accepted = await update(imageSetId, "1", { updatableAttributes: text({ Patient: { DICOM: { PatientName: "MX^MX" } } }) });
assert.equal(accepted.latestVersionId, "2");
assert.equal(accepted.imageSetState, "LOCKED");
assert.equal(accepted.imageSetWorkflowStatus, "UPDATING");
assert.equal((await settled(imageSetId)).imageSetWorkflowStatus, "UPDATED");
assert.equal((await metadata(imageSetId)).Patient.DICOM.PatientName, "MX^MX");
assert.notEqual((await metadata(imageSetId, "1")).Patient.DICOM.PatientName, "MX^MX");
await fails(update(imageSetId, "1", { updatableAttributes: text({ Patient: { DICOM: { PatientName: "A" } } }) }),
  "ResourceNotFoundException", 404);
await fails(update(imageSetId, "2", { updatableAttributes: text({ Study: { DICOM: { PatientName: "A" } } }) }),
  "ValidationException", 400);
await fails(update(imageSetId, "2", { updatableAttributes: text({ Study: { DICOM: { StudyID: "A" } } }) }),
  "ValidationException", 400);
await fails(update("f".repeat(32), "1", { updatableAttributes: text({ Patient: { DICOM: { PatientName: "A" } } }) }),
  "ResourceNotFoundException", 404);
await fails(AHI("UpdateImageSetMetadata", { datastoreId, imageSetId, latestVersionId: "2",
  updateImageSetMetadataUpdates: {} }), "ValidationException", 400);
// The value to remove is another: accepted, and failed with a reason.
await update(imageSetId, "2", { removableAttributes: text({ Patient: { DICOM: { PatientName: "NO^ONE" } } }) });
const failed = await settled(imageSetId);
assert.equal(failed.imageSetWorkflowStatus, "UPDATE_FAILED");
assert.match(failed.message, /^INVALID_REQUEST: /);
// A real keyword of the real dictionary at the instance level, and a private element by force.
const document = await metadata(imageSetId);
const [seriesUid] = Object.keys(document.Study.Series);
const [sopUid, otherSopUid] = Object.keys(document.Study.Series[seriesUid].Instances);
const ofInstance = (uid, content) => ({ Study: { Series: { [seriesUid]: { Instances: { [uid]: content } } } } });
await update(imageSetId, "3", { updatableAttributes: text(ofInstance(sopUid, { DICOM: { ImageComments: "seen" } })) });
await settled(imageSetId);
await update(imageSetId, "4", { updatableAttributes: text(ofInstance(sopUid, { DICOM: { "001910F9": "97" }, DICOMVRs: { "001910F9": "DS" } })) },
  { force: true });
assert.equal((await settled(imageSetId)).overrides.forced, true);
await update(imageSetId, "5", { removableAttributes: text(ofInstance(otherSopUid, {})) }, { force: true });
await settled(imageSetId);
const changed = (await metadata(imageSetId)).Study.Series[seriesUid].Instances;
assert.equal(changed[sopUid].DICOM.ImageComments, "seen");
assert.equal(changed[sopUid].DICOM["001910F9"], "97");
assert.equal(changed[otherSopUid], undefined);
// (This version of the SDK has no includeStudyImageSets: sdk_test.py asks botocore.)
await update(imageSetId, "6", { updatableAttributes: text({ Study: { DICOM: { StudyDescription: "CHEST" } } }) });
await settled(imageSetId);
assert.notEqual((await metadata(otherId)).Study.DICOM.StudyDescription, "CHEST");
// Back to the first.
await AHI("UpdateImageSetMetadata", { datastoreId, imageSetId, latestVersionId: "7", updateImageSetMetadataUpdates: { revertToVersionId: "1" } });
assert.equal((await settled(imageSetId)).versionId, "8");
assert.deepEqual((await metadata(imageSetId)).Patient, (await metadata(imageSetId, "1")).Patient);
assert.ok((await metadata(imageSetId)).Study.Series[seriesUid].Instances[otherSopUid]);
const versions = [];
for await (const page of lib.paginateListImageSetVersions({ client: imaging, pageSize: 3 }, { datastoreId, imageSetId })) {
  versions.push(...page.imageSetPropertiesList);
}
assert.deepEqual(versions.map((version) => version.versionId), ["8", "7", "6", "5", "4", "3", "2", "1"]);
assert.equal(versions[5].ImageSetWorkflowStatus, "UPDATE_FAILED");
assert.equal(versions[5].message, failed.message);

// --- CopyImageSet ---------------------------------------------------------------------------------------
const subset = JSON.stringify({ SchemaVersion: 1.1, Study: { Series: { [seriesUid]: { Instances: { [sopUid]: {} } } } } });
const copy = (copyImageSetInformation, more = {}) => AHI("CopyImageSet",
  { datastoreId, sourceImageSetId: imageSetId, copyImageSetInformation, ...more });
const part = await copy({ sourceImageSet: { latestVersionId: "8", DICOMCopies: { copiableAttributes: subset } } });
assert.equal(part.sourceImageSetProperties.imageSetWorkflowStatus, "COPYING_WITH_READ_ONLY_ACCESS");
assert.equal(part.destinationImageSetProperties.imageSetWorkflowStatus, "COPYING");
const partId = part.destinationImageSetProperties.imageSetId;
assert.equal((await settled(partId)).imageSetWorkflowStatus, "COPIED");
assert.deepEqual(Object.keys(only((await metadata(partId)).Study.Series).Instances), [sopUid]);
await settled(imageSetId);
await copy({ sourceImageSet: { latestVersionId: "8" }, destinationImageSet: { imageSetId: partId, latestVersionId: "1" } });
assert.equal((await settled(partId)).versionId, "2");
await settled(imageSetId);
await copy({ sourceImageSet: { latestVersionId: "8" }, destinationImageSet: { imageSetId: otherId, latestVersionId: "1" } });
const mismatch = await settled(otherId);
assert.equal(mismatch.imageSetWorkflowStatus, "COPY_FAILED");
assert.equal(mismatch.message, "INVALID_REQUEST: Series of SourceImageSet and DestinationImageSet don't match.");
await settled(imageSetId);
await fails(copy({ sourceImageSet: { latestVersionId: "1" } }), "ResourceNotFoundException", 404);
await fails(copy({ sourceImageSet: { latestVersionId: "8", DICOMCopies: { copiableAttributes: "nonsense" } } }), "ValidationException", 400);

// --- DeleteImageSet, and a new primary set ----------------------------------------------------------------
const deletion = await AHI("DeleteImageSet", { datastoreId, imageSetId });
assert.equal(deletion.imageSetWorkflowStatus, "DELETING");
const deleted = await settled(imageSetId);
assert.equal(deleted.imageSetState, "DELETED");
assert.ok(deleted.deletedAt instanceof Date);
await fails(AHI("DeleteImageSet", { datastoreId, imageSetId }), "ResourceNotFoundException", 404);
await fails(AHI("GetImageSetMetadata", { datastoreId, imageSetId }), "ResourceNotFoundException", 404);
const promoted = await AHI("CopyImageSet", { datastoreId, sourceImageSetId: partId, promoteToPrimary: true, force: true,
  copyImageSetInformation: { sourceImageSet: { latestVersionId: "2" } } });
assert.equal((await settled(promoted.destinationImageSetProperties.imageSetId)).isPrimary, true);

// --- tags ---------------------------------------------------------------------------------------------------
const { datastoreProperties } = await AHI("GetDatastore", { datastoreId });
const resourceArn = datastoreProperties.datastoreArn;
const { imageSetArn } = await AHI("GetImageSet", { datastoreId, imageSetId: otherId });
assert.deepEqual((await AHI("ListTagsForResource", { resourceArn })).tags, { Made: "here" });
await AHI("TagResource", { resourceArn: imageSetArn, tags: { Kind: "teaching", "a/b:c": "" } });
assert.deepEqual((await AHI("ListTagsForResource", { resourceArn: imageSetArn })).tags, { Kind: "teaching", "a/b:c": "" });
await AHI("UntagResource", { resourceArn: imageSetArn, tagKeys: ["Kind", "never"] });
assert.deepEqual((await AHI("ListTagsForResource", { resourceArn: imageSetArn })).tags, { "a/b:c": "" });
await fails(AHI("TagResource", { resourceArn: imageSetArn, tags: { "aws:mine": "x" } }), "ValidationException", 400);
await fails(AHI("ListTagsForResource", { resourceArn: resourceArn.slice(0, -32) + "0".repeat(32) }), "ResourceNotFoundException", 404);

// --- an empty data store can go --------------------------------------------------------------------------------
await fails(AHI("DeleteDatastore", { datastoreId }), "ConflictException", 409);
for (const set of await search()) {
  await AHI("DeleteImageSet", { datastoreId, imageSetId: set.imageSetId });
  await settled(set.imageSetId);
}
await AHI("DeleteDatastore", { datastoreId });
console.log("stock SDK for JavaScript: image sets updated, copied, deleted and tagged as the contract says");
