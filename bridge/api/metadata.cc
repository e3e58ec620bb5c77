#include "api/metadata.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/metadata_json.h"
#include "api/metadata_request.h"
#include "api/problem.h"
#include "base/failpoint.h"
#include "wire/healthimaging_updates.h"

namespace isthmus::api {
namespace {

using http::Response;
using nlohmann::json;

constexpr std::uint64_t kBodyBytes = 256 * KiB;
constexpr std::size_t kMostListed = 1000;
constexpr std::size_t kListed = 100;
constexpr std::size_t kMostStudies = 10'000;  // of one patient

Error bad(std::string message) {
  return permanent_error("api.bad_request", std::move(message));
}

// The query of a call, each parameter at most once.
class Query {
 public:
  explicit Query(std::string_view text) : pairs_(http::parse_query(text)) {}
  std::string text(std::string_view name) const {
    for (const auto& [key, value] : pairs_) {
      if (key == name) return value;
    }
    return "";
  }
  Result<bool> flag(std::string_view name) const {
    const std::string value = text(name);
    if (value == "true") return true;
    if (value.empty() || value == "false") return false;
    return bad(std::string(name) + " must be true or false.");
  }
  Result<std::int64_t> number(std::string_view name, std::int64_t otherwise) const {
    const std::string value = text(name);
    if (value.empty()) return otherwise;
    std::int64_t number = 0;
    const char* const end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, number);
    if (read.ec == std::errc{} && read.ptr == end && number > 0) return number;
    return bad(std::string(name) + " must be a number above 0.");
  }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

Result<Uid> uid_of(const std::string& text) {
  if (auto uid = Uid::parse(text)) return std::move(*uid);
  return bad("The path has something that is no UID.");
}

// The PatientID that a change sets, for the ledger to know whose study it becomes.
std::string patient_id_in(const MetadataChange& change) {
  for (const AttributeChange& one : change.attributes) {
    if (one.key != "PatientID" || !one.value) continue;
    const json value = json::parse(*one.value, nullptr, false);
    std::string text = value.is_string() ? value.get<std::string>() : "";
    while (text.ends_with(' ')) text.pop_back();
    return text;
  }
  return "";
}

class MetadataRoutes {
 public:
  MetadataRoutes(MetadataUpdates& updates, const MetadataServices& services)
      : updates_(updates), services_(services) {}

  // --- orders
  // ------------------------------------------------------------------------------------

  Result<Response> change(const MetadataTarget& target, const Query& query, const Caller& caller,
                          std::string_view body) const {
    TRY_ASSIGN(const MetadataChange change, parse_change(body, target));
    TRY_ASSIGN(const std::vector<std::string> destinations,
               destinations_for(target.study, query.text("destination")));
    std::vector<MetadataUpdateRequest> requests;
    for (const std::string& destination : destinations) {
      MetadataUpdateRequest request;
      request.destination = destination;
      request.study_instance_uid = target.study;
      request.change = change;
      request.patient_id = patient_id_in(change);
      requests.push_back(std::move(request));
    }
    TRY_ASSIGN(const bool dry, query.flag("dryRun"));
    if (dry) return dry_run(requests, caller);
    return order({"change", caller.name, std::move(requests)}, caller);
  }

  Result<Response> merge(const Query& query, const Caller& caller, std::string_view body) const {
    TRY_ASSIGN(const MergeRequest merge, parse_merge(body));
    TRY_ASSIGN(const std::vector<StudyAt> studies,
               updates_.studies_of_patient(merge.merged_patient_id));
    std::vector<MetadataUpdateRequest> requests;
    for (const StudyAt& study : studies) {
      if (!services_.contains(study.destination)) continue;
      MetadataUpdateRequest request;
      request.destination = study.destination;
      request.study_instance_uid = study.study_instance_uid;
      request.change = merge.change;
      request.patient_id = merge.surviving_patient_id;
      requests.push_back(std::move(request));
    }
    if (requests.empty()) {
      return permanent_error("metadata.not_found", "No study of the merged patient is known.");
    }
    if (requests.size() > kMostStudies) {
      return permanent_error("metadata.too_large", "The merged patient has too many studies.");
    }
    TRY_ASSIGN(const bool dry, query.flag("dryRun"));
    if (dry) return dry_run(requests, caller);
    return order({"merge", caller.name, std::move(requests)}, caller);
  }

