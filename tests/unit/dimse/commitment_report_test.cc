// The bytes of our association to a requester and of the report, and what is made of its answers.
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "dicom/action_information.h"
#include "dimse/commitment.h"
#include "dimse/commitment/event_report.h"
#include "dimse/commitment/peer_associate.h"
#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/raw_pdu.h"
#include "support/test_env.h"

namespace isthmus::dimse {
namespace {

using namespace std::chrono_literals;
using test::FailsWith;
using test::IsOk;

constexpr const char* kCt = "1.2.840.10008.5.1.4.1.1.2";
constexpr const char* kImplicit = "1.2.840.10008.1.2";
constexpr const char* kExplicit = "1.2.840.10008.1.2.1";

std::string bytes_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

// An A-ASSOCIATE-AC as a requester writes it.
std::string acceptance(int result, const std::string& syntax, std::optional<int> scp,
                       std::uint32_t max_pdu = 16384) {
  std::string context{1, 0, static_cast<char>(result), 0};
  context += test::raw_item(0x40, syntax);
  std::string maximum;
  for (int shift = 24; shift >= 0; shift -= 8) maximum += static_cast<char>(max_pdu >> shift);
  std::string user = test::raw_item(0x51, maximum);
  if (scp) {
    const std::string uid(kCommitmentClass);
    user += test::raw_item(0x54, std::string{0, static_cast<char>(uid.size())} + uid +
                                     std::string{0, static_cast<char>(*scp)});
  }
  return test::raw_pdu(2, std::string("\0\1\0\0", 4) + std::string(64, ' ') +
                              test::raw_item(0x10, "1.2.840.10008.3.1.1.1") +
                              test::raw_item(0x21, context) + test::raw_item(0x50, user));
}

std::string response(std::uint16_t status, std::uint16_t message_id = 1) {
  test::RawCommand command{{0x0002, std::string(kCommitmentClass)},
                           {0x0100, test::raw_u16(0x8100)},
                           {0x0120, test::raw_u16(message_id)},
                           {0x0800, test::raw_u16(0x0101)},
                           {0x0900, test::raw_u16(status)}};
  return test::raw_data_pdu(1, true, true, test::raw_command(command));
}

TEST(ReportRequest, IsTakenByOurOwnExaminerAsWhatItSays) {
  const Bytes pdu = encode_report_request("MODALITY", "ISTHMUS", 16384);

  const auto verdict = examine_associate_request(pdu);

  ASSERT_TRUE(std::holds_alternative<AssociateRequest>(verdict));
  const auto& request = std::get<AssociateRequest>(verdict);
  EXPECT_EQ(request.called_ae_title, "MODALITY");
  EXPECT_EQ(request.calling_ae_title, "ISTHMUS");
  ASSERT_EQ(request.contexts.size(), 1U);
  EXPECT_EQ(request.contexts[0].abstract_syntax, kCommitmentClass);
  EXPECT_EQ(request.contexts[0].transfer_syntaxes,
            (std::vector<std::string>{kExplicit, kImplicit}));
  ASSERT_EQ(request.roles.size(), 1U);
  EXPECT_FALSE(request.roles[0].scu);
  EXPECT_TRUE(request.roles[0].scp);
}

TEST(ReportAcceptanceTest, EachAnswerIsTold) {
  const auto read = [](const std::string& pdu) { return examine_report_acceptance(as_bytes(pdu)); };

  EXPECT_EQ(read(acceptance(0, kImplicit, 1))->implicit_vr, true);
  EXPECT_EQ(read(acceptance(0, kExplicit, 1))->implicit_vr, false);
  EXPECT_EQ(read(acceptance(0, kExplicit, 1))->scp_role, true);
  EXPECT_EQ(read(acceptance(0, kExplicit, 0))->scp_role, false);
  EXPECT_EQ(read(acceptance(0, kExplicit, std::nullopt))->scp_role, std::nullopt);
  EXPECT_EQ(read(acceptance(3, kExplicit, 1))->implicit_vr, std::nullopt);
  EXPECT_EQ(read(acceptance(0, kExplicit, 1, 5000))->peer_max_pdu_bytes, 5000U);
  const std::string whole = acceptance(0, kExplicit, 1);
  for (std::size_t cut = 75; cut < whole.size(); ++cut) {
    (void)read(whole.substr(0, cut));  // never beyond its end (sanitizers)
  }
  EXPECT_EQ(read(whole.substr(0, 40)), std::nullopt);
}

TEST(DataPdus, AreNeverLongerThanThePeerTakes) {
  const Bytes content(1000, std::byte{7});

  const Bytes pdus = encode_data_pdus(content, 1, false, 206);

  Bytes joined;
  for (std::size_t at = 0; at < pdus.size();) {
    const PduHeader header = read_pdu_header(ByteSpan(pdus).subspan(at, 6));
    EXPECT_LE(header.length_bytes, 206U);
    const auto control = static_cast<unsigned>(pdus[at + 11]);
    at += 6 + header.length_bytes;
    EXPECT_EQ(control, at == pdus.size() ? 2U : 0U);
    joined.resize(joined.size() + header.length_bytes - 6);
  }
  EXPECT_EQ(joined.size(), content.size());
}

class Report : public testing::Test {
 protected:
  // A request about `known` received instances and `unknown` others, and one more that never came
  // of each of `classes`, answered.
  Commitment answered(int known, int unknown, std::vector<const char*> classes = {}) {
    CommitmentRequest request;
    request.transaction_uid = *Uid::parse("1.2.3");
    request.calling_ae_title = "CT";
    for (int n = 0; n < known + unknown; ++n) {
      const Uid uid = *Uid::parse("1.9." + std::to_string(n));
      EXPECT_TRUE(request.references.add(*Uid::parse(kCt), uid));
      if (n >= known) continue;
      Arrival arrival;
      arrival.id = InstanceId::make(env_);
      arrival.identity.sop_class_uid = *Uid::parse(kCt);
      arrival.identity.sop_instance_uid = uid;
      EXPECT_THAT(ledger_.record(arrival, nullptr), IsOk());
    }
    for (const char* one : classes) {
      EXPECT_TRUE(request.references.add(*Uid::parse(one), *Uid::parse("1.9.100")));
    }
    request.references.sort_and_unite();
    request.level = CommitmentLevel::spooled;
    const auto recorded = ledger_.commitments().request(request, 100);
    EXPECT_THAT(recorded, IsOk());
    return *ledger_.commitments().conclude(recorded->id, {}, env_.clock.wall_now() + 1h);
  }

