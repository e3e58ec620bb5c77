// A transport that answers from a script and remembers what it was asked. One thread at a time.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "http/http.h"

namespace isthmus::test {

class ScriptedTransport : public http::Transport {
 public:
  struct Seen {
    std::string method;
    std::string url;
    http::Headers headers;
    std::string body;
    Milliseconds timeout{0};
  };

  // What comes next, in order.
  ScriptedTransport& answers(int status, std::string body = "", http::Headers headers = {}) {
    script_.push_back([=](const Seen&) -> Result<http::Response> {
      return http::Response{status, headers, source_of(body)};
    });
    return *this;
  }
  ScriptedTransport& fails(Error error, int times = 1) {
    for (int at = 0; at < times; ++at) {
      script_.push_back([error](const Seen&) -> Result<http::Response> { return error; });
    }
    return *this;
  }
  // Runs when the next answer is asked for, before it is given.
  ScriptedTransport& after(std::function<void()> action) {
    before_next_ = std::move(action);
    return *this;
  }

  Result<http::Response> send(http::Request request) override {
    Seen seen{request.method, request.url, request.headers, "", request.timeout};
    if (request.body) {
      TRY_ASSIGN(seen.body, read_all(*request.body, request.body->size() + 1));
    }
    seen_.push_back(seen);
    if (before_next_) std::exchange(before_next_, nullptr)();
    if (script_.empty()) {
      ADD_FAILURE() << "nothing is scripted for " << seen.method << " " << seen.url;
      return permanent_error("test.no_script", "The script is at its end.");
    }
    const auto next = std::move(script_.front());
    script_.pop_front();
    return next(seen);
  }

  const std::vector<Seen>& seen() const { return seen_; }
  const Seen& last() const { return seen_.back(); }
  bool finished() const { return script_.empty(); }

 private:
  std::deque<std::function<Result<http::Response>(const Seen&)>> script_;
  std::function<void()> before_next_;
  std::vector<Seen> seen_;
};

}  // namespace isthmus::test
