// What a spool asks of the ledger whose promises come before their rows: the rows follow in the
// order of the promises, and each batch of them says how far it came, in the same transaction. So
// after a crash the spool knows which of its records may be without a row.
//
// Reached by Ledger::spool_rows(); threads, durability and errors as there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"

namespace isthmus {

// Every promise up to `sequence` has its row, or was found to need none. `generation` is that of
// the segment it lies in: the spool's own word, kept for it.
struct SpoolPosition {
  std::uint64_t sequence = 0;
  std::uint64_t generation = 0;
  bool operator==(const SpoolPosition&) const = default;
};

// An instance whose bytes were not given back.
struct HeldInstance {
  InstanceId id;
  SpoolRef spool_ref;
  std::uint64_t size_bytes = 0;
};

class SpoolRows {
 public:
  virtual ~SpoolRows() = default;
  // Zeros when nothing ever followed.
  virtual Result<SpoolPosition> position() = 0;
  // Makes rows as Ledger::record does, in this order, and notes the position, all in one
  // transaction. An arrival whose own row is there already keeps it as it is. A receipt for each.
  virtual Result<std::vector<Receipt>> follow(std::span<const Arrival> arrivals,
                                              const SpoolPosition& reached) = 0;
  // The bytes were copied from `from` to `to`: the row names the new place from now on. False, and
  // nothing is changed, when it does not name `from` or is claimed for freeing.
  virtual Result<bool> move(const InstanceId& instance, const SpoolRef& from,
                            const SpoolRef& to) = 0;
  // True when an instance that holds its bytes holds them there: start-up asks before it discards
  // what it finds.
  virtual Result<bool> names(const SpoolRef& ref) = 0;
  // Held instances with a reference behind `after` and before `before` (texts compared byte by
  // byte), in the order of references.
  virtual Result<std::vector<HeldInstance>> held(std::string_view after, std::string_view before,
                                                 std::size_t limit) = 0;
};

}  // namespace isthmus
