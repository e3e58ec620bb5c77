#include "senders/definition.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace isthmus {
namespace {

using test::FailsWith;

const std::string kPin(64, 'a');

Sender whole_sender() {
  Sender sender;
  sender.name = "ct";
  sender.calling_ae_titles = {"CT_1", "CT 2"};
  sender.called_ae_titles = {"ARCHIVE"};
  sender.addresses = {*AddressRange::parse("10.1.0.0/16"), *AddressRange::parse("2001:db8::7")};
  sender.tls_identities = {"ct one.example"};
  sender.sop_classes = {"images"};
  sender.limits = {4, 12.5, 1e6};
  sender.destinations = {"near", "far"};
  sender.report_to = ReportAddress{"ct.example", 104, true, "inside.example", kPin};
  sender.report_on_same_association = Milliseconds(5000);
  sender.report_on_its_associations = true;
  sender.report_without_role = false;
  sender.commitment_level = CommitmentLevel::staged;
  return sender;
}

TEST(SenderDefinition, GivesBackWhatWasWritten) {
  Sender plain = whole_sender();
  plain.report_to = ReportAddress{"ct.example", 104, false};
  plain.commitment_level.reset();
  plain.may_ask_commitment = false;
  Sender bare;
  bare.name = "ct";

  for (const Sender& sender : {whole_sender(), plain, bare}) {
    ASSERT_OK_AND_ASSIGN(const Sender read, sender_from("ct", definition_of(sender)));
    EXPECT_EQ(read, sender) << definition_of(sender);
  }
}

TEST(SenderDefinition, IsNotGuessedWhenItCannotBeRead) {
  for (const char* text :
       {"colour red\n", "address 10.0.0.1/8\n", "calling_ae_title\n", "\n", "report_to nowhere\n",
        "commitment soon\n", "associations -1\n", "associations 1x\n",
        "report_on_its_associations maybe\n", "report_without_role perhaps\n",
        "report_on_same_association_ms -5\n", "report_on_same_association_ms 600001\n",
        "report_tls_name ct.example\n", "report_to_by_tls ct:104\nreport_tls_pin abc\n",
        "report_to_by_tls ct:104\nreport_tls_name a/b\n"}) {
    EXPECT_THAT(sender_from("ct", text), FailsWith("sender.bad_definition")) << text;
  }
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("CT_1", 16), "CT_1");
  EXPECT_EQ(printable("\x1b[2J\n\\\xff", 100), "\\x1b[2J\\x0a\\x5c\\xff");
  EXPECT_EQ(printable("abcdef", 4), "abcd");
  EXPECT_EQ(printable("abc\n", 4), "abc") << "an escape is not cut in the middle";
}

}  // namespace
}  // namespace isthmus