  // UpdateImageSetMetadata, one to one: path, query and body are the service's own.
  Result<Response> exact(const std::string& image_set, const http::PathParameters& path,
                         std::string_view query, const Caller& caller,
                         std::string_view body) const {
    namespace hi = wire::healthimaging;
    TRY_ASSIGN(const std::optional<StudyAt> study, updates_.study_of(image_set));
    if (!study || !services_.contains(study->destination)) {
      return permanent_error("metadata.not_found", "No image set of this id was imported.");
    }
    http::PathParameters full = path;
    full["datastoreId"] = std::string(32, '0');  // the gateway's own affair
    full["imageSetId"] = image_set;
    const auto asked = hi::parse_request<hi::UpdateImageSetMetadataRequest>({full, query, body});
    if (!asked.ok()) return bad(asked.error().message);
    MetadataUpdateRequest request;
    request.kind = MetadataUpdateKind::exact;
    request.destination = study->destination;
    request.study_instance_uid = study->study_instance_uid;
    request.image_set_id = image_set;
    TRY_ASSIGN(request.seen_version, version_of(asked->latest_version_id));
    request.include_study_image_sets = asked->include_study_image_sets.value_or(false);
    if (asked->updates) {
      auto change = hi::to_change(*asked->updates, asked->force.value_or(false));
      if (!change.ok()) return bad(change.error().message);
      request.change = std::move(*change);
      request.patient_id = patient_id_in(request.change);
    } else {
      TRY_ASSIGN(request.revert_to, version_of(*asked->revert_to_version_id));
      if (request.include_study_image_sets) {
        return bad("includeStudyImageSets cannot be used with revertToVersionId.");
      }
    }
    return order({"change", caller.name, {std::move(request)}}, caller);
  }

  Result<Response> revert(const std::string& id, const Caller& caller) const {
    TRY_ASSIGN(const std::vector<MetadataUpdateId> ids, updates_of(id));
    TRY_ASSIGN(const OrderedMetadata ordered, updates_.order_revert(ids, caller.name));
    return accepted(ordered, caller);
  }

  Result<Response> retry(const std::string& id, const Caller& caller) const {
    const auto update = MetadataUpdateId::parse(id);
    if (!update) return unknown();
    TRY(updates_.order_retry(*update));
    return accepted({std::nullopt, {*update}}, caller);
  }

  // --- reading
  // -----------------------------------------------------------------------------------

  Result<Response> show(const std::string& id, const Caller& caller) const {
    TRY_ASSIGN(const json body, resource(id, caller.scopes.has(Scope::read_phi)));
    return json_answer(200, body);
  }

  Result<Response> list(const Query& query) const {
    MetadataUpdateFilter filter;
    filter.study_instance_uid = query.text("study");
    if (const std::string state = query.text("state"); !state.empty()) {
      filter.state = metadata_update_state_from(state);
      if (!filter.state) return bad("state is not a state of updates.");
    }
    if (const std::string before = query.text("before"); !before.empty()) {
      filter.before = MetadataUpdateId::parse(before);
      if (!filter.before) return bad("before is not the id of an update.");
    }
    TRY_ASSIGN(const std::int64_t limit, query.number("limit", kListed));
    const std::size_t most = std::min<std::size_t>(static_cast<std::size_t>(limit), kMostListed);
    TRY_ASSIGN(const std::vector<MetadataUpdateRow> rows, updates_.list(filter, most));
    json items = json::array();
    for (const MetadataUpdateRow& row : rows) items.push_back(update_json(row));
    json body{{"updates", std::move(items)}};
    if (rows.size() == most) body["next_before"] = rows.back().id.text();
    return json_answer(200, body);
  }

