#include "datastore/engine/upkeep.h"

namespace isthmus::datastore {
namespace {

constexpr Milliseconds kEvery{600'000};

}  // namespace

void Upkeep::start() {
  if (thread_.joinable()) return;
  stopping_ = false;
  thread_ = Thread(env_, "ds-upkeep", [this] { work(); });
}

void Upkeep::stop() {
  stopping_ = true;
  wakeup_.notify();
  thread_.join();
}

void Upkeep::work() {
  while (!stopping_) {
    const Result<void> done = run_once();
    if (!done) env_.log.warn("datastore.upkeep_postponed", {{"code", done.error().code}});
    if (!stopping_) wakeup_.wait_for(kEvery);
  }
}

Result<void> Upkeep::run_once() {
  TRY_ASSIGN(const std::size_t ended, objects_.end_abandoned_uploads(upload_life_));
  if (ended > 0) env_.log.info("datastore.uploads_abandoned", {{"uploads", ended}});
  return {};
}

}  // namespace isthmus::datastore
