// The head of a Part 10 file: whatever is read of it lies within the bytes, and headers of ours are
// read back as they were meant.
#include "dicom/part10.h"

#include "fuzz/fuzz.h"
#include "support/dicom_factory.h"

namespace isthmus::fuzz {
namespace {

void run(ByteSpan input) {
  const Result<dicom::FileHead> head = dicom::read_file_head(input);
  if (!head.ok()) return;
  check(head->dataset_offset_bytes >= 132 && head->dataset_offset_bytes <= input.size(),
        "the data set begins behind the header and within the file");
  check(!head->transfer_syntax_uid.empty(), "a transfer syntax was found");
  for (const std::string* uid :
       {&head->media_storage_sop_class_uid, &head->media_storage_sop_instance_uid,
        &head->transfer_syntax_uid}) {
    if (uid->size() > 64 || uid->find('\0') != uid->npos) return;  // never written by us
  }
  dicom::FileMeta meta;
  meta.media_storage_sop_class_uid = head->media_storage_sop_class_uid;
  meta.media_storage_sop_instance_uid = head->media_storage_sop_instance_uid;
  meta.transfer_syntax_uid = head->transfer_syntax_uid;

  const Bytes header = dicom::make_file_header(meta);

  const Result<dicom::FileHead> again = dicom::read_file_head(header);
  check(again.ok(), "a header of ours is read");
  check_equal(again->dataset_offset_bytes, header.size(), "to its end");
  check_equal(again->transfer_syntax_uid, head->transfer_syntax_uid, "with its transfer syntax");
  check_equal(again->media_storage_sop_instance_uid, head->media_storage_sop_instance_uid,
              "and UID");
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds{test::make_part10({})};
  test::DicomRecipe recipe;
  recipe.transfer_syntax_uid = test::kJpegBaseline;
  seeds.push_back(test::make_part10(recipe));
  seeds.push_back(test::part10_around("", test::kImplicitLittle));
  for (const std::string& file : shared_files("dicom/hostile", 4 * KiB)) seeds.push_back(file);
  return seeds;
}

}  // namespace

Harness part10_harness() {
  return {"part10", run, 4 * KiB, seeds};
}

}  // namespace isthmus::fuzz
