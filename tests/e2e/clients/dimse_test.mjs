// dcmjs-dimse, a DICOM network stack nobody here and nobody at DCMTK wrote, stores files and says as
// JSON lines what it was answered, field by field. Arguments: PORT SCENARIO FILE…
import { createRequire } from "node:module";
import path from "node:path";

const load = createRequire(path.join(process.env.CLIENTS, "package.json"));
const dimse = load("dcmjs-dimse");
const { Client, Dataset, log } = dimse.default ?? dimse;
const { CEchoRequest, CStoreRequest } = (dimse.default ?? dimse).requests;
log.setLevel?.("silent");

const [port, scenario, ...files] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

// One association for all requests; resolves when it is over, whatever way.
function send(requests, calledAeTitle = "ISTHMUS") {
  return new Promise((resolve) => {
    const client = new Client();
    for (const request of requests) client.addRequest(request);
    client.on("associationRejected", (reject) => {
      say({ rejected: [reject.result, reject.source, reject.reason] });
    });
    client.on("associationReleased", () => say({ released: true }));
    client.on("networkError", (error) => say({ error: String(error.message ?? error) }));
    client.on("closed", resolve);
    const security = process.env.TLS_CA
      ? { securityOptions: { ca: process.env.TLS_CA, rejectUnauthorized: true } }
      : {};
    client.send("127.0.0.1", Number(port), "DCMJS", calledAeTitle, {
      connectTimeout: 5000, associationTimeout: 20000, pduTimeout: 20000, ...security,
    });
  });
}

function listen(request, about) {
  request.on("response", (response) => {
    const fields = response.getCommandDataset().getElements();
    say({ ...about, status: response.getStatus(), fields });
  });
  return request;
}

if (scenario === "store") {
  const requests = [listen(new CEchoRequest(), { echo: true })];
  for (const file of files) {
    const dataset = Dataset.fromFile(file);
    requests.push(listen(new CStoreRequest(dataset), {
      file,
      sopClassUid: dataset.getElement("SOPClassUID"),
      sopInstanceUid: dataset.getElement("SOPInstanceUID"),
      transferSyntaxUid: dataset.getTransferSyntaxUid(),
    }));
  }
  await send(requests);
} else if (scenario === "mismatch") {
  const request = new CStoreRequest(Dataset.fromFile(files[0]));
  request.setAffectedSopInstanceUid("1.2.3.4");
  await send([listen(request, {})]);
} else if (scenario === "wrong-title") {
  await send([new CEchoRequest()], "NOBODY");
}
