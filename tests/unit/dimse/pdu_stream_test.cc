#include "dimse/guard/pdu_stream.h"

#include <gtest/gtest.h>

#include "support/raw_pdu.h"

namespace isthmus::dimse {
namespace {

using test::raw_data_pdu;
using test::raw_pdu;
using test::raw_pdv;

constexpr std::uint32_t kMaxPduBytes = 4096;

// What comes of a stream of which `step` bytes come at a time: "3d:abc" is data on context 3, "!"
// the end of what is last. Parts of one fragment are put together again.
class Reader {
 public:
  Reader() {
    AcceptedContexts accepted{};
    accepted[1] = accepted[3] = true;
    stream_.accept_contexts(accepted);
  }

  std::string read(const std::string& bytes, std::size_t step) {
    std::string unread;
    for (std::size_t at = 0; at < bytes.size() && !over_; at += step) {
      unread += bytes.substr(at, step);
      ByteSpan left = as_bytes(unread);
      while (take(stream_.next(left))) {
      }
      EXPECT_TRUE(over_ || left.size() < kPduHeaderBytes) << "whole headers are not left";
      unread = unread.substr(unread.size() - left.size());
    }
    return story_;
  }
  bool is_within_pdu() const { return stream_.is_within_pdu(); }

 private:
  // False: nothing more can be said.
  bool take(const PduStream::Item& item) {
    if (std::holds_alternative<PduStream::NeedMore>(item)) return false;
    if (const auto* fragment = std::get_if<Fragment>(&item)) {
      take_part(*fragment);
      return true;
    }
    if (const auto* refusal = std::get_if<Refusal>(&item)) {
      story_ += std::string(" refused ") + refusal->why;
    } else {
      story_ += std::holds_alternative<PduStream::Release>(item) ? " release" : " abort";
    }
    over_ = true;
    return false;
  }

  void take_part(const Fragment& fragment) {
    const std::string of = std::to_string(fragment.context_id) + (fragment.is_command ? "c" : "d");
    if (of != open_) story_ += " " + of + ":";
    story_ += as_text(fragment.bytes);
    open_ = of;
    if (!fragment.is_last) return;
    story_ += "!";
    open_.clear();
  }

  PduStream stream_{kMaxPduBytes};
  std::string story_;
  std::string open_;
  bool over_ = false;
};

// The same for every way to cut it.
std::string told(const std::string& bytes) {
  const std::string whole = Reader().read(bytes, bytes.size());
  for (std::size_t step = 1; step < bytes.size(); ++step) {
    EXPECT_EQ(Reader().read(bytes, step), whole) << "cut every " << step << " bytes";
  }
  return whole;
}

TEST(PduStream, GivesFragmentsInTheOrderTheyCome) {
  EXPECT_EQ(told(raw_pdu(4, raw_pdv(1, true, true, "ab") + raw_pdv(3, false, false, "") +
                                raw_pdv(3, false, true, "odd")) +
                 raw_data_pdu(3, true, true, "x") + raw_data_pdu(3, false, false, "y") +
                 raw_data_pdu(3, false, true, "z") + test::raw_release_rq()),
            " 1c:ab! 3d:odd! 3c:x! 3d:yz! release");
}

TEST(PduStream, GivesContentBeforeThePduIsWhole) {
  Reader reader;

  EXPECT_EQ(reader.read(raw_data_pdu(3, false, true, "abcdef").substr(0, 6 + 6 + 4), 100),
            " 3d:abcd");
  EXPECT_TRUE(reader.is_within_pdu());
  EXPECT_EQ(reader.read("ef", 1), " 3d:abcdef!");
  EXPECT_FALSE(reader.is_within_pdu());
}

TEST(PduStream, EndsWithAnAbortOrWhatIsNotForNow) {
  EXPECT_EQ(told(raw_data_pdu(1, true, true, "a") + test::raw_abort()), " 1c:a! abort");
  EXPECT_EQ(told(raw_data_pdu(1, true, true, "a") + raw_pdu(1, "abcd")),
            " 1c:a! refused unexpected_pdu");
  EXPECT_EQ(told(raw_pdu(9, "abcd")), " refused unrecognized_pdu");
  EXPECT_EQ(told(raw_data_pdu(1, true, true, std::string(kMaxPduBytes, 'x')).substr(0, 20)),
            " refused pdu_length");
}

TEST(PduStream, RefusesLengthsThatDoNotFill) {
  EXPECT_EQ(told(raw_pdu(4, "")), " refused pdu_length");
  EXPECT_EQ(told(raw_pdu(4, std::string(6, 0))), " refused pdv_length");                 // length 0
  EXPECT_EQ(told(raw_pdu(4, std::string("\0\0\0\1\1\0", 6))), " refused pdv_length");    // length 1
  EXPECT_EQ(told(raw_pdu(4, std::string("\0\0\0\xff\1\3", 6))), " refused pdv_length");  // beyond
  EXPECT_EQ(told(raw_pdu(4, std::string("\xff\xff\xff\xff\1\3", 6))), " refused pdv_length");
  // Three bytes behind the last fragment are not another one.
  EXPECT_EQ(told(raw_pdu(4, raw_pdv(1, true, true, "ab") + "xyz")), " 1c:ab! refused pdv_length");
}

TEST(PduStream, RefusesContextsThatWereNotAccepted) {
  EXPECT_EQ(told(raw_data_pdu(5, true, true, "ab")), " refused context_not_accepted");
  EXPECT_EQ(told(raw_data_pdu(0, true, true, "ab")), " refused context_not_accepted");
}

}  // namespace
}  // namespace isthmus::dimse
