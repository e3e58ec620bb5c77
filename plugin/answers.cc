#include "plugin/answers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace isthmus::plugin {
namespace {

using Json = nlohmann::json;

Error other_form() {
  return transient_error("orthanc.failed", "Orthanc answered in a form that is not known.");
}

// Orthanc's ids: 40 hex digits in five groups. Nothing else goes into a path.
bool is_id(const Json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() == 44 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
         });
}

std::string text_of(const Json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return {};
  return object[key].get<std::string>();
}

std::int64_t number_of(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_number_integer()) return 0;
  return object[key].get<std::int64_t>();
}

// A UID is looked up in the ledger as it stands; an instance without one cannot be.
Result<std::string> uid_of(const Json& instance) {
  if (!instance.is_object() || !instance.contains("MainDicomTags")) return other_form();
  const std::string uid = text_of(instance["MainDicomTags"], "SOPInstanceUID");
  if (uid.empty()) return other_form();
  return uid;
}

std::string trimmed(std::string text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

Result<ChangesAnswer> changes_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_object() || !answer.contains("Changes") || !answer["Changes"].is_array()) {
    return other_form();
  }
  ChangesAnswer changes;
  for (const Json& change : answer["Changes"]) {
    if (!change.is_object()) return other_form();
    const std::int64_t position = number_of(change, "Seq");
    changes.reached = std::max(changes.reached, position);
    if (text_of(change, "ChangeType") != "NewInstance") continue;
    if (!change.contains("ID") || !is_id(change["ID"])) return other_form();
    changes.new_instances.emplace_back(position, change["ID"].get<std::string>());
  }
  changes.done = !answer.contains("Done") || answer["Done"] != false;
  return changes;
}

Result<std::int64_t> last_change_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_object() || !answer.contains("Last")) return other_form();
  return number_of(answer, "Last");
}

Result<std::vector<std::string>> ids_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_array() || !std::all_of(answer.begin(), answer.end(), is_id)) return other_form();
  return answer.get<std::vector<std::string>>();
}

Result<std::vector<std::string>> expanded_ids_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_array()) return other_form();
  std::vector<std::string> ids;
  for (const Json& one : answer) {
    if (!one.is_object() || !one.contains("ID") || !is_id(one["ID"])) return other_form();
    ids.push_back(one["ID"].get<std::string>());
  }
  return ids;
}

Result<std::vector<std::string>> looked_up_in(std::string_view json, std::string_view kind) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_array()) return other_form();
  std::vector<std::string> ids;
  for (const Json& one : answer) {
    if (!one.is_object() || !one.contains("ID") || !is_id(one["ID"])) return other_form();
    if (text_of(one, "Type") == kind) ids.push_back(one["ID"].get<std::string>());
  }
  return ids;
}

Result<std::string> own_id_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_object() || !answer.contains("ID") || !is_id(answer["ID"])) return other_form();
  return answer["ID"].get<std::string>();
}

Result<std::string> sop_instance_uid_in(std::string_view json) {
  return uid_of(Json::parse(json, nullptr, false));
}

Result<std::vector<std::string>> sop_instance_uids_in(std::string_view json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_array()) return other_form();
  std::vector<std::string> uids;
  for (const Json& one : answer) {
    TRY_ASSIGN(std::string uid, uid_of(one));
    uids.push_back(std::move(uid));
  }
  return uids;
}

Origin origin_in(std::string_view json) {
  const Json metadata = Json::parse(json, nullptr, false);
  Origin origin;
  origin.receiver = "orthanc";
  origin.calling_ae_title = trimmed(text_of(metadata, "RemoteAET"));
  origin.called_ae_title = trimmed(text_of(metadata, "CalledAET"));
  origin.peer_address = text_of(metadata, "RemoteIP");
  return origin;
}

std::string reception_day_in(std::string_view json) {
  const std::string date = text_of(Json::parse(json, nullptr, false), "ReceptionDate");
  const bool is_day = date.size() >= 8 && std::all_of(date.begin(), date.begin() + 8,
                                                      [](char c) { return c >= '0' && c <= '9'; });
  return is_day ? date.substr(0, 8) : std::string();
}

}  // namespace isthmus::plugin
