// What an import would refuse, or store wrongly, looked for before a file is uploaded: its transfer
// syntax, its size, and the few elements that services index by. The head of the data set is read
// and nothing behind it; no value is ever part of a finding.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace isthmus::dicom {

struct PreflightRules {
  // Of the HealthImaging list (contracts/healthimaging/transfer-syntaxes.json); others take more.
  bool only_importable_syntaxes = true;
  std::uint64_t most_bytes = 10'000'000'000;  // of a file in an import job (quotas.json)
};

// `code` is one of
//   "preflight.unreadable"        not a Part 10 file, or its head breaks the rules of PS3.5
//   "preflight.transfer_syntax"   not in the service's list
//   "preflight.too_large"         larger than a file of an import job may be
//   "preflight.missing_element"   SOP class, SOP instance, study or series UID absent or empty
//   "preflight.uid_syntax"        a UID beyond PS3.5 section 9.1: too long, or a leading zero
//   "preflight.element_too_long"  more characters than its VR has (PS3.5 Table 6.2-1)
struct PreflightFinding {
  std::string code;
  std::string message;  // names the tag and the rule
};

// All findings, in the order of the list and the data set; none: nothing speaks against it. Errors
// are those of reading the source.
Result<std::vector<PreflightFinding>> preflight(ByteSource& part10_file,
                                                const PreflightRules& rules);

}  // namespace isthmus::dicom
