// What went wrong, as a value. An error here is data: it chooses an instance's next state, is kept
// in a row, and becomes a DIMSE or HTTP status, so it carries what those need and nothing of the
// patient.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus {

// Decided where the error is born, acted on in the one place that can postpone or give up.
enum class Fate {
  transient,  // the same thing may succeed later
  permanent,  // this input never will
  fatal,      // our own disk or database can no longer be trusted: close admission, stop
};

// "transient", "permanent", "fatal".
std::string_view to_string(Fate fate);

struct Error {
  std::string code;     // stable and documented: "s3.slow_down"; never branch on anything else
  std::string message;  // one sentence: what was wrong and what to do; no patient data, no secrets
  Fate fate = Fate::permanent;
  // How long the other side asked us to wait (HTTP Retry-After), when it did.
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;

  bool operator==(const Error&) const = default;
};

Error transient_error(std::string code, std::string message);
Error permanent_error(std::string code, std::string message);
Error fatal_error(std::string code, std::string message);

// "s3.slow_down (transient): The bucket asks for fewer requests." For logs and rows.
std::string describe(const Error& error);

}  // namespace isthmus
