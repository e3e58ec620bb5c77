// Bytes as a DICOM store gives them back. Private to imports.
#pragma once

#include "base/digest.h"
#include "imports/google/calls.h"
#include "model/instance.h"

namespace isthmus::google {

// Of a Part 10 stream, to its end: of what comes behind group 0002.
Result<Digest> dataset_digest_of(ByteSource& part10);

// "/v1/<store>/dicomWeb/studies/…" of an instance.
std::string instance_target(const std::string& dicom_store, const std::string& study,
                            const std::string& series, const std::string& sop);

// As they were stored, not transcoded (contract section 6).
constexpr const char* kStoredBytes = "application/dicom; transfer-syntax=*";

}  // namespace isthmus::google
