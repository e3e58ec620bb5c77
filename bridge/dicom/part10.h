// DICOM Part 10 files: the header we write, and a bounded check of one we are given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace isthmus::dicom {

// Ours: "2.25." and a UUID made for this project; the version name has at most 16 characters.
std::string_view implementation_class_uid();
std::string_view implementation_version_name();

struct FileMeta {
  std::string media_storage_sop_class_uid;
  std::string media_storage_sop_instance_uid;
  std::string transfer_syntax_uid;
  std::string sending_ae_title;    // empty: left out
  std::string receiving_ae_title;  // empty: left out
};

// Preamble of zeros, "DICM" and group 0002 in Explicit VR Little Endian, values padded to even
// length (PS3.10 section 7.1; standards/05-file-meta.md). The data set follows directly.
Bytes make_file_header(const FileMeta& meta);

struct FileHead {
  std::string media_storage_sop_class_uid;
  std::string media_storage_sop_instance_uid;
  std::string transfer_syntax_uid;
  std::uint64_t dataset_offset_bytes = 0;
};

// Reads preamble and group 0002 from the head of a file. The end of group 2 is found by tag, not by
// its length, never past 64 KiB. "dicom.not_part10", "dicom.no_transfer_syntax", "dicom.unreadable"
// (permanent).
Result<FileHead> read_file_head(ByteSpan head);

}  // namespace isthmus::dicom
