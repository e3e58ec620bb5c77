// The tables: transfer syntaxes, SOP classes, status codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/ids.h"
#include "dicom/sop_class.h"
#include "dicom/status.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::dicom {
namespace {

TEST(TransferSyntaxes, AreEachThereOnceWithAValidUid) {
  std::set<std::string_view> seen;
  for (const TransferSyntax& syntax : known_transfer_syntaxes()) {
    EXPECT_TRUE(seen.insert(syntax.uid).second) << syntax.uid;
    EXPECT_TRUE(Uid::parse(syntax.uid).has_value()) << syntax.uid;
    EXPECT_FALSE(syntax.name.empty()) << syntax.uid;
    EXPECT_FALSE(syntax.implicit_vr && syntax.encapsulated) << syntax.uid;
  }
}

TEST(TransferSyntaxes, TellHowADataSetIsEncoded) {
  EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2")->implicit_vr);
  EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2.2")->big_endian);
  EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2.1.99")->deflated);
  EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2.4.95")->deflated);
  EXPECT_TRUE(find_transfer_syntax("1.2.840.10008.1.2.4.201")->encapsulated);
  EXPECT_FALSE(find_transfer_syntax("1.2.840.10008.1.2.8.1")->deflated);  // its frames are, not it
  EXPECT_EQ(find_transfer_syntax("1.2.3"), nullptr);
  EXPECT_TRUE(transfer_syntax_or_default("1.2.3").encapsulated);
  EXPECT_FALSE(transfer_syntax_or_default("1.2.3").implicit_vr);
}

// standards/01-storage-scp.md section 1.4 lists both.
TEST(TransferSyntaxes, TellLossyOnesAndThoseByReference) {
  for (const auto* lossy :
       {"50", "51", "81", "91", "93", "203", "111", "112", "100", "102.1", "107"}) {
    const TransferSyntax* syntax =
        find_transfer_syntax(std::string("1.2.840.10008.1.2.4.") + lossy);
    ASSERT_NE(syntax, nullptr) << lossy;
    EXPECT_TRUE(syntax->lossy) << lossy;
  }
  for (const auto* lossless : {"57", "70", "80", "90", "92", "110", "201", "202"}) {
    EXPECT_FALSE(find_transfer_syntax(std::string("1.2.840.10008.1.2.4.") + lossless)->lossy);
  }
  for (const auto* jpip : {"94", "95", "204", "205"}) {
    EXPECT_TRUE(find_transfer_syntax(std::string("1.2.840.10008.1.2.4.") + jpip)->jpip) << jpip;
  }
}

TEST(TransferSyntaxes, TellWhatAnImportDoesWithThem) {
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4.110")->import, Import::refused);
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4.70")->import, Import::transcoded);
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4.50")->import, Import::kept);
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4.50")->frame_content_type, "image/jpeg");
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.1")->import,
            Import::kept_if_binary_segmentation);
  EXPECT_EQ(find_transfer_syntax("1.2.840.10008.1.2.4.202")->frame_content_type, "image/jph");
  const auto all = known_transfer_syntaxes();
  EXPECT_EQ(std::count_if(all.begin(), all.end(),
                          [](const TransferSyntax& s) { return s.import != Import::refused; }),
            35);  // contracts/healthimaging/transfer-syntaxes.json
}

TEST(SopClasses, OfStorageAreDcmtksAndTheNewerOnes) {
  EXPECT_GE(storage_sop_classes().size(), 186U + 8U);
  EXPECT_EQ(sop_class_kind("1.2.840.10008.5.1.4.1.1.2"), SopClassKind::storage);
  EXPECT_EQ(sop_class_kind("1.2.840.10008.5.1.4.1.1.66.7"), SopClassKind::storage);
  EXPECT_EQ(sop_class_kind("1.2.840.10008.5.1.4.1.1.9999"), SopClassKind::storage);
  EXPECT_EQ(sop_class_kind("1.2.840.10008.5.1.1.29"), SopClassKind::storage);  // retired hardcopy
  EXPECT_EQ(sop_class_kind("1.2.840.10008.5.1.4.39.1"), SopClassKind::storage);
  for (const std::string_view uid : storage_sop_classes()) {
    EXPECT_EQ(sop_class_kind(uid), SopClassKind::storage) << uid;
  }
}