  test::TestEnv env_;
  test::MemoryLedger ledger_{env_, {"main"}};
};

TEST_F(Report, HasEveryReferenceOnceInTheListItBelongsTo) {
  for (const bool implicit : {true, false}) {
    const Commitment commitment = answered(2, 1);
    const auto report = make_event_report(ledger_.commitments(), commitment, 7, implicit);
    ASSERT_THAT(report, IsOk());

    const std::string dataset = bytes_of(report->dataset);
    EXPECT_EQ(dataset.size() % 2, 0U);
    // The committed list by our own reader of such lists.
    dicom::ActionInformation committed(implicit ? kImplicit : kExplicit, 100);
    committed.feed(report->dataset);
    const auto read = committed.finish();
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(read->transaction_uid.text(), "1.2.3");
    EXPECT_EQ(read->references.size(), 2U);
    EXPECT_NE(dataset.find("1.9.2"), std::string::npos);
    const std::string reason = implicit ? std::string("\x08\0\x97\x11\2\0\0\0\x12\1", 10)
                                        : std::string("\x08\0\x97\x11US\2\0\x12\1", 10);
    EXPECT_NE(dataset.find(reason), std::string::npos) << "0112H";
    EXPECT_EQ(dataset.find(std::string("\x08\0\x54\0", 4)), std::string::npos)
        << "we cannot be queried";
    const auto command = test::parse_command(bytes_of(report->command));
    EXPECT_EQ(test::raw_number(command, 0x1002), 2U);
    EXPECT_EQ(test::raw_number(command, 0x0110), 7U);
    EXPECT_EQ(test::raw_number(command, 0x0100), 0x0100U);
    EXPECT_NE(test::raw_number(command, 0x0800), 0x0101U);
    ASSERT_THAT(
        ledger_.commitments().advance(commitment.id, CommitmentEvent::acknowledged, nullptr),
        IsOk());
  }
}

// PS3.3 C.14.1.1: 0122H for a class that is no storage; 0112H for one that we have no name for.
TEST_F(Report, TellsWhatCanNeverComeFromWhatDidNotCome) {
  const Commitment commitment =
      answered(0, 1, {"1.2.840.10008.3.1.2.3.3", "1.3.12.2.1107.5.9.1", "1.2.840.10008.1.20.1"});
  const auto report = make_event_report(ledger_.commitments(), commitment, 1, true);
  ASSERT_THAT(report, IsOk());

  const std::string dataset = bytes_of(report->dataset);
  const auto times = [&](const char* reason) {
    const std::string element = std::string("\x08\0\x97\x11\2\0\0\0", 8) + reason + "\1";
    int found = 0;
    for (auto at = dataset.find(element); at != std::string::npos;
         at = dataset.find(element, at + 1)) {
      ++found;
    }
    return found;
  };
  EXPECT_EQ(times("\x22"), 2);
  EXPECT_EQ(times("\x12"), 2);
}

TEST_F(Report, AListThatWouldBeEmptyIsLeftOut) {
  const std::string failed_sequence("\x08\0\x98\x11", 4);
  const std::string committed_sequence("\x08\0\x99\x11", 4);
  const auto dataset_of = [&](const Commitment& commitment) {
    return bytes_of(make_event_report(ledger_.commitments(), commitment, 1, true)->dataset);
  };

  const std::string all = dataset_of(answered(1, 0));
  EXPECT_EQ(all.find(failed_sequence), std::string::npos);
  EXPECT_NE(all.find(committed_sequence), std::string::npos);
  const std::string none = dataset_of(answered(0, 2));
  EXPECT_NE(none.find(failed_sequence), std::string::npos);
  EXPECT_EQ(none.find(committed_sequence), std::string::npos);
}

// A connection whose other side is a script; what was written is kept.
class ScriptedConnection : public ReportConnection {
 public:
  ScriptedConnection(std::string& written, std::deque<std::string> reads)
      : written_(written), reads_(std::move(reads)) {}
  Result<void> write(ByteSpan bytes, SteadyTime) override {
    written_ += as_text(bytes);
    return {};
  }
  Result<std::size_t> read(MutableByteSpan into, SteadyTime) override {
    if (reads_.empty()) return transient_error("report.timeout", "Nothing more comes.");
    std::string& next = reads_.front();
    const std::size_t count = std::min(next.size(), into.size());
    std::copy_n(as_bytes(next).begin(), count, into.begin());
    next.erase(0, count);
    if (next.empty()) reads_.pop_front();
    return count;
  }

