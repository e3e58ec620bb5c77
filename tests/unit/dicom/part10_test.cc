#include "dicom/part10.h"

#include <gtest/gtest.h>

#include "base/ids.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::DicomWriter;
using test::FailsWith;
using test::IsOk;

const FileMeta kMeta{.media_storage_sop_class_uid = "1.2.840.10008.5.1.4.1.1.2",
                     .media_storage_sop_instance_uid = "2.25.7",
                     .transfer_syntax_uid = "1.2.840.10008.1.2.4.201",
                     .sending_ae_title = "CT1",
                     .receiving_ae_title = "ISTHMUS"};

std::string header_text(const FileMeta& meta) {
  const Bytes header = make_file_header(meta);
  return std::string(as_text(header));
}

TEST(FileHeader, IsReadBackAndEndsWhereTheDataSetBegins) {
  const std::string file = header_text(kMeta) + "the data set";

  ASSERT_OK_AND_ASSIGN(const FileHead head, read_file_head(as_bytes(file)));

  EXPECT_EQ(head.media_storage_sop_class_uid, kMeta.media_storage_sop_class_uid);
  EXPECT_EQ(head.media_storage_sop_instance_uid, kMeta.media_storage_sop_instance_uid);
  EXPECT_EQ(head.transfer_syntax_uid, kMeta.transfer_syntax_uid);
  EXPECT_EQ(file.substr(head.dataset_offset_bytes), "the data set");
}

TEST(FileHeader, HasZerosThenDicmThenTheLengthOfGroupTwo) {
  const std::string header = header_text(kMeta);

  EXPECT_EQ(header.substr(0, 128), std::string(128, '\0'));
  EXPECT_EQ(header.substr(128, 4), "DICM");
  EXPECT_EQ(header.substr(132, 8), std::string("\x02\x00\x00\x00UL\x04\x00", 8));
  const auto length = static_cast<unsigned char>(header[140]) |
                      static_cast<unsigned>(static_cast<unsigned char>(header[141])) << 8;
  EXPECT_EQ(length, header.size() - 144);
  EXPECT_EQ(header.size() % 2, 0U);
}

TEST(FileHeader, PadsUidsWithNulAndTextWithSpace) {
  const std::string header = header_text(kMeta);

  EXPECT_NE(header.find(std::string("UI\x06\x00"
                                    "2.25.7",
                                    10)),
            std::string::npos);
  EXPECT_NE(header.find(std::string("AE\x04\x00"
                                    "CT1 ",
                                    8)),
            std::string::npos);
  EXPECT_NE(header.find(std::string("1.2.840.10008.1.2.4.201\0", 24)), std::string::npos);
}

TEST(FileHeader, LeavesOutAeTitlesThatAreNotKnown) {
  FileMeta meta = kMeta;
  meta.sending_ae_title.clear();
  meta.receiving_ae_title.clear();

  const std::string header = header_text(meta);

  EXPECT_EQ(header.find(std::string("\x02\x00\x17\x00", 4)), std::string::npos);
  EXPECT_EQ(header.find(std::string("\x02\x00\x18\x00", 4)), std::string::npos);
}

TEST(FileHeader, NamesThisProgram) {
  EXPECT_TRUE(Uid::parse(implementation_class_uid()).has_value());
  EXPECT_LE(implementation_version_name().size(), 16U);  // SH in (0002,0013)
}

TEST(FileHead, FindsTheEndByTagNotByLength) {
  for (const std::uint32_t wrong : {0U, 10U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
    std::string file = test::part10_around("DATA", test::kExplicitLittle);
    for (int i = 0; i < 4; ++i)
      file[140 + static_cast<std::size_t>(i)] = static_cast<char>(wrong >> (8 * i));

    ASSERT_OK_AND_ASSIGN(const FileHead head, read_file_head(as_bytes(file)));

    EXPECT_EQ(file.substr(head.dataset_offset_bytes), "DATA");
  }
}

TEST(FileHead, IsReadWhenItIsInImplicitVr) {
  DicomWriter meta(DicomWriter::Syntax::implicit_little);
  meta.raw(std::string(128, '\0')).raw("DICM").element(0x00020010, "UI", test::kExplicitLittle);

  ASSERT_OK_AND_ASSIGN(const FileHead head, read_file_head(as_bytes(meta.bytes())));

  EXPECT_EQ(head.transfer_syntax_uid, test::kExplicitLittle);
}

TEST(FileHead, IsNotOverriddenByGroupTwoInsideTheDataSet) {
  DicomWriter dataset;
  dataset.element(0x00020010, "UI", test::kImplicitLittle).element(0x00080060, "CS", "CT");
  const std::string file = test::part10_around(dataset.bytes(), test::kExplicitLittle);

  ASSERT_OK_AND_ASSIGN(const FileHead head, read_file_head(as_bytes(file)));

  EXPECT_EQ(head.transfer_syntax_uid, test::kExplicitLittle);
  EXPECT_EQ(file.substr(head.dataset_offset_bytes), dataset.bytes());
}

TEST(FileHead, NeedsDicmAtByte128) {
  const std::string file = test::make_part10({});

  EXPECT_THAT(read_file_head({}), FailsWith("dicom.not_part10", Fate::permanent));
  EXPECT_THAT(read_file_head(as_bytes(file).first(131)), FailsWith("dicom.not_part10"));
  EXPECT_THAT(read_file_head(as_bytes(file).subspan(64)), FailsWith("dicom.not_part10"));
}

TEST(FileHead, NeedsATransferSyntax) {
  EXPECT_THAT(read_file_head(as_bytes(test::part10_around("", ""))),
              FailsWith("dicom.no_transfer_syntax", Fate::permanent));
  const std::string bare = std::string(128, 'x') + "DICM";
  EXPECT_THAT(read_file_head(as_bytes(bare)), FailsWith("dicom.no_transfer_syntax"));
}

TEST(FileHead, IsUnreadableWhenCutOrWhenALengthGoesBeyond) {
  const std::string file = test::part10_around("", test::kExplicitLittle);

  for (std::size_t cut = 145; cut < file.size(); ++cut) {
    const Result<FileHead> head = read_file_head(as_bytes(file).first(cut));
    EXPECT_FALSE(head.ok() && head->transfer_syntax_uid.empty()) << cut;
  }
  DicomWriter beyond;
  beyond.raw(std::string(128, '\0')).raw("DICM").element_with_length(0x00020010, "UI", 600, "1.2");
  EXPECT_THAT(read_file_head(as_bytes(beyond.bytes())), FailsWith("dicom.unreadable"));
}

TEST(FileHead, IsNeverLongerThan64KiB) {
  DicomWriter meta;
  meta.raw(std::string(128, '\0')).raw("DICM").element(0x00020010, "UI", test::kExplicitLittle);
  meta.element_with_length(0x00020102, "OB", 1 << 20, std::string(1 << 20, 'x'));

  EXPECT_THAT(read_file_head(as_bytes(meta.bytes())), FailsWith("dicom.unreadable"));
}

}  // namespace
}  // namespace isthmus::dicom
