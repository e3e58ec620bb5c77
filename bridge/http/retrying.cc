#include "http/retrying.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace isthmus::http {
namespace {

// Error names that mean "slower", whatever the status: the list of AWS SDKs' standard retry mode
// (docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
constexpr std::array<std::string_view, 14> kThrottles = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
};
constexpr std::uint64_t kErrorBodyBytes = 64 * KiB;

// "com.amazonaws.medicalimaging#ThrottlingException:http://…" is a ThrottlingException (the name is
// between the last '#' and the first ':').
bool is_throttle(std::string_view error_name) {
  error_name = error_name.substr(0, error_name.find(':'));
  const std::size_t hash = error_name.rfind('#');
  if (hash != std::string_view::npos) error_name.remove_prefix(hash + 1);
  return std::ranges::find(kThrottles, error_name) != kThrottles.end();
}

// The text of the JSON string member `key`, found by eye: names of errors hold no escapes.
std::string_view member(std::string_view json, std::string_view key) {
  const std::size_t at = json.find("\"" + std::string(key) + "\"");
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + key.size() + 2);
  const std::size_t value = json.find_first_not_of(" \t\r\n:");
  if (value == std::string_view::npos || json[value] != '"') return {};
  json.remove_prefix(value + 1);
  return json.substr(0, json.find('"'));
}

// Looks into a 402's body, and gives the response another of the same bytes.
Result<bool> body_names_throttle(Response& response) {
  if (!response.body || response.body->size() > kErrorBodyBytes) return false;
  TRY_ASSIGN(std::string text, read_all(*response.body, kErrorBodyBytes));
  const bool throttle = is_throttle(member(text, "__type")) || is_throttle(member(text, "code"));
  response.body = source_of(std::move(text));
  return throttle;
}

Result<bool> worth_another_try(Response& response) {
  switch (response.status) {
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    case 402:
      if (is_throttle(response.headers.get("x-amzn-errortype"))) return true;
      return body_names_throttle(response);
    default:
      return false;
  }
}

}  // namespace

std::optional<Milliseconds> retry_after_of(const Headers& headers, WallTime now) {
  const auto text = headers.find("Retry-After");
  if (!text) return std::nullopt;
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (error == std::errc() && end == text->data() + text->size()) {
    return std::chrono::seconds(seconds);
  }
  if (const auto date = from_http_date(*text)) return std::max(*date - now, Milliseconds(0));
  return std::nullopt;
}

RetryingTransport::RetryingTransport(Env& env, Transport& next, RetryPolicy policy,
                                     BeforeTry before_try)
    : env_(env), next_(next), policy_(policy), before_try_(std::move(before_try)) {}

Result<Response> RetryingTransport::send(Request request) {
  const SteadyTime last_start = env_.clock.steady_now() + policy_.budget;
  Milliseconds ceiling = policy_.first_backoff;
  for (int attempt = 1;; ++attempt) {
    // A fresh copy each time: what signing adds must not pile up.
    Request next_try = request;
    if (next_try.body) TRY(next_try.body->rewind());
    if (before_try_) TRY(before_try_(next_try));
    Result<Response> answer = next_.send(std::move(next_try));

    std::optional<Milliseconds> asked;
    if (answer.ok()) {
      Result<bool> again = worth_another_try(*answer);
      if (!again.ok()) {
        answer = std::move(again).error();
      } else if (!*again) {
        return answer;
      } else {
        asked = retry_after_of(answer->headers, env_.clock.wall_now());
      }
    }
    if (!answer.ok()) {
      if (answer.error().fate != Fate::transient) return answer;
      asked = answer.error().retry_after;
    }

    // Full jitter: anything from nothing to the ceiling, so that many waiting callers spread out.
    const auto jittered = Milliseconds(static_cast<std::int64_t>(
        unit_random(env_.entropy) * static_cast<double>(ceiling.count())));
    const Milliseconds wait = std::max(jittered, asked.value_or(Milliseconds(0)));
    ceiling = std::min(ceiling * 2, policy_.longest_backoff);
    if (attempt >= policy_.attempts || env_.clock.steady_now() + wait > last_start) return answer;
    answer = transient_error("http.closed", "given up");  // ends the old answer's connection first
    env_.clock.sleep_for(wait);
  }
}

}  // namespace isthmus::http