TEST(SopClasses, OfOtherServicesAreNeverStorage) {
  for (const auto* uid :
       {"1.2.840.10008.1.1", "1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1",
        "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.1.9", "1.2.840.10008.5.1.4.1.2.1.1",
        "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.33",
        "1.2.840.10008.5.1.4.34.6.1", "1.2.840.10008.5.1.4.38.2", "1.2.840.10008.5.1.4.1.1.200.4",
        "1.2.840.10008.1.2.1"}) {
    EXPECT_EQ(sop_class_kind(uid), SopClassKind::not_storage) << uid;
  }
}

TEST(SopClasses, ThatNobodyKnowsMayBeStorage) {
  EXPECT_EQ(sop_class_kind("1.3.12.2.1107.5.9.1"), SopClassKind::unknown);
  EXPECT_EQ(sop_class_kind("1.2.840.10008.1.11"), SopClassKind::unknown);  // not below …1.1
  EXPECT_EQ(sop_class_kind(""), SopClassKind::unknown);
}

TEST(SopClasses, HaveNames) {
  EXPECT_EQ(sop_class_name("1.2.840.10008.5.1.4.1.1.2"), "CTImageStorage");
  EXPECT_EQ(sop_class_name("1.2.840.10008.5.1.4.1.1.66.7"), "LabelMapSegmentationStorage");
  EXPECT_EQ(sop_class_name("1.2.3.4"), "");
}

TEST(Status, IsOutOfResourcesWheneverLaterMayBeBetter) {
  EXPECT_EQ(store_status_of(transient_error("spool.full", ""), "").code, kOutOfResources);
  EXPECT_EQ(store_status_of(transient_error("dicom.unreadable", ""), "").code, kOutOfResources);
  EXPECT_EQ(store_status_of(fatal_error("ledger.io", ""), "").code, kOutOfResources);
}

// Cxxx and A9xx make modalities drop the image, and 0110 is none of C-STORE's statuses (PS3.4 Table
// B.2-1): a limit that a person can raise is "Refused: Out of Resources".
TEST(Status, AnInstanceBeyondOurLimitStaysWithItsSender) {
  const StoreStatus status =
      store_status_of(permanent_error("dicom.instance_too_large", ""), "association/1");

  EXPECT_EQ(status.code, kOutOfResources);
  EXPECT_EQ(status.error_comment, "Larger than the limit here (association/1)");
}

TEST(Status, TellsWhatIsWrongWithADataSet) {
  EXPECT_EQ(store_status_of(permanent_error("dicom.unreadable", ""), "").code, 0xC000);
  EXPECT_EQ(store_status_of(permanent_error("dicom.truncated", ""), "").code, 0xC000);
  EXPECT_EQ(store_status_of(permanent_error("dicom.missing_uid", ""), "").code, 0xC001);
  EXPECT_EQ(store_status_of(permanent_error("dicom.invalid_uid", ""), "").code, 0xC002);
  EXPECT_EQ(store_status_of(permanent_error("dicom.mismatch", ""), "").code, 0xA900);
  EXPECT_EQ(store_status_of(permanent_error("dicom.invalid_sop_instance", ""), "").code, 0x0117);
  EXPECT_EQ(store_status_of(permanent_error("something.else", ""), "").code, 0x0110);
}

TEST(Status, HasACommentThatFitsAndNamesTheAssociation) {
  const std::string id(32, 'f');
  for (const auto* code : {"dicom.unreadable", "dicom.truncated", "dicom.missing_uid",
                           "dicom.invalid_uid", "dicom.mismatch", "spool.full", "other"}) {
    const StoreStatus status = store_status_of(permanent_error(code, "SECRET^NAME"), id);

    EXPECT_LE(status.error_comment.size(), 64U) << code;
    EXPECT_NE(status.error_comment.find(id), std::string::npos) << code;
    EXPECT_EQ(status.error_comment.find("SECRET"), std::string::npos) << code;
  }
  EXPECT_LE(store_status_of(fatal_error("ledger.io", ""), id).error_comment.size(), 64U);
}

TEST(Status, TableHasEveryCodeOnceInOrder) {
  const auto table = status_table();
  EXPECT_TRUE(std::is_sorted(table.begin(), table.end(),
                             [](const Status& a, const Status& b) { return a.code < b.code; }));
  for (const Status& status : table) {
    EXPECT_EQ(find_status(status.code), &status);
    EXPECT_FALSE(status.source.empty());
  }
  EXPECT_EQ(find_status(0xC123), nullptr);
}

}  // namespace
}  // namespace isthmus::dicom