 private:
  std::string& written_;
  std::deque<std::string> reads_;
};

class ReportOverALine : public Report, public Requesters {
 protected:
  std::optional<Requester> find(const std::string&) const override { return requester_; }

  Result<std::unique_ptr<ReportAssociation>> connect(std::deque<std::string> reads) {
    line_ = make_report_line(
        env_, ledger_.commitments(), *this,
        [this, reads](const Requester&, SteadyTime) -> Result<std::unique_ptr<ReportConnection>> {
          return std::unique_ptr<ReportConnection>(new ScriptedConnection(written_, reads));
        },
        {});
    return line_->connect({"CT", "ISTHMUS"});
  }
  Result<std::uint16_t> report(std::deque<std::string> reads) {
    reads.push_front(acceptance(0, kImplicit, 1));
    TRY_ASSIGN(const auto association, connect(std::move(reads)));
    return association->report(answered(1, 0));
  }

  std::optional<Requester> requester_ = [] {
    Requester requester;
    requester.host = "127.0.0.1";
    return requester;
  }();
  std::string written_;
  std::unique_ptr<ReportLine> line_;
};

TEST_F(ReportOverALine, GivesTheStatusOfTheAnswer) {
  EXPECT_EQ(*report({response(0)}), 0);
  EXPECT_EQ(*report({response(0x0110)}), 0x0110);
  // However its bytes come.
  std::deque<std::string> single;
  for (const char c : response(0x0213)) single.push_back(std::string(1, c));
  EXPECT_EQ(*report(single), 0x0213);
  EXPECT_TRUE(written_.ends_with(test::raw_release_rq())) << "and it is released";
}

TEST_F(ReportOverALine, RolesAreConfirmedOrWeAreLenient) {
  EXPECT_THAT(connect({acceptance(0, kExplicit, std::nullopt)}), IsOk());
  EXPECT_TRUE(env_.log.contains("commitment.role_not_confirmed"));
  requester_->send_without_role_confirmation = false;
  EXPECT_THAT(connect({acceptance(0, kExplicit, std::nullopt)}),
              FailsWith("report.not_accepted", Fate::transient));
  EXPECT_THAT(connect({acceptance(0, kExplicit, 1)}), IsOk());
  EXPECT_THAT(connect({acceptance(0, kExplicit, 0)}), FailsWith("report.not_accepted"));
  EXPECT_THAT(connect({acceptance(4, kExplicit, 1)}), FailsWith("report.not_accepted"));
}

TEST_F(ReportOverALine, EveryOtherEndIsAnErrorThatPasses) {
  const std::string data = test::raw_data_pdu(1, false, true, "x");
  struct Case {
    std::string answer;
    const char* code;
  };
  for (const Case& one : {Case{test::raw_pdu(3, std::string("\0\1\1\3", 4)), "report.rejected"},
                          Case{test::raw_abort(), "report.aborted"},
                          Case{test::raw_pdu(2, "short"), "report.protocol"},
                          Case{test::raw_pdu(6, "    "), "report.protocol"},
                          Case{std::string("\2\0\x7f\xff\xff\xff", 6), "report.protocol"},
                          Case{"", "report.timeout"}}) {
    std::deque<std::string> reads;
    if (!one.answer.empty()) reads.push_back(one.answer);
    EXPECT_THAT(connect(reads), FailsWith(one.code, Fate::transient)) << one.code;
  }
  for (const Case& one :
       {Case{test::raw_abort(), "report.aborted"}, Case{test::raw_release_rq(), "report.closed"},
        Case{data, "report.protocol"}, Case{response(0, 9), "report.protocol"},
        Case{test::raw_pdu(4, "nonsense"), "report.protocol"}, Case{"", "report.timeout"}}) {
    std::deque<std::string> reads;
    if (!one.answer.empty()) reads.push_back(one.answer);
    EXPECT_THAT(report(reads), FailsWith(one.code, Fate::transient)) << one.code;
  }
  requester_.reset();
  EXPECT_THAT(connect({}), FailsWith("report.no_address", Fate::transient));
}

}  // namespace
}  // namespace isthmus::dimse
