#include "api/metadata_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace isthmus::api {
namespace {

using nlohmann::json;

json value_json(const std::optional<std::string>& value) {
  if (!value) return nullptr;
  json read = json::parse(*value, nullptr, false);
  return read.is_discarded() ? json(nullptr) : read;
}

json attribute_json(const AttributeChange& change) {
  json one{{"action", to_string(change.action)}, {"level", to_string(change.level)}};
  if (!change.key.empty()) one["key"] = change.key;
  if (!change.series_instance_uid.empty()) {
    one["series_instance_uid"] = change.series_instance_uid;
  }
  if (!change.sop_instance_uid.empty()) one["sop_instance_uid"] = change.sop_instance_uid;
  return one;
}

// What is stored and is not, is told apart from null: a member that is missing was not there.
void put_value(json& into, const char* name, const std::optional<std::string>& value) {
  if (value) into[name] = value_json(value);
}

json changes_json(const MetadataChange& change, const MetadataStep& step, bool with_values) {
  json changes = json::array();
  for (std::size_t i = 0; i < step.values.size() && i < change.attributes.size(); ++i) {
    const MetadataStepValue& value = step.values[i];
    json one = attribute_json(change.attributes[i]);
    one["changes"] = !same_value(value.before, value.wanted);
    if (with_values) {
      put_value(one, "before", value.before);
      put_value(one, "wanted", value.wanted);
      put_value(one, "found", value.found);
    }
    changes.push_back(std::move(one));
  }
  return changes;
}

json steps_json(const MetadataChange& change, const std::vector<MetadataStep>& steps,
                bool with_values) {
  json list = json::array();
  for (const MetadataStep& step : steps) {
    json one{{"image_set_id", step.image_set_id},
             {"primary", step.primary},
             {"state", to_string(step.state)},
             {"version_before", step.seen_version},
             {"attributes", changes_json(change, step, with_values)}};
    if (step.version > 0) one["version_after"] = step.version;
    if (step.revert_to > 0) one["revert_to"] = step.revert_to;
    if (!step.error_code.empty()) {
      one["error_code"] = step.error_code;
      one["error"] = step.error;
    }
    if (with_values && !step.detail.empty()) one["detail"] = step.detail;
    list.push_back(std::move(one));
  }
  return list;
}

// Whatever asks for somebody comes first, then what is on its way.
MetadataUpdateState state_of(const std::vector<MetadataUpdateRow>& updates) {
  using S = MetadataUpdateState;
  const auto any = [&](S state) {
    return std::any_of(updates.begin(), updates.end(),
                       [&](const auto& one) { return one.state == state; });
  };
  for (const S state : {S::failed, S::conflict}) {
    if (any(state)) return state;
  }
  const bool begun = any(S::applying) || any(S::applied) || any(S::reverted);
  if (any(S::pending)) return begun ? S::applying : S::pending;
  for (const S state : {S::applying, S::applied}) {
    if (any(state)) return state;
  }
  return S::reverted;
}

}  // namespace

json update_json(const MetadataUpdateRow& row) {
  json body{{"id", row.id.text()},
            {"kind", to_string(row.kind)},
            {"state", to_string(row.state)},
            {"state_since", to_rfc3339(row.state_since)},
            {"study_instance_uid", row.study_instance_uid.text()},
            {"destination", row.destination},
            {"requested_by", row.requested_by},
            {"requested_at", to_rfc3339(row.requested_at)},
            {"attempts", row.attempts}};
  if (row.order) body["parent"] = row.order->text();
  if (row.reverts) body["reverts"] = row.reverts->text();
  if (!row.image_set_id.empty()) body["image_set_id"] = row.image_set_id;
  if (row.next_attempt_at) body["next_attempt_at"] = to_rfc3339(*row.next_attempt_at);
  if (!row.error_code.empty()) {
    body["error_code"] = row.error_code;
    body["error"] = row.error;
  }
  return body;
}

json update_json(const MetadataUpdateDetails& details, bool with_values) {
  json body = update_json(details.row);
  body["force"] = details.change.force;
  json attributes = json::array();
  for (const AttributeChange& change : details.change.attributes) {
    json one = attribute_json(change);
    if (with_values) {
      put_value(one, "value", change.value);
      put_value(one, "expected", change.expected);
    }
    attributes.push_back(std::move(one));
  }
  body["attributes"] = std::move(attributes);
  body["image_sets"] = steps_json(details.change, details.steps, with_values);
  return body;
}

json order_json(const MetadataOrderRow& order, const std::vector<MetadataUpdateRow>& updates) {
  json children = json::array();
  for (const MetadataUpdateRow& row : updates) children.push_back(update_json(row));
  return {{"id", order.id.text()},
          {"kind", order.what},
          {"state", to_string(state_of(updates))},
          {"requested_by", order.requested_by},
          {"requested_at", to_rfc3339(order.requested_at)},
          {"updates", std::move(children)}};
}

json plan_json(const MetadataChange& change, const MetadataPlan& plan, bool with_values) {
  json body{{"outcome", to_string(plan.event)},
            {"image_sets", steps_json(change, plan.steps, with_values)}};
  if (plan.why) {
    body["error_code"] = plan.why->code;
    body["error"] = plan.why->message;
  }
  return body;
}

}  // namespace isthmus::api
