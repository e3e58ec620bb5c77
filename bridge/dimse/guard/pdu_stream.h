// The PDUs of an established association, out of bytes that come in pieces: each byte is looked at
// once, when it is there, and content is passed on without waiting for the rest of its PDU, however
// large that is. A pure state machine.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "dimse/guard/pdata.h"

namespace isthmus::dimse {

class PduStream {
 public:
  explicit PduStream(std::uint32_t max_pdu_bytes) : max_pdu_bytes_(max_pdu_bytes) {}
  void accept_contexts(const AcceptedContexts& accepted) { accepted_ = accepted; }

  struct NeedMore {};  // nothing can be said before more bytes come
  struct Release {};   // an A-RELEASE-RQ
  struct Abort {};     // an A-ABORT
  using Item = std::variant<NeedMore, Fragment, Release, Abort, Refusal>;

  // Takes from the front of `bytes` what it understands, and gives the first that comes of it. A
  // fragment is a PDV or, when that is not all there, the part of it that is: `is_last` belongs to
  // the last part. Its bytes are of `bytes`. With NeedMore, what is left of `bytes` (less than a
  // header) is to be shown again, with more behind it. After a Refusal there is no next.
  Item next(ByteSpan& bytes);
  // A PDU began, and its end did not come.
  bool is_within_pdu() const { return pdu_left_ > 0; }

 private:
  std::optional<Item> begin_pdu(ByteSpan& bytes);
  std::optional<Item> begin_pdv(ByteSpan& bytes);
  Item take_content(ByteSpan& bytes);

  const std::uint32_t max_pdu_bytes_;
  AcceptedContexts accepted_{};
  std::uint8_t pdu_type_ = 0;
  std::uint32_t pdu_left_ = 0;  // of the PDU, bytes that did not come yet
  bool in_pdv_ = false;
  std::uint32_t pdv_left_ = 0;  // likewise of the PDV's content
  Fragment pdv_;                // its context and flags
};

}  // namespace isthmus::dimse
