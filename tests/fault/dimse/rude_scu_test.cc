// The rude SCU: one table of what a peer may do wrong on the wire, and what it is answered
// (PS3.8 section 9.2, PS3.7 section 9). What real attackers sent is in hostile_streams_test.cc, who
// is slow in time_outs_test.cc, who comes often in leak_test.cc.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

const std::string kCt(kCtImageStorage);

// Wire bytes of the usual steps: context 1 is Verification, 3 is CT, both accepted.
std::string associate() {
  return raw_associate_rq(request_for(kCt, kExplicitLittle));
}
std::string echo_command(std::uint16_t id = 1) {
  return raw_command(c_echo_command(id));
}
std::string echo(std::uint16_t id = 1) {
  return raw_data_pdu(1, true, true, echo_command(id));
}
DicomRecipe recipe(int number = 1) {
  DicomRecipe made;
  made.sop_instance_uid += "." + std::to_string(number);
  return made;
}
std::string dataset(int number = 1) {
  return make_dataset(recipe(number));
}
std::string store_command(std::uint16_t id = 1) {
  return raw_command(c_store_command(id, kCt, recipe(id).sop_instance_uid));
}
std::string store_begins(std::uint16_t id = 1) {
  return raw_data_pdu(3, true, true, store_command(id));
}
std::string half_of_dataset() {
  return raw_data_pdu(3, false, false, dataset().substr(0, dataset().size() / 2));
}
std::string store(std::uint16_t id = 1) {
  return store_begins(id) + raw_data_pdu(3, false, true, dataset(id));
}
// Every byte in a PDV of its own; `in_one_pdu`: as many of them as fit into each PDU.
std::string in_bytes(int context, bool command, const std::string& content, bool in_one_pdu) {
  std::string pdus, pdvs;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const bool last = i + 1 == content.size();
    pdvs += raw_pdv(context, command, last, content.substr(i, 1));
    if (!in_one_pdu || last || pdvs.size() > 100'000) pdus += raw_pdu(4, std::exchange(pdvs, {}));
  }
  return pdus;
}
std::string with_data_set_type(RawCommand command, std::uint16_t type) {
  command[0x0800] = raw_u16(type);
  return raw_command(command);
}

std::string one_pdu(std::string_view pdu) {
  const auto byte = [&](std::size_t at) {
    return at < pdu.size() ? static_cast<unsigned char>(pdu[at]) : 0U;
  };
  switch (byte(0)) {
    case 2:
      return "AC";
    case 3:
      return fmt::format("RJ({}/{}/{})", byte(7), byte(8), byte(9));
    case 4: {
      const RawCommand command = parse_command(pdu.substr(std::min<std::size_t>(12, pdu.size())));
      return fmt::format("RSP({:04X} to {}: {:04X})", raw_number(command, 0x0100),
                         raw_number(command, 0x0120), raw_number(command, 0x0900));
    }
    case 6:
      return "RP";
    case 7:
      return fmt::format("ABORT({}/{})", byte(8), byte(9));
    default:
      return fmt::format("?{}", byte(0));
  }
}

// "AC RSP(8030 to 1: 0000) RP": everything that came back until the receiver closed.
std::string answer_text(std::string_view answer) {
  std::string text;
  while (answer.size() >= 6) {
    std::size_t length = 6;
    for (std::size_t i = 2; i < 6; ++i) {
      length += static_cast<std::size_t>(static_cast<unsigned char>(answer[i])) << (8 * (5 - i));
    }
    text += (text.empty() ? "" : " ") + one_pdu(answer.substr(0, length));
    answer.remove_prefix(std::min(answer.size(), length));
  }
  return text;
}

struct Rudeness {
  const char* name;
  std::string bytes;
  const char* answer;
  std::size_t stored = 0;
  const char* why = nullptr;  // as counted in isthmus_dimse_refused_total
};

