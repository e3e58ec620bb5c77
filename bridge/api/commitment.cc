#include "api/commitment.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/problem.h"
#include "dicom/failure_reason.h"
#include "ledger/ledger.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

constexpr std::string_view kRequester = "dicomweb caller: ";
constexpr std::uint64_t kBodyBytes = 16 * MiB;
constexpr std::size_t kSameTransaction = 100;  // requests of one Transaction UID that are looked at
constexpr std::string_view kReferencedSopSequence = "00081199";
constexpr std::string_view kFailedSopSequence = "00081198";

struct Parts {
  Env& env;
  Commitments& commitments;
  WebCommitmentOptions options;
};

Error bad_request(const char* why) {
  return permanent_error("api.bad_request", why);
}

std::optional<Uid> uid_of(const json& item, const char* tag) {
  const auto element = item.find(tag);
  if (element == item.end() || !element->is_object() || !element->contains("Value")) {
    return std::nullopt;
  }
  const json& values = (*element)["Value"];
  if (!values.is_array() || values.size() != 1 || !values[0].is_string()) return std::nullopt;
  return Uid::parse(values[0].get_ref<const std::string&>());
}

// The list of a request's data set, in the DICOM JSON model (PS3.18 Annex F).
Result<SopReferences> references_of(const std::string& text, std::size_t most) {
  json body = json::parse(text, nullptr, false);
  if (body.is_array() && body.size() == 1) body = json(body[0]);
  const std::string tag(kReferencedSopSequence);
  if (!body.is_object() || !body.contains(tag) || !body[tag].is_object() ||
      !body[tag].contains("Value") || !body[tag]["Value"].is_array()) {
    return bad_request("The body is DICOM JSON with a Referenced SOP Sequence (0008,1199).");
  }
  const json& items = body[tag]["Value"];
  if (items.size() > most) {
    return permanent_error("api.too_large", "The request names more instances than allowed.");
  }
  SopReferences references;
  for (const json& item : items) {
    const auto sop_class = item.is_object() ? uid_of(item, "00081150") : std::nullopt;
    const auto instance = item.is_object() ? uid_of(item, "00081155") : std::nullopt;
    if (!sop_class || !instance) {
      return bad_request("Each item has a Referenced SOP Class and a SOP Instance UID.");
    }
    if (!references.add(*sop_class, *instance)) {
      return bad_request("The request names more SOP classes than there are.");
    }
  }
  if (references.empty()) return bad_request("The request names no instance.");
  references.sort_and_unite();
  return references;
}

json uid_element(const std::string& uid) {
  return {{"vr", "UI"}, {"Value", json::array({uid})}};
}

json result_item(const CommitmentResult& result) {
  json item{{"00081150", uid_element(result.sop_class_uid)},
            {"00081155", uid_element(result.sop_instance_uid)}};
  if (result.reason != FailureReason::none) {
    item["00081197"] = {{"vr", "US"}, {"Value", json::array({dicom::failure_reason_of(result)})}};
  }
  return item;
}

Result<http::Response> result_answer(const Parts& parts, const Commitment& commitment) {
  json committed = json::array(), failed = json::array();
  TRY(parts.commitments.each_result(commitment.id, [&](const CommitmentResult& result) {
    (result.reason == FailureReason::none ? committed : failed).push_back(result_item(result));
  }));
  if (committed.empty() && failed.empty()) {
    const Error gone = permanent_error(
        "api.gone", "The result was told, and its list forgotten since: ask again.");
    return problem(410, gone);
  }
  json body{{"00081195", uid_element(commitment.transaction_uid.text())}};
  const auto put = [&](std::string_view tag, json items) {
    if (!items.empty()) body[std::string(tag)] = {{"vr", "SQ"}, {"Value", std::move(items)}};
  };
  put(kReferencedSopSequence, std::move(committed));
  put(kFailedSopSequence, std::move(failed));
  return http::text_response(200, "application/dicom+json", body.dump());
}

