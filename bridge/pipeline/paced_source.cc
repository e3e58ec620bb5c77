#include "pipeline/paced_source.h"

#include <algorithm>

namespace isthmus {
namespace {

class PacedSource final : public ByteSource {
 public:
  PacedSource(Clock& clock, Scheduler& scheduler, std::shared_ptr<ByteSource> bytes)
      : clock_(clock), scheduler_(scheduler), bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_->size(); }
  Result<void> rewind() override { return bytes_->rewind(); }
  Result<std::size_t> read(MutableByteSpan into) override {
    // Uploads that wait for the same allowance take turns: whoever is woken first takes it.
    for (Milliseconds wait = scheduler_.until_bytes(); wait.count() > 0;
         wait = scheduler_.until_bytes()) {
      clock_.sleep_for(wait);
    }
    TRY_ASSIGN(const std::size_t got, bytes_->read(into));
    scheduler_.bytes_taken(got);
    return got;
  }

 private:
  Clock& clock_;
  Scheduler& scheduler_;
  const std::shared_ptr<ByteSource> bytes_;
};

}  // namespace

std::shared_ptr<ByteSource> paced(Clock& clock, Scheduler& scheduler,
                                  std::shared_ptr<ByteSource> bytes) {
  if (scheduler.state().upload_bytes_per_second == 0) return bytes;
  if (bytes->size() <= kPacedAsAWhole) {
    scheduler.bytes_taken(bytes->size());
    return bytes;
  }
  return std::make_shared<PacedSource>(clock, scheduler, std::move(bytes));
}

}  // namespace isthmus