 private:
  static Error unknown() {
    return permanent_error("metadata.not_found", "There is no update with this id.");
  }

  static Result<std::int64_t> version_of(const std::string& text) {
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    if (read.ec == std::errc{} && read.ptr == end) return number;
    return bad("A version is out of range.");
  }

  // Those of the study that can be asked for changes; the one that is wanted, if one is.
  Result<std::vector<std::string>> destinations_for(const Uid& study,
                                                    const std::string& wanted) const {
    TRY_ASSIGN(const std::vector<std::string> known, updates_.destinations_of(study));
    if (known.empty()) {
      return permanent_error("metadata.not_found", "No study of this UID was ever received.");
    }
    std::vector<std::string> able;
    for (const std::string& one : known) {
      const bool meant = wanted.empty() || one == wanted;
      if (meant && services_.contains(one)) able.push_back(one);
    }
    if (!able.empty()) return able;
    return permanent_error("metadata.not_supported",
                           "The study goes to no destination of that name whose metadata can be "
                           "changed.");
  }

  Result<Response> order(const MetadataOrder& order, const Caller& caller) const {
    TRY_ASSIGN(const OrderedMetadata ordered, updates_.order(order));
    FAILPOINT(metadata_ordered);
    return accepted(ordered, caller);
  }

  Result<Response> accepted(const OrderedMetadata& ordered, const Caller& caller) const {
    const std::string id = ordered.order ? ordered.order->text() : ordered.updates.front().text();
    TRY_ASSIGN(const json body, resource(id, caller.scopes.has(Scope::read_phi)));
    Response response = json_answer(202, body);
    response.headers.set("Location", "/v1/metadata-updates/" + id);
    return response;
  }

  Result<json> resource(const std::string& id, bool with_values) const {
    if (const auto update = MetadataUpdateId::parse(id)) {
      TRY_ASSIGN(const auto row, updates_.update(*update));
      if (row) {
        TRY_ASSIGN(const MetadataUpdateDetails details, updates_.details(*update));
        return update_json(details, with_values);
      }
    }
    const auto order = MetadataOrderId::parse(id);
    if (!order) return unknown();
    TRY_ASSIGN(const auto row, updates_.order_row(*order));
    if (!row) return unknown();
    TRY_ASSIGN(std::vector<MetadataUpdateRow> children, children_of(*order));
    std::reverse(children.begin(), children.end());
    return order_json(*row, children);
  }

  Result<std::vector<MetadataUpdateRow>> children_of(const MetadataOrderId& order) const {
    MetadataUpdateFilter filter;
    filter.order = order;
    return updates_.list(filter, kMostStudies);
  }

  Result<std::vector<MetadataUpdateId>> updates_of(const std::string& id) const {
    if (const auto update = MetadataUpdateId::parse(id)) {
      TRY_ASSIGN(const auto row, updates_.update(*update));
      if (row) return std::vector<MetadataUpdateId>{*update};
    }
    const auto order = MetadataOrderId::parse(id);
    if (!order) return unknown();
    TRY_ASSIGN(const std::vector<MetadataUpdateRow> rows, children_of(*order));
    if (rows.empty()) return unknown();
    std::vector<MetadataUpdateId> ids;
    for (const MetadataUpdateRow& row : rows) ids.push_back(row.id);
    return ids;
  }

