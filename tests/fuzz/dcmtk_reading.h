// DCMTK's opinion of a data set, where it is safe to ask for it.
#pragma once

#include <string_view>

#include "base/result.h"
#include "dicom/scanner.h"
#include "model/instance.h"

namespace isthmus::fuzz {

// A data set that DCMTK reads to its end and writes back byte for byte is valid: then the scan must
// have passed and seen the same elements, and the probe the same UIDs. DCMTK's parser is recursive:
// it is not asked when so many item tags stand in the bytes that they could nest deep.
void check_against_dcmtk(ByteSpan dataset, std::string_view transfer_syntax_uid,
                         const Result<dicom::ScanReport>& scan, const Result<Identity>& identity);

}  // namespace isthmus::fuzz
