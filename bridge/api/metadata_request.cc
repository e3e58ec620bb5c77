#include "api/metadata_request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "api/value_check.h"
#include "dicom/dictionary.h"
#include "wire/dicom_json_values.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

constexpr std::uint32_t kStudyUid = 0x0020000D;
constexpr std::uint32_t kSeriesUid = 0x0020000E;
constexpr std::uint32_t kSopUid = 0x00080018;
constexpr std::uint32_t kStudyId = 0x00200010;
constexpr std::uint32_t kPixelData = 0x7FE00010;
constexpr int kMostLevels = 64;  // of brackets in a body
constexpr const char* kSopUidKeyword = "SOPInstanceUID";

// An attribute that a caller named.
struct Named {
  std::uint32_t tag = 0;
  wire::ElementForm form;
  bool known = false;

  bool is_private() const { return (tag >> 16) % 2 != 0; }
};

Error bad(std::string message) {
  return permanent_error("api.bad_request", std::move(message));
}

std::optional<wire::ElementForm> look_up(std::string_view name) {
  const auto known = dicom::find_element(name);
  if (!known) return std::nullopt;
  return wire::ElementForm{known->keyword, known->vr, known->several_values};
}

// `where` is ours; the name itself anybody may have written.
Result<Named> named(const std::string& name, std::string_view where) {
  if (const auto known = dicom::find_element(name)) {
    return Named{known->tag, {known->keyword, known->vr, known->several_values}, true};
  }
  const auto tag = dicom::tag_from(name);
  if (!tag) {
    return bad("A name in " + std::string(where) +
               " is neither a keyword of the dictionary nor a tag of eight hex digits.");
  }
  return Named{*tag, {dicom::tag_hex(*tag), "", false}, false};
}

bool is_too_deep(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (text[i] == '{' || text[i] == '[')) {
      deepest = std::max(deepest, ++depth);
    } else if (!quoted && (text[i] == '}' || text[i] == ']')) {
      --depth;
    }
  }
  return deepest > kMostLevels;
}

Result<json> object_in(std::string_view body) {
  if (is_too_deep(body)) return bad("The body is nested too deeply.");
  json tree = json::parse(body, nullptr, false);
  if (!tree.is_object()) return bad("The body must be a JSON object.");
  return tree;
}

Error wrong_level(const std::string& key, MetadataLevel level) {
  return permanent_error(
      "metadata.wrong_level",
      key + " belongs to the " + std::string(to_string(level)) + ": change it at that resource.");
}

// Reads one body into a change.
class Reader {
 public:
  explicit Reader(const MetadataTarget& target) : target_(target) {}

  Result<MetadataChange> read(std::string_view body) {
    TRY_ASSIGN(json tree, object_in(body));
    if (is_dicom_json(tree)) tree = json{{"set", std::move(tree)}};
    for (const auto& [name, value] : tree.items()) {
      static const std::set<std::string> kMembers{"set", "remove", "expect", "removeInstance",
                                                  "force"};
      if (!kMembers.contains(name)) {
        return bad("The body has a member besides set, remove, expect, removeInstance and force.");
      }
    }
    TRY(read_force(tree));
    TRY(read_set(tree));
    TRY(read_removals(tree));
    TRY(read_expectations(tree));
    if (change_.attributes.empty()) return bad("The body changes nothing.");
    return std::move(change_);
  }

 private:
  static bool is_dicom_json(const json& tree) {
    for (const auto& [name, element] : tree.items()) {
      if (!dicom::tag_from(name)) return false;
    }
    return !tree.empty();
  }

  Result<void> read_force(const json& tree) {
    const auto force = tree.find("force");
    if (force == tree.end()) return {};
    if (!force->is_array()) return bad("force must be the list of guarded attributes.");
    for (const json& name : *force) {
      if (!name.is_string()) return bad("force must be a list of names.");
      TRY_ASSIGN(const Named one, named(name.get<std::string>(), "force"));
      forced_.insert(one.form.key);
    }
    return {};
  }

