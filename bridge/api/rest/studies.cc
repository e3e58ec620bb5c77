// Studies and instances: what is known of them, their story, and their receipt.
#include <array>
#include <utility>

#include "api/rest/json.h"

namespace isthmus::api::rest {
namespace {

constexpr std::size_t kStoryMost = 100'000;
constexpr std::size_t kReceiptMost = 100'000;

struct Asked {
  InstanceFilter filter;
  PageAsked page;
  std::string of_patients;  // names of the parameters that were given and are a patient's
  std::optional<Error> error;
};

Error bad_query(const std::string& why) {
  return permanent_error("api.bad_query", why);
}

void read_uid(const Query& query, const char* name, std::string& into, Asked& asked) {
  const auto text = query.text(name);
  if (!text) return;
  if (!Uid::parse(*text)) asked.error = bad_query(std::string(name) + " is no UID.");
  into = *text;
}

void read_time(const Query& query, const char* name, std::optional<WallTime>& into, Asked& asked) {
  const auto text = query.text(name);
  if (!text) return;
  into = from_rfc3339(*text);
  if (!into) {
    asked.error = bad_query(std::string(name) + " is a date such as 2026-01-31T09:30:00Z.");
  }
}

// Parameters whose value is a patient's: they take read-phi, though only hashes are compared.
constexpr std::array kOfPatients{"patient_id", "accession_number"};

std::optional<std::string> asked_of_patients(const Query& query) {
  std::string names;
  for (const char* const name : kOfPatients) {
    if (query.text(name)) names += (names.empty() ? "" : ",") + std::string(name);
  }
  return names.empty() ? std::nullopt : std::optional(names);
}

void read_accession_hash(const Query& query, Asked& asked) {
  const auto text = query.text("accession_hash");
  if (!text) return;
  const auto digest = Digest::from_hex(*text);
  if (!digest) asked.error = bad_query("accession_hash is 64 hexadecimal digits, as in answers.");
  asked.filter.accession_hash = digest.value_or(Digest()).hex();
}

// The filters of studies and instances.
Asked asked_of(const Call& call) {
  const Query query(call.head);
  Asked asked;
  InstanceFilter& filter = asked.filter;
  read_uid(query, "study", filter.study_instance_uid, asked);
  read_uid(query, "series", filter.series_instance_uid, asked);
  read_uid(query, "sop", filter.sop_instance_uid, asked);
  filter.sender = query.text("sender").value_or("");
  filter.receiver = query.text("receiver").value_or("");
  filter.destination = query.text("destination").value_or("");
  if (const auto state = query.text("state")) {
    filter.state = delivery_state_from(*state);
    if (!filter.state) asked.error = bad_query("state is one of a delivery.");
  }
  read_time(query, "since", filter.since, asked);
  read_time(query, "until", filter.until, asked);
  filter.patient_id = query.text("patient_id");
  filter.accession_number = query.text("accession_number");
  read_accession_hash(query, asked);
  asked.page = page_asked(query);
  if (auto bad = query.problem({"study", "series", "sop", "sender", "receiver", "destination",
                                "state", "since", "until", "patient_id", "accession_number",
                                "accession_hash", "cursor", "limit"})) {
    asked.error = std::move(bad);
  }
  asked.of_patients = asked_of_patients(query).value_or("");
  if (!asked.error && !asked.of_patients.empty() && !call.caller.scopes.has(Scope::read_phi)) {
    asked.error =
        permanent_error("api.forbidden", asked.of_patients + " needs the scope read-phi.");
  }
  return asked;
}

// Whoever looks for a patient is in the audit log, before the answer; the value is not.
Result<void> note_lookup(const RestParts& parts, const Call& call, const std::string& names) {
  AuditEntry entry;
  entry.at = parts.env.clock.wall_now();
  entry.call_id = make_id_text(parts.env);
  entry.caller = call.caller.name;
  entry.authentication = to_string(call.caller.how);
  entry.address = call.caller.address;
  entry.action = "GET " + std::string(call.head.path()) + "?" + names;
  return parts.ledger.access_rows().append(entry);
}

Asked checked(const RestParts& parts, const Call& call) {
  Asked asked = asked_of(call);
  if (asked.error || asked.of_patients.empty()) return asked;
  auto noted = note_lookup(parts, call, asked.of_patients);
  if (!noted.ok()) asked.error = noted.error();
  return asked;
}

http::Response studies(const RestParts& parts, const Call& call) {
  const Asked asked = checked(parts, call);
  if (asked.error) return problem(*asked.error);
  return page_answer(parts.overview.studies(asked.filter, asked.page.before, asked.page.limit),
                     study_json);
}

http::Response instances(const RestParts& parts, const Call& call) {
  const Asked asked = checked(parts, call);
  if (asked.error) return problem(*asked.error);
  return page_answer(parts.overview.instances(asked.filter, asked.page.before, asked.page.limit),
                     instance_json);
}

Result<Uid> uid_of(const std::string& text) {
  if (auto uid = Uid::parse(text)) return *std::move(uid);
  return permanent_error("api.bad_uid", "The path holds no UID where one must be.");
}

Result<http::Response> study(const RestParts& parts, const std::string& text) {
  TRY_ASSIGN(const Uid uid, uid_of(text));
  TRY_ASSIGN(const StudyView view, parts.overview.study(uid));
  TRY_ASSIGN(const auto series, parts.overview.series(uid));
  json body = study_json(view);
  body["series_list"] = json::array();
  for (const SeriesView& one : series) body["series_list"].push_back(series_json(one));
  return json_answer(200, body);
}

Result<http::Response> timeline(const RestParts& parts, const std::string& text) {
  TRY_ASSIGN(const Uid uid, uid_of(text));
  TRY_ASSIGN(const auto story, parts.ledger.history(uid.text(), kStoryMost));
  if (story.empty()) {
    return permanent_error("ledger.not_found", "Nothing is known by this UID.");
  }
  json body{{"items", json::array()}};
  for (const HistoryEntry& entry : story) body["items"].push_back(history_json(entry));
  return json_answer(200, body);
}

json receipt_json(const RestParts& parts, const ReceiptLine& line) {
  json body{{"sop_instance_uid", line.sop_instance_uid.text()},
            {"series_instance_uid", line.series_instance_uid.text()},
            {"instance", line.instance.text()},
            {"size_bytes", line.size_bytes},
            {"dataset_digest", line.dataset_digest.hex()},
            {"received_at", to_rfc3339(line.received_at)},
            {"destination", line.destination},
            {"state", to_string(line.state)}};
  if (!line.file_digest.empty()) body["file_digest"] = line.file_digest.hex();
  const std::string key = object_key(parts, line.destination, line.batch, line.instance);
  if (!key.empty()) body["object_key"] = key;
  if (line.staged_at) body["staged_at"] = to_rfc3339(*line.staged_at);
  if (line.concluded_at) body["concluded_at"] = to_rfc3339(*line.concluded_at);
  if (!line.remote_job_id.empty()) body["import_job"] = line.remote_job_id;
  if (!line.image_set_id.empty()) body["image_set"] = line.image_set_id;
  if (line.image_set_version) body["image_set_version"] = *line.image_set_version;
  if (line.primary) body["primary"] = *line.primary;
  if (!line.reason_code.empty()) body["reason_code"] = line.reason_code;
  return body;
}

constexpr std::array kColumns{
    "sop_instance_uid", "series_instance_uid", "instance",    "size_bytes", "dataset_digest",
    "file_digest",      "received_at",         "destination", "state",      "object_key",
    "staged_at",        "concluded_at",        "import_job",  "image_set",  "image_set_version",
    "primary",          "reason_code"};

// RFC 4180. Cells hold UIDs, ids, digests, dates, words and keys of ours; names of destinations and
// the service's ids are quoted when they need it.
std::string cell(const json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  // What a spreadsheet would take for a formula is text.
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos) {
    text.insert(text.begin(), '\'');
  }
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_of(const RestParts& parts, const std::vector<ReceiptLine>& lines) {
  std::string text;
  for (const char* column : kColumns) text += std::string(text.empty() ? "" : ",") + column;
  text += "\r\n";
  for (const ReceiptLine& line : lines) {
    const json body = receipt_json(parts, line);
    bool first = true;
    for (const char* column : kColumns) {
      if (!std::exchange(first, false)) text += ",";
      if (body.contains(column)) text += cell(body[column]);
    }
    text += "\r\n";
  }
  return text;
}

bool wants_csv(const http::Head& head, const Query& query) {
  if (const auto format = query.text("format")) return *format == "csv";
  return head.headers.get("Accept").starts_with("text/csv");
}

Result<http::Response> receipt(const RestParts& parts, const std::string& text, bool csv) {
  TRY_ASSIGN(const Uid uid, uid_of(text));
  TRY_ASSIGN(const auto lines, parts.overview.receipt(uid, kReceiptMost + 1));
  if (lines.empty()) return permanent_error("ledger.not_found", "There is no such study.");
  if (lines.size() > kReceiptMost) {
    return permanent_error("api.too_large", "The study has too many instances for one receipt.");
  }
  if (csv) {
    auto answer = http::text_response(200, "text/csv; charset=utf-8", csv_of(parts, lines));
    answer.headers.set("Content-Disposition", "attachment; filename=\"receipt.csv\"");
    return answer;
  }
  json body{{"study_instance_uid", uid.text()},
            {"made_at", to_rfc3339(parts.env.clock.wall_now())},
            {"lines", json::array()}};
  for (const ReceiptLine& line : lines) body["lines"].push_back(receipt_json(parts, line));
  return json_answer(200, body);
}

Result<http::Response> instance(const RestParts& parts, const std::string& id_or_uid) {
  InstanceFilter filter;
  if (InstanceId::parse(id_or_uid)) {
    filter.id = id_or_uid;
  } else {
    TRY_ASSIGN(const Uid uid, uid_of(id_or_uid));
    filter.sop_instance_uid = uid.text();
  }
  TRY_ASSIGN(const auto page, parts.overview.instances(filter, {}, 1));
  if (page.items.empty()) return permanent_error("ledger.not_found", "There is no such instance.");
  return json_answer(200, instance_json(page.items.front()));
}

std::unique_ptr<http::Exchange> answer(Result<http::Response> response) {
  if (response.ok()) return http::answer_with(std::move(response).value());
  return http::answer_with(problem(response.error()));
}

}  // namespace

void add_study_routes(GuardedRouter& router, const RestParts& parts) {
  router.add("GET", "/v1/studies", Scope::read,
             [parts](const Call& call) { return http::answer_with(studies(parts, call)); });
  router.add("GET", "/v1/studies/{study}", Scope::read,
             [parts](const Call& call) { return answer(study(parts, call.path.at("study"))); });
  router.add("GET", "/v1/studies/{study}/timeline", Scope::read,
             [parts](const Call& call) { return answer(timeline(parts, call.path.at("study"))); });
  router.add("GET", "/v1/studies/{study}/receipt", Scope::read, [parts](const Call& call) {
    const Query query(call.head);
    if (const auto bad = query.problem({"format"})) return http::answer_with(problem(*bad));
    return answer(receipt(parts, call.path.at("study"), wants_csv(call.head, query)));
  });
  router.add("GET", "/v1/instances", Scope::read,
             [parts](const Call& call) { return http::answer_with(instances(parts, call)); });
  router.add("GET", "/v1/instances/{id}", Scope::read,
             [parts](const Call& call) { return answer(instance(parts, call.path.at("id"))); });
}

}  // namespace isthmus::api::rest
