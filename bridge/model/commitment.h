// Storage commitment (PS3.4 annex J): a requester asks whether we take over safekeeping of a list
// of instances, and is told once, for each of them, when that is known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/env.h"
#include "base/ids.h"
#include "model/transitions.h"

namespace isthmus {

using CommitmentId = Id<struct CommitmentTag>;

// What "committed" means, weakest first (bridge/docs/COMMITMENT.md).
enum class CommitmentLevel {
  spooled,   // bytes and row would survive a power cut of the gateway
  staged,    // in the bucket, its checksum verified by the service
  imported,  // the import's own manifest says so
};
std::string_view to_string(CommitmentLevel level);
std::optional<CommitmentLevel> commitment_level_from(std::string_view text);

// Failure Reason (0008,1197), PS3.3 section C.14.1.1.
enum class FailureReason : std::uint16_t {
  none = 0,
  processing_failure = 0x0110,
  no_such_instance = 0x0112,
  class_instance_conflict = 0x0119,
  duplicate_transaction = 0x0131,
  resource_limitation = 0x0213,
};

// A list of (SOP class, SOP instance), held tightly: requests of tens of thousands occur, and a
// string for each UID would take three times as much memory.
class SopReferences {
 public:
  static constexpr std::size_t kMostClasses = 1024;  // the standard has about 250

  struct Reference {
    std::string_view sop_class_uid;
    std::string_view sop_instance_uid;
    auto operator<=>(const Reference&) const = default;
  };

  // False, and nothing is added, when the list would be of more SOP classes than there are.
  [[nodiscard]] bool add(const Uid& sop_class_uid, const Uid& sop_instance_uid);
  // Brings them into order and drops what stands twice: each is answered exactly once.
  void sort_and_unite();
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  // Valid until the next add().
  Reference operator[](std::size_t place) const;
  // Of a list that was sorted: two lists of the same references have the same.
  Digest digest() const;

 private:
  struct Entry {
    std::uint32_t offset;
    std::uint16_t sop_class;  // place in classes_
    std::uint8_t length;
  };
  Reference reference(const Entry& entry) const;

  std::string text_;  // the instance UIDs, one after the other
  std::vector<std::string> classes_;
  std::vector<Entry> entries_;
};

// What a requester asks, as N-ACTION brought it.
struct CommitmentRequest {
  Uid transaction_uid;
  std::string calling_ae_title;  // the requester: reports go to where it is configured to listen
  std::string called_ae_title;   // ours as it knows us: reports come from it (PS3.4 J.3.3)
  std::string peer_address;
  SopReferences references;              // sorted and united, not empty
  std::optional<CommitmentLevel> level;  // nothing: as each destination says
  WallTime unknown_until;                // what never came is waited for until then
  WallTime answer_until;                 // what is on its way is waited for until then
};

// A request as the ledger knows it.
struct Commitment {
  CommitmentId id;
  Uid transaction_uid;
  std::string calling_ae_title;
  std::string called_ae_title;
  std::string peer_address;
  std::int64_t references = 0;
  std::optional<CommitmentLevel> level;
  // Another list came under this Transaction UID while it was active: all of this one fails.
  bool duplicate = false;
  CommitmentState state = CommitmentState::pending;
  WallTime state_since;
  WallTime requested_at;
  WallTime unknown_until;
  WallTime answer_until;
  std::int64_t failed = 0;               // references that were not committed, once answered
  std::optional<WallTime> report_until;  // once answered: reports are tried until then
  std::int64_t attempts = 0;             // reports that nobody acknowledged, since it was answered
  std::optional<WallTime> next_attempt_at;  // absent when done or when it asks for a person
  std::string error_code;                   // the last one
  std::string error;
};

// One reference with its result.
struct CommitmentResult {
  std::string sop_class_uid;
  std::string sop_instance_uid;
  FailureReason reason = FailureReason::none;
  std::string detail;  // of a failure, for people: the service's own words
};

}  // namespace isthmus