// 202 while it is pending.
Result<http::Response> state_answer(const Parts& parts, const Commitment& commitment) {
  if (commitment.state != CommitmentState::pending) return result_answer(parts, commitment);
  http::Response response = http::text_response(202, "application/dicom+json", "{}");
  response.headers.set("Retry-After", "5");
  response.headers.set("Content-Location",
                       "/dicom-web/commitment-requests/" + commitment.transaction_uid.text());
  return response;
}

Result<http::Response> ask(const Parts& parts, const Caller& caller, const Uid& transaction,
                           const std::string& body) {
  CommitmentRequest request;
  TRY_ASSIGN(request.references, references_of(body, parts.options.max_references));
  const WallTime now = parts.env.clock.wall_now();
  request.transaction_uid = transaction;
  request.calling_ae_title = web_requester(caller);
  request.peer_address = caller.address;
  request.unknown_until = now + parts.options.unknown_after;
  request.answer_until = now + parts.options.answer_by;
  TRY_ASSIGN(const RecordedCommitment recorded,
             parts.commitments.request(request, parts.options.max_active));
  if (recorded.receipt == CommitmentReceipt::duplicate) {
    return permanent_error("api.duplicate_transaction",
                           "Another list is active under this Transaction UID.");
  }
  TRY_ASSIGN(const auto commitment, parts.commitments.commitment(recorded.id));
  if (!commitment) return permanent_error("ledger.not_found", "There is no such transaction.");
  return state_answer(parts, *commitment);
}

Result<http::Response> look_up(const Parts& parts, const Caller& caller, const Uid& transaction) {
  TRY_ASSIGN(const auto requests, parts.commitments.list(transaction.text(), kSameTransaction));
  const std::string requester = web_requester(caller);
  const auto own = std::ranges::find_if(requests, [&](const Commitment& one) {
    return one.calling_ae_title == requester && !one.duplicate;
  });
  if (own == requests.end()) {
    return permanent_error("ledger.not_found", "There is no such transaction of this caller.");
  }
  return state_answer(parts, *own);
}

http::Response told(Result<http::Response> response) {
  return response.ok() ? std::move(response).value() : problem(response.error());
}

bool is_dicom_json(const http::Head& head) {
  const std::string_view type = head.headers.get("Content-Type");
  const std::string_view bare = type.substr(0, type.find(';'));
  return bare == "application/dicom+json" || bare == "application/json";
}

}  // namespace

// A token's holder and a subject of the identity provider may have one name.
std::string web_requester(const Caller& caller) {
  return std::string(kRequester) + std::string(to_string(caller.how)) + " " + caller.name;
}

bool is_web_requester(std::string_view calling_ae_title) {
  return calling_ae_title.starts_with(kRequester);
}

void add_commitment_routes(GuardedRouter& router, Env& env, Commitments& commitments,
                           WebCommitmentOptions options) {
  const Parts parts{env, commitments, options};
  const char* const path = "/dicom-web/commitment-requests/{transaction}";
  const auto refuse = [](Error error) { return http::answer_with(problem(error)); };
  router.add("POST", path, Scope::store, [parts, refuse](const Call& call) {
    const auto transaction = Uid::parse(call.path.at("transaction"));
    if (!transaction) return refuse(permanent_error("api.bad_uid", "This is no Transaction UID."));
    if (!is_dicom_json(call.head)) {
      return refuse(permanent_error("api.media_type", "Requests come as application/dicom+json."));
    }
    return http::gather(kBodyBytes,
                        [parts, caller = call.caller, uid = *transaction](const std::string& body) {
                          return told(ask(parts, caller, uid, body));
                        });
  });
  router.add("GET", path, Scope::store, [parts, refuse](const Call& call) {
    const auto transaction = Uid::parse(call.path.at("transaction"));
    if (!transaction) return refuse(permanent_error("api.bad_uid", "This is no Transaction UID."));
    return http::answer_with(told(look_up(parts, call.caller, *transaction)));
  });
}

}  // namespace isthmus::api
