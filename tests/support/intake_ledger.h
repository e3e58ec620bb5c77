// A MemoryLedger for what stands on Ledger::record (the spool, the power-cut suite): it makes bytes
// durable as the real one does, can be looked at and stopped at each moment of record(), and its
// rows survive every power cut. Unlike the real one it groups nothing. Any thread; set hooks while
// nobody records.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "support/memory_ledger.h"

namespace isthmus::test {

class IntakeLedger : public MemoryLedger {
 public:
  explicit IntakeLedger(Env& env) : MemoryLedger(env, {}) {}

  Result<Receipt> record(const Arrival& arrival, Durable* bytes) override;
  Result<bool> has_instance(const InstanceId& id) override;
  Result<bool> names(const SpoolRef& ref) override;

  // --- faults ---------------------------------------------------------------------------------
  // The next record() fails after the bytes are durable; `row_stays` is a commit that reached the
  // disk although it was reported as failed.
  void fail_next_record(Error error, bool row_stays = false);
  // Called in record(): when the bytes are durable and the row is not yet; when the row is and
  // nobody knows.
  std::function<void()> before_row, after_row;
  // As if the row had never been committed: has_instance() and
  // names() deny it.
  void forget(const InstanceId& id);

  // As if the sweeper had freed its bytes and concluded.
  void freed(const InstanceId& id) { note_freed_unasked(id); }

  // --- what it knows --------------------------------------------------------------------------
  std::vector<Arrival> arrivals() const;
  // The Durable of each record() that got so far, in order, known ones included.
  std::vector<Durable*> durables() const;

 protected:
  void followed(const Arrival& arrival) override;
  void moved(const InstanceId& instance, const SpoolRef& to) override;

 private:
  mutable std::mutex mutex_;
  std::map<InstanceId, Arrival> arrivals_;
  std::set<InstanceId> forgotten_;
  std::set<std::string> forgotten_refs_;
  std::vector<Durable*> durables_;
  std::optional<std::pair<Error, bool>> next_failure_;
};

}  // namespace isthmus::test