// Source 0 is the service user, 2 the provider; reasons: 0 none, 1 unrecognized PDU, 2 unexpected
// PDU, 5 unexpected parameter, 6 invalid parameter (PS3.8 table 9-26).
std::vector<Rudeness> rudenesses() {
  const std::string a = associate();
  const std::string four_zeros(4, '\0');
  std::vector<Rudeness> table = {
      // Before an association
      {"Garbage", "\xde\xad\xbe\xef\xde\xad\xbe\xef", "ABORT(2/1)"},
      {"AWebBrowser", "GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", "ABORT(2/1)"},
      {"DataBeforeTheRequest", echo() + a, "ABORT(2/2)"},
      {"ReleaseBeforeTheRequest", raw_release_rq() + a, "ABORT(2/2)"},
      {"AcceptBeforeTheRequest", raw_pdu(2, std::string(68, '\0')) + a, "ABORT(2/2)"},
      {"RejectBeforeTheRequest", raw_pdu(3, four_zeros) + a, "ABORT(2/2)"},
      {"ReleaseResponseBeforeTheRequest", raw_pdu(6, four_zeros) + a, "ABORT(2/2)"},
      {"AbortBeforeTheRequest", raw_abort() + a, ""},
      {"RequestOfNoLength", raw_pdu(1, ""), "ABORT(2/6)"},
      {"RequestOfFourGigabytes", std::string("\x01\0\xff\xff\xff\xff", 6) + a, "ABORT(2/6)"},
      {"RequestThatEndsEarly", a.substr(0, a.size() - 1), ""},
      {"NothingAtAll", "", ""},
      // Within one
      {"RequestTwice", a + a, "AC ABORT(2/2)", 0, "unexpected_pdu"},
      {"RequestInACommand", a + raw_data_pdu(1, true, false, "ab") + a, "AC ABORT(2/2)"},
      {"RequestInADataSet", a + store_begins() + half_of_dataset() + a, "AC ABORT(2/2)"},
      {"AcceptFromTheRequestor", a + raw_pdu(2, std::string(68, '\0')), "AC ABORT(2/2)"},
      {"ReleaseResponseUnasked", a + raw_pdu(6, four_zeros), "AC ABORT(2/2)"},
      {"UnknownPdu", a + raw_pdu(0x99, four_zeros), "AC ABORT(2/1)", 0, "unrecognized_pdu"},
      {"HalfOpen", a, "AC"},
      // Absurd lengths
      {"DataOfNoLength", a + raw_pdu(4, ""), "AC ABORT(2/6)", 0, "pdu_length"},
      {"DataOfTwoGigabytes", a + std::string("\x04\0\x7f\xff\xff\xff", 6), "AC ABORT(2/6)"},
      {"DataBeyondTheAnnouncedLength", a + raw_data_pdu(3, false, true, std::string(131067, 'x')),
       "AC ABORT(2/6)"},
      {"PdvOfNoLength", a + raw_pdu(4, four_zeros + "\x01\x03"), "AC ABORT(2/6)", 0, "pdv_length"},
      {"PdvOfLengthOne", a + raw_pdu(4, std::string("\0\0\0\x01\x01\x03", 6)), "AC ABORT(2/6)"},
      {"PdvLongerThanItsPdu", a + raw_pdu(4, std::string("\0\0\xff\xff\x01\x03", 6)),
       "AC ABORT(2/6)"},
      {"ReleaseOfAnotherLength", a + raw_pdu(5, four_zeros + four_zeros), "AC ABORT(2/6)"},
      // Fragments
      {"CommandInPdusOfOneByte", a + in_bytes(1, true, echo_command(), false),
       "AC RSP(8030 to 1: 0000)"},
      {"CommandInPdvsOfOneByte", a + in_bytes(1, true, echo_command(), true),
       "AC RSP(8030 to 1: 0000)"},
      {"DataSetInPdvsOfOneByte", a + store_begins() + in_bytes(3, false, dataset(), true),
       "AC RSP(8001 to 1: 0000)", 1},
      {"EmptyPdvsEverywhere",
       a + raw_data_pdu(3, true, false, "") + raw_data_pdu(3, true, false, store_command()) +
           raw_data_pdu(3, true, true, "") + raw_data_pdu(3, false, false, "") +
           raw_data_pdu(3, false, false, dataset()) + raw_data_pdu(3, false, true, ""),
       "AC RSP(8001 to 1: 0000)", 1},
      // Messages
      {"StoreThatSaysNoDataSetFollows",
       a + raw_data_pdu(3, true, true, with_data_set_type(c_store_command(1, kCt, "1.2"), 0x0101)),
       "AC RSP(8001 to 1: 0212)"},
      {"EchoThatSaysADataSetFollows",
       a + raw_data_pdu(1, true, true, with_data_set_type(c_echo_command(1), 0)) +
           raw_data_pdu(1, false, true, "ab"),
       "AC RSP(8030 to 1: 0212)"},
      {"DataWithoutACommand", a + raw_data_pdu(3, false, true, dataset()), "AC ABORT(2/5)", 0,
       "dataset_without_command"},
      {"CommandInADataSet", a + store_begins() + half_of_dataset() + echo(), "AC ABORT(2/5)"},
      {"ContextThatWasNotOffered", a + raw_data_pdu(5, true, true, echo_command()), "AC ABORT(2/6)",
       0, "context_not_accepted"},
      {"ContextThatChanges", a + store_begins() + raw_data_pdu(1, false, true, dataset()),
       "AC ABORT(2/5)", 0, "context_changed"},
      {"StoreOnTheVerificationContext",
       a + raw_data_pdu(1, true, true, store_command()) + raw_data_pdu(1, false, true, dataset()),
       "AC RSP(8001 to 1: 0122)"},
      {"CommandWithoutAField", a + raw_data_pdu(1, true, true, raw_command({{0x0110, raw_u16(1)}})),
       "AC ABORT(0/0)", 0, "malformed_command"},
      {"CommandOfAnotherGroup",
       a + raw_data_pdu(1, true, true,
                        std::string("\x08\0\x16\0\x02\0\0\0"
                                    "1.",
                                    10)),
       "AC ABORT(2/6)", 0, "command_set"},
      {"CommandThatNeverEnds",
       a + raw_data_pdu(1, true, false, std::string(60'000, 'x')) +
           raw_data_pdu(1, true, false, std::string(60'000, 'x')),
       "AC ABORT(2/6)", 0, "command_length"},
      {"ResponseWithoutARequest",
       a + raw_data_pdu(1, true, true,
                        raw_command({{0x0100, raw_u16(0x8030)},
                                     {0x0120, raw_u16(1)},
                                     {0x0800, raw_u16(0x0101)},
                                     {0x0900, raw_u16(0)}})),
       "AC ABORT(0/0)"},
      // Endings, in each state
      {"ReleaseInACommand", a + raw_data_pdu(3, true, false, "ab") + raw_release_rq(),
       "AC ABORT(2/2)", 0, "release_in_message"},
      {"ReleaseInAStore", a + store_begins() + half_of_dataset() + raw_release_rq(),
       "AC ABORT(2/2)"},
      {"AbortWhenIdle", a + raw_abort() + echo(), "AC"},
      {"AbortInACommand", a + raw_data_pdu(3, true, false, "ab") + raw_abort(), "AC"},
      {"AbortInAStore", a + store_begins() + half_of_dataset() + raw_abort(), "AC"},
      {"AbortWithinAPdu", a + store_begins() + half_of_dataset().substr(0, 100) + raw_abort(),
       "AC"},
      // What a fragment begins with tells enough.
      {"DataWithoutCommandInAPduThatDoesNotEnd", a + half_of_dataset().substr(0, 100),
       "AC ABORT(2/5)", 0, "dataset_without_command"},
      {"AbortInsteadOfReadingTheAnswer", a + store() + raw_abort(), "AC RSP(8001 to 1: 0000)", 1},
      {"EndOfStreamInAStore", a + store_begins() + half_of_dataset(), "AC"},
      {"ReleaseTwice", a + raw_release_rq() + raw_release_rq(), "AC RP"},
      {"DataBehindTheRelease", a + raw_release_rq() + store(), "AC RP"},
      // Not waiting for answers
      {"EverythingAtOnce", a + echo(1) + echo(2) + raw_release_rq(),
       "AC RSP(8030 to 1: 0000) RSP(8030 to 2: 0000) RP"},
      {"StoresAtOnce", a + store(1) + store(2) + store(3) + raw_release_rq(),
       "AC RSP(8001 to 1: 0000) RSP(8001 to 2: 0000) RSP(8001 to 3: 0000) RP", 3},
  };
  return table;
}

class RudeScu : public testing::TestWithParam<Rudeness> {};

TEST_P(RudeScu, IsAnsweredAndHarmsNobody) {
  const Rudeness& rude = GetParam();
  DimseOptions options;
  options.artim_timeout = Milliseconds(3000);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto socket, RawSocket::connect("127.0.0.1", under_test.port()));

  ignore(socket->send(rude.bytes), "the receiver may close before it has everything");
  socket->half_close();

  EXPECT_EQ(answer_text(socket->receive_until_closed(Milliseconds(kSanitized ? 60'000 : 10'000))),
            rude.answer);
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.spool.instances().size(), rude.stored);
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  if (rude.why != nullptr) {
    EXPECT_EQ(under_test.refused(rude.why), 1) << rude.why;
  }
  EXPECT_THAT(under_test.echo(), IsOk());
  EXPECT_TRUE(under_test.env.fatals().empty());
}

INSTANTIATE_TEST_SUITE_P(, RudeScu, testing::ValuesIn(rudenesses()),
                         [](const auto& one) { return std::string(one.param.name); });

// Fragments of eight data sets arrive by turns, each on an association of its own.
TEST(RudeScus, InterleavedAssociationsKeepTheirInstancesApart) {
  ReceiverUnderTest under_test;
  constexpr int kAssociations = 8;
  constexpr std::size_t kPieceBytes = 500;
  std::vector<std::unique_ptr<RawScu>> scus;
  for (int i = 0; i < kAssociations; ++i) {
    ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
    const auto command = c_store_command(1, kCt, recipe(i).sop_instance_uid);
    ASSERT_THAT(scu->send_command(3, command), IsOk());
    scus.push_back(std::move(scu));
  }
  std::size_t longest = 0;
  for (int i = 0; i < kAssociations; ++i) longest = std::max(longest, dataset(i).size());
  for (std::size_t at = 0; at < longest; at += kPieceBytes) {
    for (int i = 0; i < kAssociations; ++i) {
      const std::string whole = dataset(i);
      if (at >= whole.size()) continue;
      ASSERT_THAT(
          scus[static_cast<std::size_t>(i)]->send_data(
              3, std::string_view(whole).substr(at, kPieceBytes), at + kPieceBytes >= whole.size()),
          IsOk());
    }
  }

  for (int i = 0; i < kAssociations; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto response,
                         scus[static_cast<std::size_t>(i)]->receive_response());
    EXPECT_EQ(response.status, 0);
    const auto stored = under_test.spool.instance(recipe(i).sop_instance_uid);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->dataset(), dataset(i)) << i;
  }
}

}  // namespace
}  // namespace isthmus::test
