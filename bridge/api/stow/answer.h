// What became of each instance of a Store request, and the Store Instances Response Module that
// says so (PS3.18 Annex I), in JSON or XML. Private to api/stow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/stow/plan.h"
#include "base/error.h"
#include "http/http.h"

namespace isthmus::api::stow {

// Reasons, as far as they are not statuses of C-STORE. All are in docs/CONFORMANCE.md.
constexpr std::uint16_t kOtherStudy = 0xA901;    // not of the study in the path
constexpr std::uint16_t kNoSuchSyntax = 0xC122;  // transfer syntax not supported
constexpr std::uint16_t kUnreadable = 0xC000;
constexpr std::uint16_t kCoerced = 0xB000;      // a warning: said to be UTF-8, as it came
constexpr std::uint16_t kHeadDiffers = 0xB007;  // a warning: file meta information names another

struct Outcome {
  std::string sop_class_uid;     // empty where nobody could tell
  std::string sop_instance_uid;  // likewise
  std::string study_instance_uid;
  std::string series_instance_uid;
  std::optional<std::uint16_t> failure;  // nothing: stored
  std::optional<std::uint16_t> warning;
  bool transient = false;   // the same request may succeed later
  bool unreadable = false;  // it is no DICOM at all

  static Outcome failed(const Error& error);
};
using Outcomes = std::vector<Outcome>;

// FailureReason of an instance that could not be stored for this error.
std::uint16_t failure_reason(const Error& error);

// PS3.18 table 10.5.3-1: 200, 202, 409, or 400 when nothing but bytes that are no DICOM came; 503
// when nothing was stored for want of room. 204 without any instance.
int status_of(const Outcomes& outcomes);

// With Retry-After where the status asks for it.
http::Response answer_module(int status, const Outcomes& outcomes, AnswerForm form,
                             const std::string& retrieve_url);

}  // namespace isthmus::api::stow
