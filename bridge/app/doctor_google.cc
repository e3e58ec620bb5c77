// Cloud Storage and the Cloud Healthcare API.
#include <fmt/format.h>

#include <set>

#include "app/doctor_cloud.h"
#include "app/google_destination.h"
#include "imports/google.h"
#include "wire/healthcare.h"

namespace isthmus::app {
namespace {

constexpr Milliseconds kAnswerWait{30'000};
constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;
// Permissions by the names of "IAM permissions", Cloud Storage and Cloud Healthcare API.
constexpr Rights kRights{
    "storage.objects.list on the bucket",
    "storage.objects.create on the bucket",
    "storage.objects.get on the bucket",
    "storage.objects.delete on the bucket",
    "healthcare.operations.list and healthcare.operations.get on the dataset",
    "healthcare.dicomStores.import on the DICOM store",
    "the Healthcare Service Agent of the project may read the bucket (storage.objects.get and "
    "storage.objects.list)"};
constexpr const char* kSearch = "healthcare.dicomStores.dicomWebRead on the DICOM store";

bool examine_credentials(const Patient& patient, ConfiguredDestination& made) {
  const auto identity = google_identity(patient.env, patient.settings, patient.name,
                                        *made.transport, *made.local_transport);
  if (identity.ok()) {
    const bool told = !identity->name.empty();
    patient.note("identity", told ? Verdict::well : Verdict::warn,
                 identity->type + " " +
                     (told ? identity->name : "whose name nothing tells; use a service account"));
  } else {
    patient.note("identity", Verdict::bad, identity.error().message);
  }
  for (TokenSource* tokens : {made.storage_tokens.get(), made.tokens.get()}) {
    if (tokens == nullptr) continue;
    const auto token = tokens->token();
    if (token.ok()) continue;
    patient.note("credentials", Verdict::bad, token.error().message);
    return false;
  }
  patient.note("credentials", Verdict::well, "a token was given for them");
  return true;
}

// A search for one instance: what reconciliation rests on.
Result<void> search(ConfiguredDestination& made, const std::string& endpoint) {
  BearerTransport bearer(*made.transport, made.tokens ? *made.tokens : *made.storage_tokens);
  http::Request request;
  request.url =
      fmt::format("{}/v1/{}/dicomWeb/instances?limit=1",
                  endpoint.ends_with('/') ? endpoint.substr(0, endpoint.size() - 1) : endpoint,
                  made.datastore_id);
  request.headers.set("Accept", "application/dicom+json");
  request.timeout = kAnswerWait;
  TRY_ASSIGN(http::Response response, bearer.send(std::move(request)));
  if (response.status == 200 || response.status == 204) return {};
  std::string body;
  if (response.body) {
    if (auto text = read_all(*response.body, kMaxErrorBytes); text.ok()) body = std::move(*text);
  }
  const std::string status = wire::healthcare::read_error(body).status;
  std::string sentence = fmt::format("The Healthcare API answered {} {}.", response.status,
                                     status.empty() ? "without a name" : status);
  switch (response.status) {
    case 401:
    case 403:
      return permanent_error("import.denied", sentence);
    case 404:
      return permanent_error("import.not_found", sentence);
    default:
      return transient_error("import.unavailable", sentence);
  }
}

}  // namespace

void examine_google(const Patient& patient, bool import) {
  const GoogleEndpoints endpoints = google_endpoints(patient.settings, patient.name);
  const auto made =
      make_google_destination(patient.env, patient.settings, patient.name, nullptr, nullptr);
  if (!made.ok()) return patient.note("config", Verdict::bad, made.error().message);
  for (const std::string& url : std::set<std::string>{endpoints.storage, endpoints.healthcare}) {
    examine_server(patient.env, {url, patient.text("ca_file"), patient.text("proxy")},
                   patient.findings);
  }
  if (!examine_credentials(patient, **made)) return;
  examine_bucket(patient, **made, kRights);
  patient.note_result("store.search", search(**made, endpoints.healthcare), "answers a search",
                      kSearch);
  if (patient.text("import_path") == "stow") {
    if (import) patient.note("import.start", Verdict::skipped, "import_path stow has no jobs");
    return;
  }
  examine_jobs(patient, **made, kRights);
  if (!import) return;
  const auto tried = examine_import(patient, **made, kRights);
  if (!tried) return;
  const std::string notes = google_notes_prefix(patient.settings, patient.name);
  for (const ObjectKey& key : google_notes_of(notes, tried->intent, tried->job)) {
    ignore((*made)->store->remove(key), "bucket.delete says what removing gives");
  }
}

}  // namespace isthmus::app