  Result<void> read_set(const json& tree) {
    const auto set = tree.find("set");
    if (set == tree.end()) return {};
    if (!set->is_object()) return bad("set must be an object of elements.");
    for (const auto& [name, element] : set->items()) {
      TRY_ASSIGN(Named one, named(name, "set"));
      if (!one.known) {
        const auto vr = element.find("vr");
        const bool has_vr = element.is_object() && vr != element.end() && vr->is_string();
        if (!has_vr || vr->get_ref<const std::string&>().size() != 2) {
          return permanent_error("api.bad_attribute", one.form.key + " needs its vr.");
        }
        one.form.vr = vr->get<std::string>();
      }
      TRY_ASSIGN(const json value, wire::metadata_value(element, one.form, look_up));
      TRY(check(one, value.is_array()));
      TRY(check_value(one, element, value.is_array()));
      AttributeChange change = at(one);
      change.action = AttributeAction::set;
      if (!one.known) change.vr = one.form.vr;
      change.value = text_of(value);
      TRY(add(std::move(change)));
    }
    return {};
  }

  Result<void> read_removals(const json& tree) {
    if (const auto list = tree.find("remove"); list != tree.end()) {
      if (!list->is_array()) return bad("remove must be a list of names.");
      for (const json& name : *list) {
        if (!name.is_string()) return bad("remove must be a list of names.");
        TRY_ASSIGN(const Named one, named(name.get<std::string>(), "remove"));
        TRY(check(one, false));
        AttributeChange change = at(one);
        change.action = AttributeAction::remove;
        TRY(add(std::move(change)));
      }
    }
    const auto instance = tree.find("removeInstance");
    if (instance == tree.end()) return {};
    if (!instance->is_boolean()) return bad("removeInstance must be true or false.");
    if (!instance->get<bool>()) return {};
    if (!target_.instance) return bad("removeInstance is for an instance.");
    if (!change_.attributes.empty()) return bad("removeInstance stands alone.");
    TRY(guard(kSopUidKeyword));
    AttributeChange change = at({});
    change.action = AttributeAction::remove_instance;
    return add(std::move(change));
  }

  Result<void> read_expectations(const json& tree) {
    const auto expect = tree.find("expect");
    if (expect == tree.end()) return {};
    if (!expect->is_object()) return bad("expect must be an object of elements.");
    for (const auto& [name, element] : expect->items()) {
      TRY_ASSIGN(const Named one, named(name, "expect"));
      const auto found =
          std::find_if(change_.attributes.begin(), change_.attributes.end(),
                       [&](const AttributeChange& change) { return change.key == one.form.key; });
      if (found == change_.attributes.end()) {
        return bad("expect names " + one.form.key + ", which is neither set nor removed.");
      }
      TRY_ASSIGN(const json value, wire::metadata_value(element, one.form, look_up));
      found->expected = text_of(value);
    }
    return {};
  }

  Result<void> check(const Named& one, bool is_list) {
    const std::string& key = one.form.key;
    const bool is_uid = one.tag == kStudyUid || one.tag == kSeriesUid || one.tag == kSopUid;
    if (is_uid || one.tag == kPixelData || (one.tag >> 16) == 0x0002) {
      return permanent_error("metadata.not_changeable", key + " cannot be changed here.");
    }
    const MetadataLevel level =
        one.is_private() || !one.known ? MetadataLevel::instance : level_of(one.tag);
    const bool fits = target_.level() == level ||
                      (target_.level() == MetadataLevel::study && level == MetadataLevel::patient);
    if (!fits) return wrong_level(key, level);
    return is_guarded(one, is_list) ? guard(key) : Result<void>{};
  }

  static bool is_guarded(const Named& one, bool is_list) {
    return !one.known || one.tag == kStudyId || one.form.vr == "SQ" || one.form.several_values ||
           is_list;
  }

