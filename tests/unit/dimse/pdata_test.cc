#include "dimse/guard/pdata.h"

#include <gtest/gtest.h>

#include "support/raw_pdu.h"

namespace isthmus::dimse {
namespace {

using Event = MessageAssembler::Event;
using test::raw_command;
using test::raw_u16;

Fragment command_part(std::string_view text, bool last, std::uint8_t context = 3) {
  return {context, true, last, as_bytes(text)};
}
Fragment data_part(std::string_view text, bool last, std::uint8_t context = 3) {
  return {context, false, last, as_bytes(text)};
}

Event event(const std::variant<Event, Refusal>& verdict) {
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) {
    ADD_FAILURE() << "refused: " << refusal->why;
    return Event::more;
  }
  return std::get<Event>(verdict);
}
std::string why(const std::variant<Event, Refusal>& verdict) {
  const auto* refusal = std::get_if<Refusal>(&verdict);
  return refusal == nullptr ? "accepted" : refusal->why;
}

const std::string kStore = raw_command(test::c_store_command(7, "1.2", "1.3"));
const std::string kEcho = raw_command(test::c_echo_command(7));

TEST(PduHeader, IsBoundedBeforeItsContentIsRead) {
  EXPECT_FALSE(examine_header({4, 131072}, 131072));
  EXPECT_TRUE(examine_header({4, 131073}, 131072));
  EXPECT_TRUE(examine_header({4, 0x80000000}, 131072));
  EXPECT_TRUE(examine_header({4, 5}, 131072));
  EXPECT_FALSE(examine_header({5, 4}, 131072));
  EXPECT_TRUE(examine_header({5, 5}, 131072));
  EXPECT_FALSE(examine_header({7, 4}, 131072));
  EXPECT_TRUE(examine_header({7, 0}, 131072));
}

TEST(PduHeader, TellsUnexpectedFromUnknown) {
  for (const auto type : std::to_array<std::uint8_t>({1, 2, 3, 6})) {
    EXPECT_EQ(examine_header({type, 4}, 131072), abort_with(AbortReason::unexpected_pdu, ""));
  }
  for (const auto type : std::to_array<std::uint8_t>({0, 8, 0xff})) {
    EXPECT_EQ(examine_header({type, 4}, 131072), abort_with(AbortReason::unrecognized_pdu, ""));
  }
}

TEST(MessageAssembler, PutsACommandAndItsDataSetTogether) {
  MessageAssembler messages;

  EXPECT_EQ(event(messages.feed(command_part(kStore.substr(0, 11), false))), Event::more);
  EXPECT_FALSE(messages.between_messages());
  EXPECT_EQ(event(messages.feed(command_part(kStore.substr(11), true))), Event::command_complete);
  EXPECT_EQ(as_text(messages.command()), kStore);
  EXPECT_TRUE(messages.has_dataset());
  EXPECT_EQ(event(messages.feed(data_part("ab", false))), Event::data);
  EXPECT_EQ(event(messages.feed(data_part("", false))), Event::data);
  EXPECT_EQ(event(messages.feed(data_part("cd", true))), Event::data_complete);
  EXPECT_TRUE(messages.between_messages());
}

TEST(MessageAssembler, SaysTheSameHoweverACommandIsSplit) {
  for (std::size_t split = 0; split <= kStore.size(); ++split) {
    MessageAssembler messages;
    EXPECT_EQ(event(messages.feed(command_part(kStore.substr(0, split), false))), Event::more);
    EXPECT_EQ(event(messages.feed(command_part(kStore.substr(split), true))),
              Event::command_complete);
    EXPECT_EQ(as_text(messages.command()), kStore);
  }
}

TEST(MessageAssembler, IsReadyAgainAfterACommandWithoutDataSet) {
  MessageAssembler messages;

  EXPECT_EQ(event(messages.feed(command_part(kEcho, true))), Event::command_complete);
  EXPECT_FALSE(messages.has_dataset());
  EXPECT_EQ(event(messages.feed(command_part(kEcho, true, 1))), Event::command_complete);
}

TEST(MessageAssembler, RefusesFragmentsOutOfOrder) {
  MessageAssembler starts_with_data;
  EXPECT_EQ(why(starts_with_data.feed(data_part("ab", true))), "dataset_without_command");

  MessageAssembler command_inside;
  event(command_inside.feed(command_part(kStore, true)));
  event(command_inside.feed(data_part("ab", false)));
  EXPECT_EQ(why(command_inside.feed(command_part(kEcho, true))), "command_in_dataset");

  MessageAssembler data_inside;
  event(data_inside.feed(command_part(kStore.substr(0, 4), false)));
  EXPECT_EQ(why(data_inside.feed(data_part("ab", false))), "dataset_without_command");

  MessageAssembler other_context;
  event(other_context.feed(command_part(kStore, true)));
  EXPECT_EQ(why(other_context.feed(data_part("ab", false, 1))), "context_changed");
}

TEST(MessageAssembler, BoundsACommandThatNeverEnds) {
  MessageAssembler messages;
  const std::string part(16 * KiB, 'x');
  for (int i = 0; i < 4; ++i) event(messages.feed(command_part(part, false)));

  EXPECT_EQ(why(messages.feed(command_part("x", false))), "command_length");
}

bool flat(const std::string& command) {
  return std::holds_alternative<CommandShape>(examine_command_set(as_bytes(command)));
}

std::string element(std::uint16_t group, std::uint16_t number, std::uint32_t length,
                    const std::string& value) {
  return raw_u16(group) + raw_u16(number) + raw_u16(static_cast<std::uint16_t>(length & 0xffff)) +
         raw_u16(static_cast<std::uint16_t>(length >> 16)) + value;
}

TEST(CommandSet, IsFlatAndOfGroupZero) {
  EXPECT_TRUE(flat(kEcho));
  EXPECT_FALSE(flat(""));
  EXPECT_FALSE(flat(element(0, 0x0100, 2, "ab") + element(0, 0x0100, 2, "ab")));
  EXPECT_FALSE(flat(element(8, 0x0018, 2, "ab")));
  EXPECT_FALSE(flat(element(0, 0x0100, 3, "ab")));
  EXPECT_FALSE(flat(element(0, 0x0100, 0xffffffff, "")));
  EXPECT_FALSE(flat(element(0, 0x0800, 4, "abcd")));
  EXPECT_FALSE(flat(kEcho + "tail"));
  EXPECT_FALSE(flat(std::string(1000, '\0')));  // (0000,0000) again and again
}

TEST(CommandSet, RefusesNestingAtAnyDepth) {
  const std::string item_start = element(0xfffe, 0xe000, 0xffffffff, "");
  std::string nested;
  for (int depth = 0; depth < 3000; ++depth) {
    nested += element(0, 0x1000, 0xffffffff, "") + item_start;
  }

  EXPECT_FALSE(flat(nested));
}

TEST(CommandSet, RefusesEveryTruncation) {
  const std::string whole = raw_command({{0x0100, raw_u16(1)}, {0x0800, raw_u16(1)}});

  for (std::size_t length = 0; length < whole.size(); ++length) {
    // Cut between two elements it is flat still: the DIMSE layer then misses what it needs.
    if (length == 12 || length == 22) continue;
    EXPECT_FALSE(flat(whole.substr(0, length))) << length;
  }
}

}  // namespace
}  // namespace isthmus::dimse
