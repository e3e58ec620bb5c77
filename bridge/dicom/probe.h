// The identity of a data set from the head of its stream, without parsing the rest: fed piece by
// piece, iterative, bounded. Never a recursive parse, never an allocation from a declared length.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "model/instance.h"

namespace isthmus::dicom {

struct ProbeLimits {
  std::uint64_t head_bytes = 16 * MiB;  // looked at (after inflating), before giving up
  std::uint32_t elements = 100'000;
  std::uint32_t nesting = 64;
  std::uint32_t inflate_ratio = 1'100;  // deflated data sets: out/in beyond the first MiB
};

// One data set (no file meta). One thread at a time.
class Probe {
 public:
  enum class State { more, done, failed };

  virtual ~Probe() = default;
  // Looks at the next bytes. `done` once everything of the identity was seen, or the stream is past
  // where it could be; later calls are cheap no-ops. `failed` for good: see result().
  virtual State feed(ByteSpan bytes) = 0;
  // After the last byte. The identity with valid UIDs, or an Error:
  // "dicom.unreadable" (not a data set in this syntax, truncated, too deep, too many elements),
  // "dicom.missing_uid", "dicom.invalid_uid" — all permanent; the message names tag and rule, no
  // values.
  virtual Result<Identity> finish() = 0;
  // The value of (0008,0016) or (0008,0018) as it stood in the data set, without padding, even when
  // finish() failed because others are missing; empty when it was not seen. Not to be shown.
  virtual std::string_view seen_sop_class_uid() const = 0;
  virtual std::string_view seen_sop_instance_uid() const = 0;
  // Study Description (0008,1030) and Institution Name (0008,0080), for routing: without padding,
  // at most their first 256 bytes, in the character set of the data set; empty when they are not
  // there (or stand behind the UIDs of a data set that breaks the order of tags). Free text close
  // to the patient: for comparing, never for logs, rows or errors.
  virtual std::string_view seen_study_description() const = 0;
  virtual std::string_view seen_institution_name() const = 0;
};

// For any transfer syntax: big endian and implicit by their UIDs, deflated ones inflated as far as
// needed, everything else Explicit VR Little Endian (PS3.5 Annex A.4).
std::unique_ptr<Probe> make_probe(std::string_view transfer_syntax_uid, ProbeLimits limits = {});

}  // namespace isthmus::dicom
