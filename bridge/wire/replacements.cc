#include "wire/replacements.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace isthmus::wire::replacements {
namespace {

using nlohmann::json;

constexpr const char* kSopInstanceUid = "00080018";

Error malformed(const char* what) {
  return permanent_error("replacements.malformed",
                         fmt::format("A note of a replacement is no {}.", what));
}

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::int64_t number_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

json attribute_json(const AttributeChange& one) {
  json object{{"action", std::string(to_string(one.action))},
              {"level", std::string(to_string(one.level))},
              {"sop", one.sop_instance_uid},
              {"key", one.key},
              {"vr", one.vr}};
  if (one.value) object["value"] = *one.value;
  return object;
}

Result<AttributeChange> attribute_from(const json& object) {
  if (!object.is_object()) return malformed("order");
  const auto action = attribute_action_from(text_in(object, "action"));
  const auto level = metadata_level_from(text_in(object, "level"));
  if (!action || !level) return malformed("order");
  AttributeChange one;
  one.action = *action;
  one.level = *level;
  one.sop_instance_uid = text_in(object, "sop");
  one.key = text_in(object, "key");
  one.vr = text_in(object, "vr");
  if (object.contains("value")) one.value = text_in(object, "value");
  return one;
}

std::string sop_of(const json& dataset) {
  const auto element = dataset.find(kSopInstanceUid);
  if (element == dataset.end() || !element->is_object()) return {};
  const auto values = element->find("Value");
  const bool one = values != element->end() && values->is_array() && values->size() == 1 &&
                   values->front().is_string();
  return one ? values->front().get<std::string>() : std::string();
}

// The tag under which DICOM JSON has an element, and its form.
struct Named {
  std::string tag;
  ElementForm form;
};
Named named(const AttributeChange& one, const ElementLookup& tags, const FormLookup& look_up) {
  const auto known = tags(one.key);
  return {known ? known->tag : one.key,
          look_up(one.key).value_or(ElementForm{one.key, one.vr, false})};
}

Result<std::optional<std::string>> value_in(const json& dataset, const Named& wanted,
                                            const FormLookup& look_up) {
  const auto element = dataset.find(wanted.tag);
  if (element == dataset.end()) return std::optional<std::string>();
  const auto value = metadata_value(*element, wanted.form, look_up);
  if (!value.ok()) {
    return permanent_error("metadata.unsupported",
                           wanted.form.key + " has a value that cannot be compared.");
  }
  return std::optional(value->dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<std::optional<std::string>> shared_value(const json& datasets, const AttributeChange& one,
                                                const Named& wanted, const FormLookup& look_up) {
  std::optional<std::string> first;
  for (const json& dataset : datasets) {
    TRY_ASSIGN(auto value, value_in(dataset, wanted, look_up));
    if (&dataset == &datasets.front()) first = value;
    if (!same_value(value, one.wanted())) return value;
  }
  return first;
}

Result<std::optional<std::string>> own_value(const json& datasets, const AttributeChange& one,
                                             const Named& wanted, const FormLookup& look_up) {
  for (const json& dataset : datasets) {
    if (sop_of(dataset) != one.sop_instance_uid) continue;
    if (one.action == AttributeAction::remove_instance) return std::optional<std::string>("{}");
    return value_in(dataset, wanted, look_up);
  }
  return std::optional<std::string>();
}

}  // namespace

std::string print(const Order& order) {
  json attributes = json::array();
  for (const AttributeChange& one : order.change.attributes) {
    attributes.push_back(attribute_json(one));
  }
  return json{{"id", order.id},
              {"carrier", order.carrier},
              {"carrier_version", order.carrier_version},
              {"others", order.others},
              {"revert_to", order.revert_to},
              {"attributes", std::move(attributes)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Order> parse_order(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return malformed("order");
  Order order{text_in(object, "id"),
              text_in(object, "carrier"),
              number_in(object, "carrier_version"),
              {},
              number_in(object, "revert_to"),
              {}};
  const auto attributes = object.find("attributes");
  if (order.id.empty() || attributes == object.end() || !attributes->is_array()) {
    return malformed("order");
  }
  for (const json& one : object.value("others", json::array())) {
    if (!one.is_string()) return malformed("order");
    order.others.push_back(one.get<std::string>());
  }
  for (const json& one : *attributes) {
    TRY_ASSIGN(AttributeChange attribute, attribute_from(one));
    order.change.attributes.push_back(std::move(attribute));
  }
  return order;
}

std::string print(const std::vector<Item>& items) {
  json list = json::array();
  for (const Item& item : items) {
    list.push_back({item.series_instance_uid, item.sop_instance_uid, item.from});
  }
  return list.dump();
}

Result<std::vector<Item>> parse_items(std::string_view text) {
  const json list = json::parse(text, nullptr, false);
  if (!list.is_array()) return malformed("list");
  std::vector<Item> items;
  for (const json& one : list) {
    const bool whole = one.is_array() && one.size() == 3 && one[0].is_string() &&
                       one[1].is_string() && one[2].is_string();
    if (!whole) return malformed("list");
    items.push_back(
        {one[0].get<std::string>(), one[1].get<std::string>(), one[2].get<std::string>()});
  }
  return items;
}

std::string print(const End& end) {
  return json{{"failed", end.failed}, {"message", end.message}}.dump();
}

Result<End> parse_end(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  const bool whole =
      object.is_object() && object.contains("failed") && object["failed"].is_boolean();
  if (!whole) return malformed("end");
  return End{object["failed"].get<bool>(), text_in(object, "message")};
}

Result<MetadataValues> values_in(std::string_view metadata, const MetadataChange& change,
                                 const ElementLookup& tags, const FormLookup& look_up) {
  const json datasets = metadata.empty() ? json::array() : json::parse(metadata, nullptr, false);
  if (!datasets.is_array()) return malformed("list of data sets");
  for (const json& dataset : datasets) {
    if (!dataset.is_object()) return malformed("list of data sets");
  }
  MetadataValues values;
  for (const AttributeChange& one : change.attributes) {
    const Named wanted = named(one, tags, look_up);
    TRY_ASSIGN(auto value, one.level == MetadataLevel::instance
                               ? own_value(datasets, one, wanted, look_up)
                               : shared_value(datasets, one, wanted, look_up));
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace isthmus::wire::replacements
