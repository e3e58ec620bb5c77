// Calls of HealthImaging: signed, retried, their answers read. What both ports' clients stand on.
// Private to imports. Any thread.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>

#include "auth/credentials.h"
#include "http/http.h"
#include "http/retrying.h"
#include "wire/healthimaging.h"

namespace isthmus::healthimaging {

struct CallOptions {
  std::string endpoint;
  std::string region;
  http::RetryPolicy retry;
};

class Calls {
 public:
  // Makes an error of an answer that is no success; reads its body.
  using ErrorOf = std::function<Error(http::Response&, WallTime now)>;

  // `transport` and `credentials` must outlive it. Answers that cannot be read are `unreadable`,
  // transient: a proxy's page, an answer cut short.
  Calls(Env& env, http::Transport& transport, CredentialsSource& credentials, CallOptions options,
        ErrorOf error_of, std::string unreadable);
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  // One operation: its request out, its answer in.
  template <typename Answer, typename Asked>
  Result<Answer> ask(const Asked& asked) {
    TRY_ASSIGN(const std::string text, ask_text(asked, kMaxAnswerBytes));
    Result<Answer> answer = wire::healthimaging::parse_response<Answer>(text);
    if (!answer.ok()) return transient_error(unreadable_, answer.error().message);
    return answer;
  }

  // The answer's body as it came, at most `limit` bytes.
  template <typename Asked>
  Result<std::string> ask_text(const Asked& asked, std::uint64_t limit) {
    return send(wire::healthimaging::to_call(asked), limit);
  }

 private:
  static constexpr std::uint64_t kMaxAnswerBytes = 8 * MiB;

  Result<std::string> send(wire::healthimaging::Call call, std::uint64_t limit);
  Result<void> sign(http::Request& request);

  Env& env_;
  CredentialsSource& credentials_;
  const CallOptions options_;
  const ErrorOf error_of_;
  const std::string unreadable_;
  http::RetryingTransport http_;
};

}  // namespace isthmus::healthimaging
