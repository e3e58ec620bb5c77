// Frames as the stock SDK gets them, decoded by a decoder nobody here wrote. Environment: ENDPOINT,
// KEY_ID, SECRET, CLIENTS (node_modules), DATASTORE, OUT (a file for what was found, as JSON).
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const lib = require("@aws-sdk/client-medical-imaging");
const OpenJPH = require("@cornerstonejs/codec-openjph");

const credentials = { accessKeyId: process.env.KEY_ID, secretAccessKey: process.env.SECRET };
const imaging = new lib.MedicalImagingClient({ endpoint: process.env.ENDPOINT, region: "us-east-1",
  maxAttempts: 1, credentials, disableHostPrefix: true });
const AHI = (name, input) => imaging.send(new lib[name + "Command"](input));
const datastoreId = process.env.DATASTORE;

const make = OpenJPH.default ?? OpenJPH;
const module = await make();
function decoded(bytes) {
  const decoder = new module.HTJ2KDecoder();
  decoder.getEncodedBuffer(bytes.length).set(bytes);
  decoder.decode();
  const info = decoder.getFrameInfo();
  const pixels = Uint8Array.from(decoder.getDecodedBuffer());
  decoder.delete();
  return { pixels, info };
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.transformToByteArray());
}

const found = {};
let nextToken;
do {
  const page = await AHI("SearchImageSets", { datastoreId, maxResults: 50, nextToken });
  nextToken = page.nextToken;
  for (const { imageSetId } of page.imageSetsMetadataSummaries) {
    const answer = await AHI("GetImageSetMetadata", { datastoreId, imageSetId });
    const document = JSON.parse(zlib.gunzipSync(await bytesOf(answer.imageSetMetadataBlob)));
    const [series] = Object.values(document.Study.Series);
    for (const [uid, instance] of Object.entries(series.Instances)) {
      const frames = [];
      for (const frame of instance.ImageFrames) {
        const one = { ...frame, syntax: instance.StoredTransferSyntaxUID };
        try {
          const got = await AHI("GetImageFrame", { datastoreId, imageSetId,
            imageFrameInformation: { imageFrameId: frame.ID } });
          one.contentType = got.contentType;
          let bytes = await bytesOf(got.imageFrameBlob);
          if (got.contentType === "image/jph") {
            const { pixels, info } = decoded(bytes);
            one.info = info;
            bytes = pixels;
          }
          one.crc = zlib.crc32 ? zlib.crc32(bytes) : crc32(bytes);
          one.length = bytes.length;
        } catch (error) {
          one.error = error.name;
          one.status = error.$metadata?.httpStatusCode;
          if (!one.status) throw error;
        }
        frames.push(one);
      }
      found[uid] = { frames, original: instance.DICOM.TransferSyntaxUID,
        checksumType: instance.ChecksumType };
    }
    if (Object.keys(found).length === 1) {
      const wrong = { imageFrameId: "0".repeat(32) };
      await assert.rejects(AHI("GetImageFrame", { datastoreId, imageSetId, imageFrameInformation: wrong }),
        (error) => error.name === "ResourceNotFoundException");
      await assert.rejects(AHI("GetImageFrame", { datastoreId, imageSetId,
        imageFrameInformation: { imageFrameId: "NOT HEX" } }),
        (error) => error.name === "ValidationException");
    }
  }
} while (nextToken);
fs.writeFileSync(process.env.OUT, JSON.stringify(found));

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}
