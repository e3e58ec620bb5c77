// The one retry loop of a request path: again by fate and by status, with full jitter and a budget.
#pragma once

#include "http/http.h"

namespace isthmus::http {

struct RetryPolicy {
  int attempts = 4;                 // in all
  Milliseconds first_backoff{200};  // doubles each time, full jitter
  Milliseconds longest_backoff{10'000};
  Milliseconds budget{60'000};  // no try starts after this
};

// Called before each try, with the body rewound: signing belongs here, because its date must be
// fresh.
using BeforeTry = std::function<Result<void>(Request&)>;

// How long the answer asks to wait: Retry-After in seconds or as a date (RFC 9110 section 10.2.3).
// Nothing when it does not say, or not in a way that can be read.
std::optional<Milliseconds> retry_after_of(const Headers& headers, WallTime now);

// Tries again on transport errors and on 429, 500, 502, 503, 504, and 402 when its error name is a
// throttle; honours Retry-After (seconds or date) up to the budget. The last answer is returned as
// is.
class RetryingTransport : public Transport {
 public:
  RetryingTransport(Env& env, Transport& next, RetryPolicy policy, BeforeTry before_try);
  Result<Response> send(Request request) override;

 private:
  Env& env_;
  Transport& next_;
  RetryPolicy policy_;
  BeforeTry before_try_;
};

}  // namespace isthmus::http
