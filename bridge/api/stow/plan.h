// What a Store request asks for, read from its head alone: which kind of body, and in which form
// the answer is wanted. Private to api/stow.
#pragma once

#include <optional>
#include <string>

#include "http/http.h"

namespace isthmus::api::stow {

enum class AnswerForm { json, xml };
enum class BodyKind {
  files,  // Part 10 files
  json,   // metadata of all instances in DICOM JSON, and bulk data
  xml,    // metadata in the Native DICOM Model, a part for each instance, and bulk data
};

struct Plan {
  std::string study;  // every instance is of it; empty: of any
  BodyKind kind = BodyKind::files;
  bool multipart = true;  // else the body is one file
  std::string boundary;
  bool gzip = false;
  AnswerForm form = AnswerForm::json;
};

// All permanent: "api.bad_study_uid", "api.bad_body" (there is none), "api.bad_boundary" (400),
// "api.not_acceptable" (406), "api.media_type" (415; the content coding, too).
Result<Plan> plan_of(const http::Head& head, const std::string& study);
// The form of an answer that this Accept header takes: JSON when it does not care (contract
// section 1), nothing when it takes neither.
std::optional<AnswerForm> answer_form(const http::Head& head);

}  // namespace isthmus::api::stow
