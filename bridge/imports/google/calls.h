// Calls of the Healthcare API: with a token, retried, their refusals read. Private to imports. Any
// thread.
#pragma once

#include <string>

#include "auth/tokens.h"
#include "http/http.h"
#include "http/retrying.h"

namespace isthmus::google {

class Calls {
 public:
  Calls(Env& env, http::Transport& transport, TokenSource& tokens, std::string endpoint,
        http::RetryPolicy retry);
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  // The body of an answer that is a success; `target` begins with a slash. Errors as
  // ImportService has them; an answer that cannot be read is "import.unavailable".
  Result<std::string> get(const std::string& target, const char* accept = "application/json");
  Result<std::string> post(const std::string& target, std::string json);
  // Sent once: again might do it twice.
  Result<std::string> post_once(const std::string& target, std::string json);
  // A body as it is, sent once. The answer of any status, and its text.
  struct Answer {
    int status = 0;
    std::string text;
    Error error;  // what the status means when it is no success
  };
  Result<Answer> store(const std::string& target, std::shared_ptr<ByteSource> dicom);
  // Removing what is not there succeeds.
  Result<void> remove(const std::string& target);
  // The body as a stream.
  Result<std::unique_ptr<ByteSource>> open(const std::string& target, const char* accept);

 private:
  http::Request request(const char* method, const std::string& target) const;
  Result<http::Response> succeed(http::Transport& by, http::Request request);
  Result<std::string> text(Result<http::Response> response);

  Env& env_;
  const std::string endpoint_;
  BearerTransport bearer_;
  http::RetryingTransport http_;
};

// "import.unavailable" for what cannot be read: a proxy's page, an answer cut short.
template <typename T>
Result<T> understood(Result<T> parsed) {
  if (parsed.ok()) return parsed;
  return transient_error("import.unavailable", parsed.error().message);
}

}  // namespace isthmus::google