  Result<Response> dry_run(const std::vector<MetadataUpdateRequest>& requests,
                           const Caller& caller) const {
    const bool with_values = caller.scopes.has(Scope::read_phi);
    json differences = json::array();
    for (const MetadataUpdateRequest& request : requests) {
      const StudyAt study{request.destination, request.study_instance_uid};
      json one{{"destination", request.destination},
               {"study_instance_uid", request.study_instance_uid.text()}};
      TRY_ASSIGN(const auto sets, updates_.image_sets(study, "", ""));
      if (sets.empty()) {
        one["outcome"] = "pending";
      } else {
        MetadataUpdateDetails update;
        update.row.destination = request.destination;
        update.row.study_instance_uid = request.study_instance_uid;
        update.change = request.change;
        MetadataService& service = *services_.find(request.destination)->second;
        TRY_ASSIGN(const MetadataPlan plan, plan_metadata(updates_, service, update));
        one.update(plan_json(request.change, plan, with_values));
      }
      differences.push_back(std::move(one));
    }
    return json_answer(200, {{"dry_run", true}, {"updates", std::move(differences)}});
  }

  MetadataUpdates& updates_;
  const MetadataServices& services_;
};

Response answer_of(Result<Response> result) {
  if (!result.ok()) return problem(result.error());
  return std::move(*result);
}

// What a handler that answers later keeps of its call.
struct Kept {
  explicit Kept(const Call& call)
      : path(call.path), query(call.head.query()), caller(call.caller) {}
  const std::string& at(const char* name) const { return path.find(name)->second; }

  http::PathParameters path;
  std::string query;
  Caller caller;
};

Result<MetadataTarget> target_of(const Kept& call) {
  MetadataTarget target;
  TRY_ASSIGN(target.study, uid_of(call.at("study")));
  if (call.path.contains("series")) {
    TRY_ASSIGN(target.series, uid_of(call.at("series")));
  }
  if (call.path.contains("instance")) {
    TRY_ASSIGN(target.instance, uid_of(call.at("instance")));
  }
  return target;
}

}  // namespace

void add_metadata_routes(GuardedRouter& router, MetadataUpdates& updates,
                         const MetadataServices& services) {
  const auto routes = std::make_shared<const MetadataRoutes>(updates, services);
  using Act = std::function<Result<Response>(const Kept&, const std::string& body)>;
  const auto add = [&router](const char* method, const char* path, Act act) {
    router.add(method, path, Scope::update, [act = std::move(act)](const Call& call) {
      return http::gather(kBodyBytes, [act, kept = Kept(call)](const std::string& body) {
        return answer_of(act(kept, body));
      });
    });
  };
  for (const char* path : {"/v1/studies/{study}", "/v1/studies/{study}/series/{series}",
                           "/v1/studies/{study}/series/{series}/instances/{instance}"}) {
    add("PATCH", path, [routes](const Kept& call, const std::string& body) -> Result<Response> {
      TRY_ASSIGN(const MetadataTarget target, target_of(call));
      return routes->change(target, Query(call.query), call.caller, body);
    });
  }
  add("POST", "/v1/patients/merge", [routes](const Kept& call, const std::string& body) {
    return routes->merge(Query(call.query), call.caller, body);
  });
  add("POST", "/v1/image-sets/{imageSet}/metadata",
      [routes](const Kept& call, const std::string& body) {
        return routes->exact(call.at("imageSet"), call.path, call.query, call.caller, body);
      });
  add("POST", "/v1/metadata-updates/{id}/revert", [routes](const Kept& call, const std::string&) {
    return routes->revert(call.at("id"), call.caller);
  });
  add("POST", "/v1/metadata-updates/{id}/retry", [routes](const Kept& call, const std::string&) {
    return routes->retry(call.at("id"), call.caller);
  });
  router.add("GET", "/v1/metadata-updates", Scope::read, [routes](const Call& call) {
    return http::answer_with(answer_of(routes->list(Query(call.head.query()))));
  });
  router.add("GET", "/v1/metadata-updates/{id}", Scope::read, [routes](const Call& call) {
    return http::answer_with(answer_of(routes->show(call.path.at("id"), call.caller)));
  });
}

}  // namespace isthmus::api
