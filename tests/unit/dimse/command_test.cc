#include "dimse/session/command.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/raw_pdu.h"

namespace isthmus::dimse {
namespace {

using test::FailsWith;
using test::parse_command;
using test::raw_command;
using test::raw_number;
using test::raw_u16;

Result<Command> parse(const test::RawCommand& elements) {
  const std::string bytes = raw_command(elements);
  return dimse::parse_command(as_bytes(bytes));
}

TEST(Command, IsReadFromItsElements) {
  ASSERT_OK_AND_ASSIGN(const Command command,
                       parse(test::c_store_command(513, "1.2.840.10008.5.1.4.1.1.2", "1.2.3")));

  EXPECT_EQ(command.field, kCStoreRequest);
  EXPECT_EQ(command.message_id, 513);
  EXPECT_EQ(command.affected_sop_class_uid, "1.2.840.10008.5.1.4.1.1.2");
  EXPECT_EQ(command.affected_sop_instance_uid, "1.2.3");
}

TEST(Command, KeepsEveryComponentOfAnInvalidUid) {
  ASSERT_OK_AND_ASSIGN(const Command command, parse(test::c_store_command(1, "1.2", "1.3\\1.4")));

  EXPECT_EQ(command.affected_sop_instance_uid, "1.3\\1.4");
}

TEST(Command, NeedsItsFieldAndMessageId) {
  test::RawCommand no_field = test::c_echo_command(1);
  no_field.erase(0x0100);
  test::RawCommand no_message_id = test::c_echo_command(1);
  no_message_id.erase(0x0110);
  test::RawCommand empty_field = test::c_echo_command(1);
  empty_field[0x0100] = "";

  EXPECT_THAT(parse(no_field), FailsWith("dimse.malformed_command"));
  EXPECT_THAT(parse(no_message_id), FailsWith("dimse.malformed_command"));
  EXPECT_THAT(parse(empty_field), FailsWith("dimse.malformed_command"));
}

TEST(Command, OfOperationsOnAnInstanceNamesTheOneRequested) {
  test::RawCommand action = test::c_echo_command(3);
  action.erase(0x0002);
  action[0x0003] = "1.2.840.10008.1.20.1";
  action[0x0100] = raw_u16(0x0130);
  action[0x1001] = "1.2.840.10008.1.20.1.1";
  action[0x1008] = raw_u16(1);

  ASSERT_OK_AND_ASSIGN(const Command command, parse(action));

  EXPECT_EQ(command.affected_sop_class_uid, "1.2.840.10008.1.20.1");
  EXPECT_EQ(command.affected_sop_instance_uid, "1.2.840.10008.1.20.1.1");
  EXPECT_EQ(command.action_type_id, 1);
  EXPECT_EQ(command.status, std::nullopt);
}

TEST(Command, OfAResponseSaysWhatItAnswersAndHow) {
  test::RawCommand response = test::c_echo_command(1);
  response.erase(0x0110);
  response[0x0100] = raw_u16(0x8100);
  response[0x0120] = raw_u16(77);
  response[0x0900] = raw_u16(0x0112);

  ASSERT_OK_AND_ASSIGN(const Command command, parse(response));

  EXPECT_EQ(command.field, 0x8100);
  EXPECT_EQ(command.message_id, 0);
  EXPECT_EQ(command.message_id_responded_to, 77);
  EXPECT_EQ(command.status, 0x0112);
}

TEST(Response, SaysEverythingItHasToSay) {
  Response response;
  response.field = kCStoreRequest;
  response.message_id = 7;
  response.affected_sop_class_uid = "1.2.840.10008.5.1.4.1.1.2";
  response.affected_sop_instance_uid = "1.2.3";
  response.status = 0xA900;
  response.error_comment = "It is another one";
  response.offending_element = 0x00080018;

  const Bytes bytes = encode_response(response);
  const auto command = parse_command(as_text(bytes));

  EXPECT_EQ(raw_number(command, 0x0100), 0x8001);
  EXPECT_EQ(raw_number(command, 0x0120), 7);
  EXPECT_EQ(raw_number(command, 0x0800), 0x0101);
  EXPECT_EQ(raw_number(command, 0x0900), 0xA900);
  EXPECT_EQ(command.at(0x0002), std::string("1.2.840.10008.5.1.4.1.1.2\0", 26));
  EXPECT_EQ(command.at(0x1000), std::string("1.2.3\0", 6));
  EXPECT_EQ(command.at(0x0902), "It is another one ");
  EXPECT_EQ(command.at(0x0901), std::string("\x08\0\x18\0", 4));
  // Group length: what comes behind it.
  const std::string length = command.at(0x0000);
  EXPECT_EQ(static_cast<unsigned char>(length[0]), bytes.size() - 12);
}

TEST(Response, LeavesOutWhatIsEmpty) {
  Response response;
  response.field = kCEchoRequest;

  const auto command = parse_command(as_text(encode_response(response)));

  EXPECT_EQ(command.size(), 5U);
  EXPECT_EQ(raw_number(command, 0x0900), 0);
}

// DCMTK takes "=…" for the name of a UID, and fails when it knows none: one command of a stranger
// was enough to end the process.
TEST(Response, RepeatsUidsThatAreNone) {
  for (const std::string& uid : {std::string("=NoSuchName"), std::string("=CTImageStorage"),
                                 std::string("../etc"), std::string(64, '=')}) {
    Response response;
    response.field = kCStoreRequest;
    response.affected_sop_class_uid = uid;
    response.affected_sop_instance_uid = uid;

    const Bytes bytes = encode_response(response);

    const auto command = dimse::parse_command(bytes);
    ASSERT_THAT(command, test::IsOk());
    EXPECT_EQ(command->affected_sop_class_uid, uid);
    EXPECT_EQ(command->affected_sop_instance_uid, uid);
  }
}

}  // namespace
}  // namespace isthmus::dimse
