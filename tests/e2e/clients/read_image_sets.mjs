// Reads image sets, and changes one, as the stock AWS SDK for JavaScript does: one JSON order per line
// in, one answer per line out. Environment: as for sdk_test.mjs.
import path from "node:path";
import readline from "node:readline";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const lib = require("@aws-sdk/client-medical-imaging");
const imaging = new lib.MedicalImagingClient({
  endpoint: process.env.ENDPOINT, region: "us-east-1", maxAttempts: 1, disableHostPrefix: true,
  credentials: { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET },
});
const AHI = (name, input) => imaging.send(new lib[name + "Command"](input));
const { datastoreSummaries } = await AHI("ListDatastores", {});
const [{ datastoreId }] = datastoreSummaries;
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

async function settled(imageSetId) {
  for (;;) {
    const state = await AHI("GetImageSet", { datastoreId, imageSetId });
    if (state.imageSetState !== "LOCKED") return state;
    await pause();
  }
}

const orders = {
  async read({ imageSetId, versionId }) {
    const answer = await AHI("GetImageSetMetadata", { datastoreId, imageSetId, versionId });
    const bytes = Buffer.from(await answer.imageSetMetadataBlob.transformToByteArray());
    return JSON.parse(zlib.gunzipSync(bytes));
  },
  async state({ imageSetId }) {
    const { versionId, imageSetWorkflowStatus } = await settled(imageSetId);
    return { versionId, imageSetWorkflowStatus };
  },
  // Somebody else's change, beside the gateway.
  async change({ imageSetId, document }) {
    const { versionId } = await settled(imageSetId);
    await AHI("UpdateImageSetMetadata", {
      datastoreId, imageSetId, latestVersionId: versionId,
      updateImageSetMetadataUpdates: {
        DICOMUpdates: { updatableAttributes: Buffer.from(JSON.stringify(document)) } },
    });
    return { versionId: (await settled(imageSetId)).versionId };
  },
};
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { order, ...input } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ answer: await orders[order](input) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name }));
  }
}
