// One received SOP instance: an immutable fact.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/env.h"
#include "base/ids.h"

namespace isthmus {

// Where bytes lie in the spool: opaque to everyone but the spool that made it.
struct SpoolRef {
  std::string text;
  bool operator==(const SpoolRef&) const = default;
};

// Who sent it and by which way in. AE titles are trimmed; they are labels, never trusted.
struct Origin {
  std::string receiver;  // "dimse", "stow", "orthanc"
  std::string calling_ae_title;
  std::string called_ae_title;
  std::string peer_address;    // "192.0.2.7"
  std::string association_id;  // our correlation id, also in Error Comments
  bool operator==(const Origin&) const = default;
};

// What the head of the data set says. patient_id and accession_number are only held in memory and
// in the spool, beside the data set: the ledger keeps keyed hashes.
struct Identity {
  Uid sop_class_uid;
  Uid sop_instance_uid;
  Uid series_instance_uid;
  Uid study_instance_uid;
  std::string patient_id;
  std::string modality;
  std::string accession_number = {};  // empty: none
};

// What the spool tells the ledger when the bytes of an instance are complete.
struct Arrival {
  InstanceId id;
  Identity identity;
  Origin origin;
  std::string transfer_syntax_uid;
  std::uint64_t size_bytes = 0;            // the whole Part 10 file
  std::uint64_t dataset_offset_bytes = 0;  // where the data set begins (after group 0002)
  Digest dataset_digest;  // of the data set exactly as received: decides "known already"
  Digest file_digest;     // of the whole Part 10 file: what the bucket must hold; empty when it
                          // is taken only while staging (decision 0012)
  SpoolRef spool_ref;
  WallTime received_at;
  // Names of the destinations it goes to, each once; nothing or none: every one that is configured.
  std::optional<std::vector<std::string>> destinations = std::nullopt;
};

// Where an arrival goes, of those that are configured.
const std::vector<std::string>& destinations_of(const Arrival& arrival,
                                                const std::vector<std::string>& configured);

// An instance as the ledger knows it.
struct Instance {
  InstanceId id;
  Uid sop_class_uid;
  Uid sop_instance_uid;
  Uid series_instance_uid;
  Uid study_instance_uid;
  std::string modality;
  Origin origin;
  std::string transfer_syntax_uid;
  std::uint64_t size_bytes = 0;
  std::uint64_t dataset_offset_bytes = 0;
  Digest dataset_digest;
  Digest file_digest;
  SpoolRef spool_ref;
  WallTime received_at;
  std::optional<InstanceId> conflicts_with;  // the first instance with this UID and other bytes
  bool identity_conflict = false;    // … and another patient or study: a patient-safety event
  std::optional<WallTime> freed_at;  // its spool bytes were given back
  std::string accession_hash = {};   // keyed; empty: none, or received before it was kept
};

// The answer of a commit. `known` means: same identity and same bytes were stored before; `id` is
// that earlier instance and no new row was made. A spool whose rows follow its promises finds that
// out later: then `known` is false, and no row of this id is ever made.
struct Receipt {
  InstanceId id;
  bool known = false;
  // Known, and it goes to another destination now, but its bytes had been freed: the row names the
  // bytes that came, which stay. Else the bytes of a known instance are not needed.
  bool bytes_taken = false;
};

}  // namespace isthmus
