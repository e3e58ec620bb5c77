// Google's own API client for Node against the data store's Healthcare face: datasets, DICOM stores,
// imports from its Cloud Storage face, operations, metrics. Environment: ENDPOINT, FILES, CLIENTS,
// GCE_METADATA_HOST.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const { google } = require("googleapis");

const auth = new google.auth.GoogleAuth({ scopes: ["https://www.googleapis.com/auth/cloud-platform"] });
const options = { auth, rootUrl: process.env.ENDPOINT + "/" };
const { projects: { locations: { datasets } } } = google.healthcare({ version: "v1", ...options });
const storage = google.storage({ version: "v1", ...options });
async function fails(promise, code, status) {
  await assert.rejects(promise, (error) => {
    assert.equal(Number(error.code ?? error.status), code, error.message);
    if (status) assert.equal(error.response.data.error.status, status);
    return true;
  });
}
async function ended(name) {
  for (;;) {
    const { data } = await datasets.operations.get({ name });
    if (data.done) return data;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const parent = "projects/p1/locations/us-central1", dataset = `${parent}/datasets/ds1`, store = `${dataset}/dicomStores/st1`;
assert.equal(await auth.getProjectId(), "isthmus");
assert.equal((await datasets.create({ parent, datasetId: "ds1", requestBody: {} })).data.response.name, dataset);
await fails(datasets.create({ parent, datasetId: "ds1", requestBody: {} }), 409, "ALREADY_EXISTS");
assert.equal((await datasets.dicomStores.create({ parent: dataset, dicomStoreId: "st1", requestBody: { labels: { a: "b" } } })).data.name, store);
assert.deepEqual((await datasets.dicomStores.get({ name: store })).data.labels, { a: "b" });
assert.equal((await datasets.dicomStores.list({ parent: dataset })).data.dicomStores.length, 1);
assert.equal((await datasets.list({ parent })).data.datasets[0].name, dataset);

// --- files into a bucket, from there into the store ------------------------------------------------------
await storage.buckets.insert({ project: "p1", requestBody: { name: "import-bucket" } });
// Of media the client asks each call where they go.
const names = fs.readdirSync(process.env.FILES, { recursive: true })
  .map((name) => path.join(process.env.FILES, name)).filter((name) => fs.statSync(name).isFile());
for (const name of names) {
  const { data } = await storage.objects.insert({ bucket: "import-bucket", name: `in/${path.basename(name)}.dcm`, ifGenerationMatch: "0",
    media: { mimeType: "application/dicom", body: fs.readFileSync(name) } }, { rootUrl: options.rootUrl });
  assert.equal(data.size, String(fs.statSync(name).size));
}
await storage.objects.insert({ bucket: "import-bucket", name: "in/empty.dcm", media: { mimeType: "application/dicom", body: "no DICOM" } },
  { rootUrl: options.rootUrl });
const started = (await datasets.dicomStores.import({ name: store, requestBody: { gcsSource: { uri: "gs://import-bucket/in/**.dcm" } } })).data;
assert.deepEqual(Object.keys(started), ["name"]);
const done = await ended(started.name);
assert.deepEqual(done.metadata.counter, { success: String(names.length), failure: "1" });
assert.equal(done.error, undefined);
assert.match(done.response["@type"], /ImportDicomDataResponse$/);
const again = await ended((await datasets.dicomStores.import({ name: store, requestBody: { gcsSource: { uri: "gs://import-bucket/in/*.dcm" } } })).data.name);
assert.equal(again.metadata.counter.success, String(names.length));
const { data: metrics } = await datasets.dicomStores.getDICOMStoreMetrics({ name: store });
assert.equal(metrics.instanceCount, String(names.length));
assert.equal(metrics.studyCount, "1");
assert.equal((await datasets.operations.list({ name: dataset, filter: "done=true" })).data.operations.length, 3);
await datasets.operations.cancel({ name: started.name, requestBody: {} });

await fails(datasets.dicomStores.import({ name: store, requestBody: { gcsSource: { uri: "gs://import-bucket/**/x" } } }), 400, "INVALID_ARGUMENT");
const none = await ended((await datasets.dicomStores.import({ name: store, requestBody: { gcsSource: { uri: "gs://import-bucket/none" } } })).data.name);
assert.equal(none.error.code, 5);
await fails(datasets.dicomStores.get({ name: `${dataset}/dicomStores/none` }), 404, "NOT_FOUND");
const { data: { entries } } = await google.logging({ version: "v2", ...options }).entries.list({ requestBody: {
  resourceNames: ["projects/p1"], filter: `operation.id="${started.name.split("/").at(-1)}"` } });
assert.equal(entries[0].jsonPayload.source, "gs://import-bucket/in/empty.dcm");

// --- DICOMweb on the store -----------------------------------------------------------------------------------
const web = { parent: store, dicomWebPath: "studies" };
const { data: [found] } = await datasets.dicomStores.searchForStudies(web, { responseType: "json" });
const study = found["0020000D"].Value[0];
assert.match(found["00081190"].Value[0], new RegExp(`/v1/${store}/dicomWeb/studies/${study}$`));
const { data: counted } = await datasets.dicomStores.dicomWeb.studies.getStudyMetrics({ study: `${store}/dicomWeb/studies/${study}` });
assert.equal(counted.instanceCount, String(names.length));
const send = (bytes) => datasets.dicomStores.storeInstances({ ...web, requestBody: bytes },
  { headers: { "Content-Type": "application/dicom" }, responseType: "text" });
const kept = fs.readFileSync(names[0]);
assert.match((await send(kept)).data, /ReferencedSOPSequence/);  // the same bytes again
const other = Buffer.from(kept);
other[other.length - 1] ^= 1;  // a pixel
await assert.rejects(send(other), (error) => {
  assert.equal(error.response.status, 409);
  assert.match(String(error.response.data), /keyword="FailureDetail" privateCreator="GOOGLE"><Value number="1">already exists/);
  return true;
});

await datasets.dicomStores.delete({ name: store });
await datasets.delete({ name: dataset });
await fails(datasets.get({ name: dataset }), 404, "NOT_FOUND");
console.log(`Healthcare client for Node: ${names.length} instances imported, one file refused`);
