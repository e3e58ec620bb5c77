// Which abstract syntaxes are storage (standards/01-storage-scp.md section 1.3).
#pragma once

#include <span>
#include <string_view>

namespace isthmus::dicom {

enum class SopClassKind {
  storage,      // PS3.4 Tables B.5-1 and GG.3-1, retired ones included
  not_storage,  // a service of another kind: never accepted for storing, whatever is configured
  unknown,      // private or newer than this program: may be storage
};

SopClassKind sop_class_kind(std::string_view uid);

// Every storage SOP class we know: DCMTK's list and what it lacks.
std::span<const std::string_view> storage_sop_classes();

// "CTImageStorage"; empty when we have no name for it.
std::string_view sop_class_name(std::string_view uid);

}  // namespace isthmus::dicom
