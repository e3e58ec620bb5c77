#include "imports/google/calls.h"

#include <fmt/format.h>

#include "wire/healthcare.h"

namespace isthmus::google {
namespace {

constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;
constexpr std::uint64_t kMaxAnswerBytes = 64 * MiB;  // a page of a search
constexpr Milliseconds kDownloadTimeout{3'600'000};
constexpr Milliseconds kUploadTimeout{1'800'000};  // "30 min limit" (contract section 6)

struct Meaning {
  const char* code;
  Fate fate;
};

// contracts/google-healthcare section 4. A store that is not to be seen is denied (403).
Meaning meaning_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return {"import.denied", Fate::permanent};
    case 404:
      return {"import.not_found", Fate::permanent};
    case 409:
      return {"import.unavailable", Fate::transient};  // ABORTED, or something at work there
    case 408:
    case 499:
      return {"import.unavailable", Fate::transient};
    case 429:
      return {"import.throttled", Fate::transient};
    default:
      return status >= 500 ? Meaning{"import.unavailable", Fate::transient}
                           : Meaning{"import.invalid", Fate::permanent};
  }
}

Error error_of(http::Response& response, WallTime now) {
  std::string body;
  if (response.body) {
    if (auto text = read_all(*response.body, kMaxErrorBytes); text.ok()) body = std::move(*text);
  }
  const wire::healthcare::ErrorBody said = wire::healthcare::read_error(body);
  const Meaning meaning = meaning_of(response.status);
  return Error{meaning.code,
               fmt::format("The Healthcare API answered {} {}.", response.status,
                           said.status.empty() ? "without a name" : said.status),
               meaning.fate, http::retry_after_of(response.headers, now)};
}

}  // namespace

Calls::Calls(Env& env, http::Transport& transport, TokenSource& tokens, std::string endpoint,
             http::RetryPolicy retry)
    : env_(env),
      endpoint_([&] {
        while (endpoint.ends_with('/')) endpoint.pop_back();
        return endpoint;
      }()),
      bearer_(transport, tokens),
      http_(env, bearer_, retry, nullptr) {}

http::Request Calls::request(const char* method, const std::string& target) const {
  http::Request request;
  request.method = method;
  request.url = endpoint_ + target;
  return request;
}

Result<http::Response> Calls::succeed(http::Transport& by, http::Request request) {
  TRY_ASSIGN(http::Response response, by.send(std::move(request)));
  if (response.status >= 200 && response.status < 300) return response;
  return error_of(response, env_.clock.wall_now());
}

Result<std::string> Calls::text(Result<http::Response> response) {
  if (!response.ok()) return response.error();
  if (!response->body) return std::string();
  return read_all(*response->body, kMaxAnswerBytes);
}

Result<std::string> Calls::get(const std::string& target, const char* accept) {
  http::Request asked = request("GET", target);
  asked.headers.set("Accept", accept);
  return text(succeed(http_, std::move(asked)));
}

Result<std::string> Calls::post(const std::string& target, std::string json) {
  http::Request asked = request("POST", target);
  asked.headers.set("Content-Type", "application/json");
  asked.body = source_of(std::move(json));
  return text(succeed(http_, std::move(asked)));
}

Result<std::string> Calls::post_once(const std::string& target, std::string json) {
  http::Request asked = request("POST", target);
  asked.headers.set("Content-Type", "application/json");
  asked.body = source_of(std::move(json));
  return text(succeed(bearer_, std::move(asked)));
}

Result<Calls::Answer> Calls::store(const std::string& target, std::shared_ptr<ByteSource> dicom) {
  http::Request asked = request("POST", target);
  asked.headers.set("Content-Type", "application/dicom");
  asked.headers.set("Accept", "application/dicom+json");
  asked.timeout = kUploadTimeout;
  asked.body = std::move(dicom);
  TRY_ASSIGN(http::Response response, bearer_.send(std::move(asked)));
  Answer answer{response.status, "", {}};
  if (response.body) {
    TRY_ASSIGN(answer.text, read_all(*response.body, kMaxAnswerBytes));
  }
  response.body = source_of(answer.text);
  answer.error = error_of(response, env_.clock.wall_now());
  return answer;
}

Result<void> Calls::remove(const std::string& target) {
  const auto gone = succeed(http_, request("DELETE", target));
  if (!gone.ok() && gone.error().code != "import.not_found") return gone.error();
  return {};
}

Result<std::unique_ptr<ByteSource>> Calls::open(const std::string& target, const char* accept) {
  http::Request asked = request("GET", target);
  asked.headers.set("Accept", accept);
  asked.timeout = kDownloadTimeout;
  TRY_ASSIGN(http::Response response, succeed(http_, std::move(asked)));
  if (!response.body) return source_of(std::string());
  return std::move(response.body);
}

}  // namespace isthmus::google
