// What the REST API's answers are made of. Private to api/.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "api/problem.h"
#include "api/query.h"
#include "api/rest.h"

namespace isthmus::api::rest {

using nlohmann::json;

constexpr std::size_t kPageDefault = 50;
constexpr std::size_t kPageMost = 500;

json instance_json(const InstanceView& view);
json delivery_json(const Delivery& delivery);
json study_json(const StudyView& view);
json series_json(const SeriesView& view);
json batch_json(const BatchView& view);
json import_job_json(const ImportJob& job, const RestParts& parts);
json history_json(const HistoryEntry& entry);

// The key of the staged object, when the instance is in a batch.
std::string object_key(const RestParts& parts, const std::string& destination,
                       const std::optional<BatchId>& batch, const InstanceId& instance);
const DestinationFace* find_destination(const RestParts& parts, const std::string& name);

// ?cursor= and ?limit=.
struct PageAsked {
  Overview::Cursor before;
  std::size_t limit = kPageDefault;
};
PageAsked page_asked(const Query& query);

// {"items", "next"}.
template <typename T, typename Convert>
http::Response page_answer(const Result<Page<T>>& page, Convert convert) {
  if (!page.ok()) return problem(page.error());
  json body{{"items", json::array()}};
  for (const T& item : page->items) body["items"].push_back(convert(item));
  if (page->next) body["next"] = std::to_string(*page->next);
  return json_answer(200, body);
}

void add_study_routes(GuardedRouter& router, const RestParts& parts);
void add_transfer_routes(GuardedRouter& router, const RestParts& parts);
void add_event_routes(GuardedRouter& router, const RestParts& parts);
void add_order_routes(GuardedRouter& router, const RestParts& parts);
void add_drain_routes(GuardedRouter& router, const RestParts& parts);
void add_peer_routes(GuardedRouter& router, const RestParts& parts);

}  // namespace isthmus::api::rest
