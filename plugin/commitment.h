// Storage commitment as Orthanc asks for it: Orthanc takes the N-ACTION and sends the report; for
// each reference it asks here, in a job of its own, and what the ledger says is the answer.
// "Committed" means what it means for the daemon (bridge/docs/COMMITMENT.md).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/env.h"
#include "ledger/commitments.h"
#include "ledger/ledger.h"

namespace isthmus::plugin {

enum class Standing {
  committed,
  unknown,      // never received
  not_storage,  // never received, and of a SOP class that nobody stores
  other_class,  // held under another SOP class
  failing,      // rejected or in quarantine at a destination that it has to reach
  homeless,     // held, but goes to no destination
  on_way,
};

// Of all that is held under one SOP Instance UID. `levels` are the destinations'; `of_sender`, when
// there is one, goes before them. A destination that `levels` does not name has to import.
Standing standing_of(std::span<const InstanceView> held, std::string_view sop_class_uid,
                     const CommitmentLevels& levels, std::optional<CommitmentLevel> of_sender);

// One request. Orthanc asks from one thread at a time.
class CommitmentHandler {
 public:
  struct Means {
    Env& env;
    Ledger& ledger;
    CommitmentLevels levels;
    std::optional<CommitmentLevel> of_sender;
    Milliseconds wait;  // for all references together
    const std::atomic<bool>& stopping;
  };
  explicit CommitmentHandler(Means means)
      : means_(std::move(means)), until_(means_.env.clock.steady_now() + means_.wait) {}

  // Waits while the answer may still become better. Errors of the ledger.
  Result<Standing> look_up(const std::string& sop_class_uid, const std::string& sop_instance_uid);

 private:
  const Means means_;
  const SteadyTime until_;
};

}  // namespace isthmus::plugin
