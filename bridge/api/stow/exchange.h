// One Store request from its head to its answer. Private to api/stow.
#pragma once

#include <optional>

#include "api/stow/parts.h"
#include "wire/gzip.h"

namespace isthmus::api::stow {

// Parts are committed while the next one comes, the last one before the answer: what came before a
// body broke off is kept, and a client that sends it again is told that it is stored. One thread at
// a time.
class StowExchange : public http::Exchange {
 public:
  // `place` is this request's among all that are worked on.
  StowExchange(Core& core, Asking asking, SenderShares::Place place);
  ~StowExchange() override;

  bool feed(ByteSpan piece) override;
  Milliseconds pause() override;
  http::Response finish() override;

 private:
  // Why the rest of the body is not wanted.
  struct Stop {
    int status = 400;
    Error error;
  };
  Result<void> take(ByteSpan plain);
  Result<void> conclude_body();
  std::optional<Error> overdue() const;
  void stop(Error error);
  http::Response answer();

  Core& core_;
  const Asking asking_;
  SenderShares::Place place_;
  Instances instances_;
  std::unique_ptr<Parts> parts_;
  std::optional<wire::MultipartReader> reader_;
  std::optional<wire::GzipReader> gzip_;
  std::optional<Stop> stop_;
  std::uint64_t body_bytes_ = 0;   // as they came
  std::uint64_t plain_bytes_ = 0;  // without the content coding
  std::size_t paced_instances_ = 0;
  const SteadyTime began_;
  Milliseconds to_wait_{0};
  Milliseconds waited_{0};  // because we said so
};

}  // namespace isthmus::api::stow
