#include "api/stow/exchange.h"

#include "api/problem.h"
#include "base/failpoint.h"

namespace isthmus::api::stow {
namespace {

// A body that is slower than this, once a minute is over, only holds a place.
constexpr std::uint64_t kLeastBytesPerSecond = 1 * KiB;
constexpr Milliseconds kAnySpeed{60'000};

int status_for(const Error& error) {
  if (error.code == "stow.too_slow") return 408;
  if (error.code == "api.too_large" || error.code == "multipart.too_large") return 413;
  return error.fate == Fate::permanent ? 400 : 503;
}

}  // namespace

StowExchange::StowExchange(Core& core, Asking asking, SenderShares::Place place)
    : core_(core),
      asking_(std::move(asking)),
      place_(std::move(place)),
      instances_(core_, asking_),
      parts_(asking_.plan.kind == BodyKind::files
                 ? make_file_parts(instances_)
                 : make_metadata_parts(core_, instances_, asking_.plan.kind)),
      began_(core.env.clock.steady_now()) {
  core_.open.add(1);
  if (asking_.plan.gzip) gzip_.emplace();
  if (asking_.plan.multipart) {
    wire::MultipartLimits limits;
    limits.parts = core.options.max_parts;
    limits.lf_in_heads = true;
    reader_.emplace(asking_.plan.boundary, *parts_, limits);
  } else {
    ignore(parts_->begin_part({}), "what cannot begin is told when it ends");
  }
}

StowExchange::~StowExchange() {
  core_.open.add(-1);
}

bool StowExchange::feed(ByteSpan piece) {
  if (stop_) return false;
  body_bytes_ += piece.size();
  to_wait_ += place_.pace_bytes(piece.size());
  if (auto late = overdue()) stop(*std::move(late));
  if (stop_) return false;
  const Result<void> taken =
      gzip_ ? gzip_->feed(piece, [this](ByteSpan plain) { return take(plain); }) : take(piece);
  if (!taken.ok()) stop(taken.error());
  for (; paced_instances_ < instances_.concluded(); ++paced_instances_) {
    to_wait_ += place_.pace_instance();
  }
  return !stop_;
}

Milliseconds StowExchange::pause() {
  waited_ += to_wait_;
  return std::exchange(to_wait_, Milliseconds(0));
}

Result<void> StowExchange::take(ByteSpan plain) {
  plain_bytes_ += plain.size();
  if (plain_bytes_ > core_.options.max_body_bytes) {
    return permanent_error("api.too_large", "The body is larger than allowed here.");
  }
  return reader_ ? reader_->feed(plain) : parts_->part_bytes(plain);
}

std::optional<Error> StowExchange::overdue() const {
  const auto took = core_.env.clock.steady_now() - began_ - waited_;
  const bool crawls =
      took > kAnySpeed &&
      body_bytes_ * 1000 / static_cast<std::uint64_t>(took.count()) < kLeastBytesPerSecond;
  if (!crawls && took <= core_.options.request_timeout) return std::nullopt;
  return permanent_error("stow.too_slow", "The body took too long.");
}

void StowExchange::stop(Error error) {
  const int status = status_for(error);
  stop_ = Stop{status, std::move(error)};
}

Result<void> StowExchange::conclude_body() {
  if (gzip_) TRY(gzip_->finish());
  if (reader_) {
    TRY(reader_->finish());
  } else {
    TRY(parts_->end_part());
  }
  return parts_->finish();
}

http::Response StowExchange::finish() {
  if (!stop_) {
    if (auto whole = conclude_body(); !whole.ok()) stop(std::move(whole).error());
  }
  instances_.settle();
  FAILPOINT(stow_before_answer);
  http::Response response = answer();
  const auto took = core_.env.clock.steady_now() - began_;
  core_.seconds.observe(std::chrono::duration<double>(took).count());
  core_.env.log.info("stow.answered",
                     {{"request", asking_.origin.association_id},
                      {"sender", asking_.sender.name},
                      {"status", response.status},
                      {"code", stop_ ? stop_->error.code : ""},
                      {"stored", instances_.stored()},
                      {"failed", instances_.outcomes().size() - instances_.stored()},
                      {"body_bytes", body_bytes_},
                      {"took_ms", took.count()}});
  core_.env.metrics
      .counter("stow_requests_total", "Store requests answered, by status",
               {{"status", std::to_string(response.status)}})
      .add();
  return response;
}

http::Response StowExchange::answer() {
  Outcomes& outcomes = instances_.outcomes();
  const std::string& base = core_.options.retrieve_url;
  if (!stop_) return answer_module(status_of(outcomes), outcomes, asking_.plan.form, base);
  if (outcomes.empty()) return problem(stop_->status, stop_->error);
  // Some came before it broke off: they are told apart from the one that did not.
  outcomes.push_back(Outcome::failed(stop_->error));
  return answer_module(stop_->status, outcomes, asking_.plan.form, base);
}

}  // namespace isthmus::api::stow
