// The association that we open to tell of a commitment: an A-ASSOCIATE-AC of any bytes, and a
// report cut into PDUs that the guard of the other side would let through.
#include <algorithm>

#include "dimse/commitment/peer_associate.h"
#include "dimse/guard/cursor.h"
#include "dimse/guard/pdu_stream.h"
#include "fuzz/fuzz.h"
#include "support/raw_pdu.h"

namespace isthmus::fuzz {
namespace {

constexpr std::uint32_t kLargest = 131072;

// What a peer that takes at most `peer_max` puts together again.
void check_pdus(ByteSpan content, std::uint32_t peer_max) {
  const Bytes sent = dimse::encode_data_pdus(content, dimse::kReportContext, false, peer_max);
  dimse::AcceptedContexts accepted{};
  accepted[dimse::kReportContext] = true;
  dimse::PduStream pdus(kLargest);
  pdus.accept_contexts(accepted);
  Bytes received;
  bool ended = false;
  for (ByteSpan left = sent; !left.empty();) {
    check(!ended && left.size() >= dimse::kPduHeaderBytes, "whole PDUs, and none behind the last");
    const auto header = dimse::read_pdu_header(left.first(dimse::kPduHeaderBytes));
    if (peer_max >= 128) check(header.length_bytes <= peer_max, "no longer than the peer takes");
    const ByteSpan pdu = left.first(dimse::kPduHeaderBytes + header.length_bytes);
    left = left.subspan(pdu.size());
    ByteSpan unread = pdu;
    const auto item = pdus.next(unread);
    const auto* fragment = std::get_if<dimse::Fragment>(&item);
    check(fragment != nullptr && unread.empty(), "of one fragment, that the guard lets through");
    ended = fragment->is_last;
    received.insert(received.end(), fragment->bytes.begin(), fragment->bytes.end());
  }
  check(ended, "the last is marked");
  check(std::equal(content.begin(), content.end(), received.begin(), received.end()), "the same");
}

void run(ByteSpan input) {
  const auto acceptance = dimse::examine_report_acceptance(input);
  if (acceptance && acceptance->implicit_vr) check_pdus(input, acceptance->peer_max_pdu_bytes);
  if (input.size() < 2) return;
  const auto peer_max = static_cast<std::uint32_t>(std::to_integer<unsigned>(input[0]) * 4);
  check_pdus(input.subspan(1), peer_max);
}

std::vector<std::string> seeds() {
  const std::string syntax = test::raw_item(0x40, "1.2.840.10008.1.2.1");
  const std::string context = test::raw_item(0x21, std::string("\1\0\0\0", 4) + syntax);
  const std::string role = test::raw_item(
      0x54, std::string("\0\x14", 2) + "1.2.840.10008.1.20.1" + std::string("\0\1", 2));
  const std::string user = test::raw_item(0x50, test::raw_item(0x51, std::string("\0\0\x40\0", 4)) +
                                                    test::raw_item(0x52, "2.25.1") + role);
  const std::string fixed =
      std::string("\0\1\0\0", 4) + "ISTHMUS         MODALITY        " + std::string(32, '\0');
  return {test::raw_pdu(2, fixed + test::raw_item(0x10, "1.2.840.10008.3.1.1.1") + context + user),
          test::raw_pdu(2, fixed + context), std::string(900, 'd')};
}

}  // namespace

Harness report_harness() {
  return {"report", run, 4 * KiB, seeds};
}

}  // namespace isthmus::fuzz
