// dcmjs-dimse, a DICOM network stack nobody here and nobody at DCMTK wrote, stores files and says as
// JSON lines what it was answered, field by field. Arguments: PORT SCENARIO FILE…; in the environment
// TLS_CA, TLS_KEY and TLS_CERTIFICATE (files) to go by TLS, REPORT_PORT to listen for reports.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const load = createRequire(path.join(process.env.CLIENTS, "package.json"));
const loaded = load("dcmjs-dimse");
const dimse = loaded.default ?? loaded;
const { Client, Dataset, Scp, Server, log } = dimse;
const { CEchoRequest, CStoreRequest, NActionRequest } = dimse.requests;
const { CEchoResponse, NEventReportResponse } = dimse.responses;
const { PresentationContextResult, Status } = dimse.constants;
log.setLevel?.("silent");

const COMMITMENT = "1.2.840.10008.1.20.1";
const WELL_KNOWN = "1.2.840.10008.1.20.1.1";  // Storage Commitment Push Model SOP Instance (PS3.4 J.3.5)

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
    const file = (name) => readFileSync(process.env[name]);
    const security = process.env.TLS_CA
      ? { securityOptions: { ca: file("TLS_CA"), key: file("TLS_KEY"), cert: file("TLS_CERTIFICATE"),
                             rejectUnauthorized: true } }
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

// Listens where the gateway was told to report to; says each report it gets and ends after the first.
class ReportScp extends Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
      say({ offered: context.getAbstractSyntaxUid(), roles: [context.getUserRole(), context.getProviderRole()] });
    }
    this.sendAssociationAccept();
  }
  cEchoRequest(request, callback) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }
  nEventReportRequest(request, callback) {
    const elements = request.getDataset().getElements();
    const uids = (sequence) => [sequence ?? []].flat().map((item) => item.ReferencedSOPInstanceUID);
    say({
      event: request.getEventTypeId(),
      transaction: elements.TransactionUID,
      committed: uids(elements.ReferencedSOPSequence),
      failed: uids(elements.FailedSOPSequence),
    });
    const response = NEventReportResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
    setTimeout(() => process.exit(0), 200);  // the response is to leave first
  }
}

if (scenario === "commitment") {
  const server = new Server(ReportScp);
  server.on("networkError", (error) => say({ error: String(error.message ?? error) }));
  server.listen(Number(process.env.REPORT_PORT));
  setTimeout(() => process.exit(1), 60000);
  const datasets = files.map((file) => Dataset.fromFile(file));
  await send(datasets.map((dataset) => listen(new CStoreRequest(dataset), {})));
  const request = new NActionRequest(COMMITMENT, WELL_KNOWN, 1);
  request.setDataset(new Dataset({
    TransactionUID: process.env.TRANSACTION,
    ReferencedSOPSequence: datasets.map((dataset) => ({
      ReferencedSOPClassUID: dataset.getElement("SOPClassUID"),
      ReferencedSOPInstanceUID: dataset.getElement("SOPInstanceUID"),
    })),
  }));
  await send([listen(request, { asked: true })]);
} else if (scenario === "store") {
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