  // Whoever names an attribute in force that is not guarded wants this very value, and the service
  // takes any then. Of a guarded one that is no more than leave to change it.
  Result<void> check_value(const Named& one, const json& element, bool is_list) {
    if (is_guarded(one, is_list) || !forced_.contains(one.form.key)) {
      return check_values(element, one.form, look_up);
    }
    change_.force = true;
    return {};
  }

  Result<void> guard(const std::string& key) {
    if (!forced_.contains(key)) {
      return permanent_error("metadata.needs_force",
                             key + " is guarded: it is changed only when force names it.");
    }
    change_.force = true;
    return {};
  }

  AttributeChange at(const Named& one) const {
    AttributeChange change;
    change.level = target_.level();
    if (change.level == MetadataLevel::study && one.known) change.level = level_of(one.tag);
    if (target_.series) change.series_instance_uid = target_.series->text();
    if (target_.instance) change.sop_instance_uid = target_.instance->text();
    change.key = one.form.key;
    return change;
  }

  Result<void> add(AttributeChange change) {
    if (!seen_.insert(change.key).second) return bad(change.key + " stands twice in the body.");
    change_.attributes.push_back(std::move(change));
    return {};
  }

  static std::string text_of(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  const MetadataTarget& target_;
  MetadataChange change_;
  std::set<std::string> forced_;
  std::set<std::string> seen_;
};

// {"PatientID": "A"} as DICOM JSON elements.
Result<json> as_elements(const json& identifiers) {
  json elements = json::object();
  for (const auto& [name, value] : identifiers.items()) {
    if (value.is_object()) {
      elements[name] = value;
    } else if (value.is_string()) {
      elements[name] = {{"Value", json::array({value})}};
    } else {
      return bad("Identifiers are texts or DICOM JSON elements.");
    }
  }
  return elements;
}

Result<std::string> patient_id_of(const json& tree, const char* whose) {
  const auto one = tree.find(whose);
  const std::string form = std::string(whose) + " must have a PatientID.";
  if (one == tree.end() || !one->is_object()) return bad(form);
  for (const char* name : {"PatientID", "00100020"}) {
    const auto id = one->find(name);
    if (id == one->end()) continue;
    const json* value = &*id;
    if (value->is_object() && value->contains("Value") && (*value)["Value"].is_array() &&
        (*value)["Value"].size() == 1) {
      value = &(*value)["Value"][0];
    }
    if (value->is_string() && !value->get_ref<const std::string&>().empty()) {
      return value->get<std::string>();
    }
  }
  return bad(form);
}

}  // namespace

Result<MetadataChange> parse_change(std::string_view body, const MetadataTarget& target) {
  return Reader(target).read(body);
}

Result<MergeRequest> parse_merge(std::string_view body) {
  TRY_ASSIGN(const json tree, object_in(body));
  MergeRequest request;
  TRY_ASSIGN(request.surviving_patient_id, patient_id_of(tree, "surviving"));
  TRY_ASSIGN(request.merged_patient_id, patient_id_of(tree, "merged"));
  if (tree.size() != 2 || tree["merged"].size() != 1) {
    return bad("The body must be surviving and merged, of merged the PatientID alone.");
  }
  if (request.surviving_patient_id == request.merged_patient_id) {
    return bad("surviving and merged are the same patient.");
  }
  TRY_ASSIGN(const json elements, as_elements(tree["surviving"]));
  const json change = {{"set", elements}};
  TRY_ASSIGN(request.change, parse_change(change.dump(), MetadataTarget{}));
  for (AttributeChange& one : request.change.attributes) {
    if (one.level != MetadataLevel::patient) return wrong_level(one.key, one.level);
    // A study that is somebody else's by now is a conflict, and stays as it is.
    if (one.key == "PatientID") one.expected = json(request.merged_patient_id).dump();
  }
  return request;
}

}  // namespace isthmus::api
