#include "api/stow/plan.h"

#include <array>

#include "base/ids.h"
#include "wire/multipart.h"

namespace isthmus::api::stow {
namespace {

using wire::MediaType;

struct NamedForm {
  std::string_view type;
  AnswerForm form;
};
// In the order in which a client that does not care gets them. The plain types are what generic
// clients ask for.
constexpr std::array kForms{NamedForm{"application/dicom+json", AnswerForm::json},
                            NamedForm{"application/json", AnswerForm::json},
                            NamedForm{"application/dicom+xml", AnswerForm::xml},
                            NamedForm{"application/xml", AnswerForm::xml},
                            NamedForm{"text/xml", AnswerForm::xml}};

// How well a type fits an entry of Accept: 3 exactly, 2 "application/*", 1 "*/*", 0 not
// (RFC 9110 section 12.5.1: the most specific entry decides).
int fit(std::string_view type, const std::string& entry) {
  if (entry == type) return 3;
  if (entry == "*/*") return 1;
  const bool family = entry.ends_with("/*") && type.starts_with(entry.substr(0, entry.size() - 1));
  return family ? 2 : 0;
}

double quality_of(std::string_view type, const std::vector<wire::AcceptedType>& accepted) {
  int best = 0;
  double quality = 0;
  for (const auto& one : accepted) {
    const int fits = fit(type, one.media.type);
    if (fits <= best) continue;
    best = fits;
    quality = one.quality;
  }
  return quality;
}

Error unsupported(const char* message) {
  return permanent_error("api.media_type", message);
}

Result<void> plan_body(const http::Head& head, Plan& plan) {
  const bool empty = head.content_length.value_or(1) == 0 ||
                     (!head.content_length && !head.headers.contains("Transfer-Encoding"));
  if (empty) return permanent_error("api.bad_body", "The request has no body to store.");
  const auto media = wire::parse_media_type(head.headers.get("Content-Type"));
  if (!media) return unsupported("The request does not say what it holds: set Content-Type.");
  if (media->type == "application/dicom") {
    plan.multipart = false;
    return {};
  }
  if (media->type != "multipart/related") {
    return unsupported("Instances come in multipart/related, or one as application/dicom.");
  }
  const std::string type = [&] {
    const auto inner = wire::parse_media_type(media->parameter("type", "application/dicom"));
    return inner ? inner->type : std::string();
  }();
  if (type == "application/dicom+json") {
    plan.kind = BodyKind::json;
  } else if (type == "application/dicom+xml") {
    plan.kind = BodyKind::xml;
  } else if (type != "application/dicom") {
    return unsupported("The type of multipart/related is application/dicom, or its JSON or XML.");
  }
  auto boundary = wire::boundary_of(*media);
  if (!boundary) {
    return permanent_error("api.bad_boundary", "multipart/related must name a boundary.");
  }
  plan.boundary = *std::move(boundary);
  return {};
}

}  // namespace

std::optional<AnswerForm> answer_form(const http::Head& head) {
  std::string all;  // several fields are one list
  for (const auto& [name, value] : head.headers.all()) {
    if (http::Headers{{name, value}}.contains("Accept")) all += (all.empty() ? "" : ",") + value;
  }
  if (all.empty()) return AnswerForm::json;
  const auto accepted = wire::parse_accept(all);
  std::optional<AnswerForm> chosen;
  double best = 0;
  for (const NamedForm& one : kForms) {
    const double quality = quality_of(one.type, accepted);
    if (quality <= best) continue;
    best = quality;
    chosen = one.form;
  }
  return chosen;
}

Result<Plan> plan_of(const http::Head& head, const std::string& study) {
  Plan plan;
  if (!study.empty() && !Uid::parse(study)) {
    return permanent_error("api.bad_study_uid", "The path's StudyInstanceUID is no UID.");
  }
  plan.study = study;
  const auto form = answer_form(head);
  if (!form) {
    return permanent_error("api.not_acceptable",
                           "Answers are application/dicom+json or application/dicom+xml.");
  }
  plan.form = *form;
  const std::string_view named = head.headers.get("Content-Encoding", "identity");
  if (named == "gzip" || named == "x-gzip") {
    plan.gzip = true;
  } else if (named != "identity") {
    return permanent_error("api.media_type", "The only content coding here is gzip.");
  }
  TRY(plan_body(head, plan));
  return plan;
}

}  // namespace isthmus::api::stow
