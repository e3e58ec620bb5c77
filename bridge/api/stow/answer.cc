#include "api/stow/answer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "dicom/status.h"

namespace isthmus::api::stow {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRetryAfterSeconds = "30";

struct Keyword {
  const char* tag;
  const char* keyword;
};
constexpr Keyword kRetrieveUrl{"00081190", "RetrieveURL"};
constexpr Keyword kFailedSopSequence{"00081198", "FailedSOPSequence"};
constexpr Keyword kReferencedSopSequence{"00081199", "ReferencedSOPSequence"};
constexpr Keyword kOtherFailuresSequence{"0008119A", "OtherFailuresSequence"};
constexpr Keyword kReferencedSopClassUid{"00081150", "ReferencedSOPClassUID"};
constexpr Keyword kReferencedSopInstanceUid{"00081155", "ReferencedSOPInstanceUID"};
constexpr Keyword kWarningReason{"00081196", "WarningReason"};
constexpr Keyword kFailureReason{"00081197", "FailureReason"};

const char* keyword_of(const std::string& tag) {
  for (const Keyword& one :
       {kRetrieveUrl, kFailedSopSequence, kReferencedSopSequence, kOtherFailuresSequence,
        kReferencedSopClassUid, kReferencedSopInstanceUid, kWarningReason, kFailureReason}) {
    if (tag == one.tag) return one.keyword;
  }
  ASSERT(false);
  return "";
}

ordered_json text_element(const char* vr, const std::string& value) {
  ordered_json element{{"vr", vr}};
  if (!value.empty()) element["Value"] = {value};
  return element;
}

ordered_json reason_element(std::uint16_t reason) {
  return {{"vr", "US"}, {"Value", {reason}}};
}

std::string study_url(const std::string& base, const std::string& study) {
  return base.empty() || study.empty() ? std::string() : base + "/studies/" + study;
}

ordered_json item_of(const Outcome& outcome, const std::string& base) {
  ordered_json item{{kReferencedSopClassUid.tag, text_element("UI", outcome.sop_class_uid)},
                    {kReferencedSopInstanceUid.tag, text_element("UI", outcome.sop_instance_uid)}};
  if (outcome.failure) {
    item[kFailureReason.tag] = reason_element(*outcome.failure);
    return item;
  }
  std::string url = study_url(base, outcome.study_instance_uid);
  if (!url.empty()) {
    url += "/series/" + outcome.series_instance_uid + "/instances/" + outcome.sop_instance_uid;
  }
  item[kRetrieveUrl.tag] = text_element("UR", url);
  if (outcome.warning) item[kWarningReason.tag] = reason_element(*outcome.warning);
  return item;
}

// Empty sequences stay away: some clients take one for a failure (contract section 4).
ordered_json module_of(const Outcomes& outcomes, const std::string& base) {
  ordered_json stored = ordered_json::array(), failed = ordered_json::array(),
               other = ordered_json::array();
  std::string study;
  bool one_study = true;
  for (const Outcome& outcome : outcomes) {
    if (outcome.sop_instance_uid.empty()) {
      other.push_back({{kFailureReason.tag, reason_element(*outcome.failure)}});
    } else if (outcome.failure) {
      failed.push_back(item_of(outcome, base));
    } else {
      one_study = one_study && (study.empty() || study == outcome.study_instance_uid);
      study = outcome.study_instance_uid;
      stored.push_back(item_of(outcome, base));
    }
  }
  ordered_json module{
      {kRetrieveUrl.tag, text_element("UR", one_study ? study_url(base, study) : "")}};
  const auto add = [&module](const Keyword& name, ordered_json items) {
    if (!items.empty()) module[name.tag] = {{"vr", "SQ"}, {"Value", std::move(items)}};
  };
  add(kFailedSopSequence, std::move(failed));
  add(kReferencedSopSequence, std::move(stored));
  add(kOtherFailuresSequence, std::move(other));
  return module;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else {
      safe += c;
    }
  }
  return safe;
}

// The Native DICOM Model (PS3.19 Annex A.1) of this module: texts, numbers, and sequences of one
// level.
void append_xml(const ordered_json& object, std::string& xml) {
  for (const auto& [tag, element] : object.items()) {
    xml += "<DicomAttribute tag=\"" + tag + "\" vr=\"" + element["vr"].get<std::string>() +
           "\" keyword=\"" + keyword_of(tag) + "\">";
    std::size_t number = 0;
    for (const auto& value : element.value("Value", ordered_json::array())) {
      const std::string attribute = " number=\"" + std::to_string(++number) + "\">";
      if (value.is_object()) {
        xml += "<Item" + attribute;
        append_xml(value, xml);
        xml += "</Item>";
      } else {
        xml += "<Value" + attribute +
               escaped(value.is_string() ? value.get<std::string>() : value.dump()) + "</Value>";
      }
    }
    xml += "</DicomAttribute>";
  }
}

std::string xml_of(const ordered_json& module) {
  std::string xml =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel "
      "xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">";
  append_xml(module, xml);
  return xml + "</NativeDicomModel>\n";
}

}  // namespace

Outcome Outcome::failed(const Error& error) {
  Outcome outcome;
  outcome.failure = failure_reason(error);
  outcome.transient = error.fate != Fate::permanent;
  outcome.unreadable = outcome.failure == kUnreadable;
  return outcome;
}

std::uint16_t failure_reason(const Error& error) {
  if (error.code == "dicom.other_study") return kOtherStudy;
  if (error.code == "dicom.transfer_syntax_not_supported") return kNoSuchSyntax;
  if (error.code == "dicom.not_part10" || error.code == "dicom.no_transfer_syntax" ||
      error.code == "dicom_model.malformed" || error.code.starts_with("stow.")) {
    return kUnreadable;
  }
  return dicom::store_status_of(error, "").code;
}

int status_of(const Outcomes& outcomes) {
  if (outcomes.empty()) return 204;
  const auto all = [&](const auto& what) { return std::ranges::all_of(outcomes, what); };
  const auto is_stored = [](const Outcome& one) { return !one.failure; };
  if (all([](const Outcome& one) { return !one.failure && !one.warning; })) return 200;
  if (std::ranges::any_of(outcomes, is_stored)) return 202;
  if (all([](const Outcome& one) { return one.transient; })) return 503;
  return all([](const Outcome& one) { return one.unreadable; }) ? 400 : 409;
}

http::Response answer_module(int status, const Outcomes& outcomes, AnswerForm form,
                             const std::string& retrieve_url) {
  if (status == 204) {
    http::Response nothing;
    nothing.status = status;
    return nothing;
  }
  const ordered_json module = module_of(outcomes, retrieve_url);
  http::Response response =
      form == AnswerForm::json
          ? http::text_response(status, "application/dicom+json", module.dump())
          : http::text_response(status, "application/dicom+xml", xml_of(module));
  if (status == 503) response.headers.set("Retry-After", kRetryAfterSeconds);
  return response;
}

}  // namespace isthmus::api::stow
