// What the ledger keeps of senders: those a person admitted or blocked while the gateway runs, and
// those that were refused and wait for a person. Threads, durability and errors are those of
// ledger/ledger.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus {

// A person's word on a sender.
struct SenderRow {
  std::string name;  // 1 to 32 characters
  bool blocked = false;
  std::string definition;  // opaque here; senders/definition.h writes and reads it
  WallTime changed_at;
};

// A sender that was refused, as it is remembered. What the other side said is escaped already and
// of bounded length.
struct RefusedSender {
  std::string calling_ae_title;
  std::string called_ae_title;
  std::string peer_address;
  std::string certificate_fingerprint;  // SHA-256, hex; empty: it showed none
  std::string certificate_name;
  std::string reason;  // of the last time: "unknown_sender"
  std::string asked;   // what it asked for the last time, summed up for people
  std::int64_t times = 0;
  WallTime first_at;
  WallTime last_at;
};

class SenderRows {
 public:
  // How many refused senders are remembered, in all and of one address. Beyond, the one of that
  // address, or of all, that was seen longest ago is forgotten: whoever makes up names loses its
  // own first.
  static constexpr std::int64_t kMostRefused = 1'000;
  static constexpr std::int64_t kMostRefusedOfAddress = 32;

  virtual ~SenderRows() = default;

  // By name. put() replaces a row of the same name; remove() tells whether there was one.
  virtual Result<std::vector<SenderRow>> senders() = 0;
  virtual Result<void> put(const SenderRow& row) = 0;
  virtual Result<bool> remove(std::string_view name) = 0;

  // Adds to what is known under the same titles, address and certificate: times add up, the first
  // date stays, the rest is the newer one's. One transaction. Gives how many were forgotten for it.
  virtual Result<std::int64_t> remember(const std::vector<RefusedSender>& refused) = 0;
  // The last seen first.
  virtual Result<std::vector<RefusedSender>> refused() = 0;
  // Forgets those that call themselves this and, unless it is empty, come from this address. Gives
  // how many.
  virtual Result<std::int64_t> forget(std::string_view calling_ae_title,
                                      std::string_view peer_address) = 0;
};

}  // namespace isthmus
