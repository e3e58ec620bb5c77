// Remembers refused senders for a person, without ever keeping a receiver waiting: what is refused
// is noted in memory, and brought into the ledger by whoever has time for it. Losing a note in a
// crash costs nothing: whoever still wants to send comes again.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "base/env.h"
#include "ledger/sender_rows.h"
#include "senders/senders.h"

namespace isthmus {

// Any thread. Counts senders_overlooked_total (refused, but not noted or forgotten again because
// there were too many) and sets senders_waiting_count.
class SenderJournal {
 public:
  // References must outlive it.
  SenderJournal(Env& env, SenderRows& rows);

  // `asked` sums up what was asked for. Never blocks on I/O; at most kMostNotes senders wait to be
  // written.
  void note(const SenderRequest& request, SenderRefusal refusal, std::string_view asked);
  // Writes what was noted since the last time. Errors are kept for later: the notes stay.
  Result<void> flush();
  // Brings senders_waiting_count up to date.
  void measure();

 private:
  static constexpr std::size_t kMostNotes = 256;
  using Key = std::tuple<std::string, std::string, std::string, std::string>;

  Env& env_;
  SenderRows& rows_;
  Counter& overlooked_;
  Gauge& waiting_;
  std::mutex mutex_;
  std::map<Key, RefusedSender> notes_;
};

}  // namespace isthmus
