// DIMSE command sets: what passes the examination is flat, DCMTK reads it, and reads of it what an
// independent reader does. What we answer passes as well.
#include "dimse/session/command.h"

#include "dimse/guard/pdata.h"
#include "fuzz/fuzz.h"
#include "support/dicom_factory.h"
#include "support/raw_pdu.h"

namespace isthmus::fuzz {
namespace {

constexpr std::uint16_t kCommandField = 0x0100;
constexpr std::uint16_t kMessageId = 0x0110;
constexpr std::uint16_t kAffectedSopInstanceUid = 0x1000;

void check_answer(const dimse::Command& command) {
  if (command.affected_sop_class_uid.size() > 64) return;
  if (command.affected_sop_instance_uid.size() > 64) return;
  dimse::Response response;
  response.field = command.field & ~dimse::kResponseBit & 0xffff;
  response.message_id = command.message_id;
  response.affected_sop_class_uid = command.affected_sop_class_uid;
  response.affected_sop_instance_uid = command.affected_sop_instance_uid;
  response.status = 0xC000;
  response.error_comment = "Cannot understand";
  response.offending_element = 0x00080018;

  const Bytes bytes = dimse::encode_response(response);

  const auto shape = dimse::examine_command_set(bytes);
  check(std::holds_alternative<dimse::CommandShape>(shape), "what we answer is a command set");
  check(!std::get<dimse::CommandShape>(shape).has_dataset, "without a data set");
  const auto read = dimse::parse_command(bytes);
  check(read.ok(), "that can be read");
  check_equal(int{read->field}, response.field | dimse::kResponseBit, "and is a response");
}

void run(ByteSpan input) {
  silence_dcmtk();
  const auto shape = dimse::examine_command_set(input);
  if (std::holds_alternative<dimse::Refusal>(shape)) return;
  check(input.size() <= dimse::kMaxCommandElements * (8 + dimse::kMaxCommandBytes), "bounded");
  const test::RawCommand raw = test::parse_command(as_text(input));
  check(raw.size() <= dimse::kMaxCommandElements, "not more elements than the limit");

  const auto command = dimse::parse_command(input);

  if (!command.ok()) {
    check_equal(command.error().code, "dimse.malformed_command", "one code");
    return;
  }
  // Of values that are as long as they should be; DCMTK reads the first of several.
  const auto number_is = [&raw](std::uint16_t element, std::uint16_t value) {
    const auto found = raw.find(element);
    check(found != raw.end(), "what was read is there");
    if (found->second.size() == 2) check_equal(test::raw_number(raw, element), value, "a number");
  };
  number_is(kCommandField, command->field);
  if ((command->field & dimse::kResponseBit) == 0 && command->field != dimse::kCCancelRequest) {
    number_is(kMessageId, command->message_id);
  }
  if (const auto uid = raw.find(kAffectedSopInstanceUid); uid != raw.end()) {
    check(command->affected_sop_instance_uid.size() <= uid->second.size(), "no longer than sent");
  }
  check_answer(*command);
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  seeds.push_back(test::raw_command(test::c_echo_command(1)));
  seeds.push_back(
      test::raw_command(test::c_store_command(7, test::kCtImageStorage, "2.25.1001.1.1")));
  test::RawCommand action = test::c_store_command(9, "1.2.840.10008.1.20.1", "2.25.1");
  action[0x0003] = "1.2.840.10008.1.20.1";
  action[0x0100] = test::raw_u16(0x0130);
  action[0x1001] = "1.2.840.10008.1.20.1.1";
  action[0x1008] = test::raw_u16(1);
  seeds.push_back(test::raw_command(action));
  test::RawCommand response = test::c_echo_command(1);
  response[0x0100] = test::raw_u16(0x8030);
  response[0x0900] = test::raw_u16(0);
  seeds.push_back(test::raw_command(response));
  seeds.push_back(test::raw_command({{0x0100, test::raw_u16(0x0fff)}, {0x0120, "\1\0"}}));
  return seeds;
}

}  // namespace

Harness command_harness() {
  return {"command", run, dimse::kMaxCommandBytes, seeds};
}

}  // namespace isthmus::fuzz
