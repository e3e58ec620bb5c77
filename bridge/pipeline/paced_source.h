// Bytes no faster than a destination's bandwidth. Private to the pipeline.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "pipeline/scheduler.h"

namespace isthmus {

constexpr std::uint64_t kPacedAsAWhole = 16 * MiB;

// The same bytes. Up to kPacedAsAWhole they go at once, on account: a request of bounded time must
// not be held up in its middle. Of more, each read waits for what was read before it (stores send
// those in parts, which they read ahead), and counts again after a rewind, as the line does. The
// source itself when there is no limit. `clock` and `scheduler` must outlive it.
std::shared_ptr<ByteSource> paced(Clock& clock, Scheduler& scheduler,
                                  std::shared_ptr<ByteSource> bytes);

}  // namespace isthmus
