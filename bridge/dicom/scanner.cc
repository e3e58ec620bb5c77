#include "dicom/scanner.h"

#include "dicom/walk/scan.h"

namespace isthmus::dicom {

Result<ScanReport> scan_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                const ScanLimits& limits) {
  ScanVisitor visitor(kUndefinedLength);
  return scan_with(dataset, transfer_syntax_or_default(transfer_syntax_uid), limits, visitor);
}

}  // namespace isthmus::dicom
