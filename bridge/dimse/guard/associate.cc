#include "dimse/guard/associate.h"

#include <algorithm>
#include <array>
#include <bitset>

#include "dimse/guard/cursor.h"

namespace isthmus::dimse {
namespace {

constexpr std::string_view kApplicationContext = "1.2.840.10008.3.1.1.1";  // PS3.7 A.2.1
constexpr std::string_view kStorageCommitment = "1.2.840.10008.1.20.1";    // PS3.4 J.3.5
constexpr std::size_t kFixedBytes =
    68;  // version, reserved, two AE titles, 32 reserved (table 9-11)

// Item types, PS3.8 section 9.3.2 and annex D, PS3.7 annex D.3.3.
enum : std::uint8_t {
  kItemApplicationContext = 0x10,
  kItemContext = 0x20,
  kItemAbstractSyntax = 0x30,
  kItemTransferSyntax = 0x40,
  kItemUserInformation = 0x50,
  kItemMaximumLength = 0x51,
  kItemImplementationClass = 0x52,
  kItemAsynchronous = 0x53,
  kItemRole = 0x54,
  kItemImplementationVersion = 0x55,
  kItemExtended = 0x56,
  kItemCommonExtended = 0x57,
  kItemUserIdentity = 0x58,
};

Refusal malformed(const char* why) {
  return abort_with(AbortReason::invalid_parameter, why);
}

// Printable, at most 64 characters; NUL and space padding removed. Whether it is a well-formed UID
// is the policy's question: a context with a strange name is refused alone.
std::optional<std::string> read_name(ByteSpan bytes) {
  std::string_view text = as_text(bytes);
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  if (text.empty() || text.size() > 64) return std::nullopt;
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable) return std::nullopt;
  return std::string(text);
}

// Sixteen bytes of the default repertoire without backslash and control characters (PS3.5
// section 6.2).
std::optional<std::string> read_ae_title(ByteSpan bytes) {
  std::string_view text = as_text(bytes);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  const bool allowed = std::all_of(text.begin(), text.end(),
                                   [](char c) { return c >= 0x20 && c < 0x7f && c != '\\'; });
  if (!allowed) return std::nullopt;
  return std::string(text);
}

class Examiner {
 public:
  std::variant<AssociateRequest, Refusal> run(ByteSpan pdu);

 private:
  std::optional<Refusal> item(std::uint8_t type, ByteSpan content);
  std::optional<Refusal> context(ByteSpan content);
  std::optional<Refusal> context_item(std::uint8_t type, ByteSpan content, ContextOffer& offer);
  std::optional<Refusal> user_information(ByteSpan content);
  std::optional<Refusal> user_item(std::uint8_t type, ByteSpan content);
  std::optional<Refusal> extended(ByteSpan content);
  std::optional<Refusal> common_extended(ByteSpan content);
  std::optional<Refusal> user_identity(ByteSpan content);

  AssociateRequest request_;
  std::optional<std::string> application_context_;
  std::bitset<256> context_ids_;
  bool user_information_seen_ = false;
  bool maximum_length_seen_ = false;
};

// Walks type, reserved, 16-bit length, content; whatever `visit` refuses ends it.
template <typename Visit>
std::optional<Refusal> each_item(ByteSpan bytes, const char* why, Visit visit) {
  Cursor cursor(bytes);
  while (!cursor.at_end()) {
    const auto type = cursor.u8();
    cursor.skip(1);
    const auto length = cursor.u16();
    const auto content = cursor.take(length.value_or(0));
    if (!type || !length || !content) return malformed(why);
    if (auto refusal = visit(*type, *content)) return refusal;
  }
  return std::nullopt;
}

std::variant<AssociateRequest, Refusal> Examiner::run(ByteSpan pdu) {
  Cursor cursor(pdu);
  if (!cursor.skip(kPduHeaderBytes)) return malformed("truncated");
  if (cursor.left() < kFixedBytes) return malformed("truncated");
  const std::uint16_t version = *cursor.u16();
  cursor.skip(2);
  const auto called = read_ae_title(*cursor.take(16));
  const auto calling = read_ae_title(*cursor.take(16));
  cursor.skip(32);
  // Bit 0 is version 1; other bits are for versions to come and do not matter (PS3.8 table 9-11).
  if ((version & 1U) == 0) return reject_with(1, 2, 2, "protocol_version");

  const auto refusal =
      each_item(*cursor.take(cursor.left()), "item_length",
                [this](std::uint8_t type, ByteSpan content) { return item(type, content); });
  if (refusal) return *refusal;
  if (request_.contexts.empty()) return malformed("no_contexts");
  if (!user_information_seen_) return malformed("no_user_information");
  if (!maximum_length_seen_) return malformed("no_maximum_length");
  if (application_context_ != kApplicationContext) {
    return reject_with(1, 1, 2, "application_context");
  }
  if (request_.peer_max_pdu_bytes != 0 && request_.peer_max_pdu_bytes < kLeastPeerPduBytes) {
    return reject_with(1, 1, 1, "maximum_length");
  }
  if (!called) return reject_with(1, 1, 7, "called_ae_title");
  if (!calling) return reject_with(1, 1, 3, "calling_ae_title");
  request_.called_ae_title = *called;
  request_.calling_ae_title = *calling;
  return std::move(request_);
}

std::optional<Refusal> Examiner::item(std::uint8_t type, ByteSpan content) {
  switch (type) {
    case kItemApplicationContext:
      if (application_context_) return malformed("application_context");
      application_context_ = read_name(content).value_or("");
      return std::nullopt;
    case kItemContext:
      return context(content);
    case kItemUserInformation:
      if (user_information_seen_) return malformed("user_information");
      user_information_seen_ = true;
      return user_information(content);
    default:
      // PS3.8 section 9.3.1: items of types unknown to the receiver are ignored.
      return std::nullopt;
  }
}

std::optional<Refusal> Examiner::context(ByteSpan content) {
  if (content.size() < 4) return malformed("context_length");
  ContextOffer offer;
  offer.id = static_cast<std::uint8_t>(content[0]);
  // Odd integers between 1 and 255 (PS3.8 section 9.3.2.2), unique (7.1.1.13): hence at most 128.
  if (offer.id % 2 == 0) return malformed("context_id");
  if (context_ids_.test(offer.id)) return malformed("context_id");
  context_ids_.set(offer.id);
  const auto refusal = each_item(
      content.subspan(4), "context_item_length",
      [&](std::uint8_t type, ByteSpan inner) { return context_item(type, inner, offer); });
  if (refusal) return refusal;
  if (offer.abstract_syntax.empty()) return malformed("no_abstract_syntax");
  if (offer.transfer_syntaxes.empty()) return malformed("no_transfer_syntax");
  request_.contexts.push_back(std::move(offer));
  return std::nullopt;
}

std::optional<Refusal> Examiner::context_item(std::uint8_t type, ByteSpan content,
                                              ContextOffer& offer) {
  if (type != kItemAbstractSyntax && type != kItemTransferSyntax) return std::nullopt;
  auto name = read_name(content);
  if (!name) return malformed("syntax_name");
  if (type == kItemAbstractSyntax) {
    if (!offer.abstract_syntax.empty()) return malformed("abstract_syntax");
    offer.abstract_syntax = std::move(*name);
    return std::nullopt;
  }
  auto& offered = offer.transfer_syntaxes;
  if (std::find(offered.begin(), offered.end(), *name) != offered.end()) return std::nullopt;
  if (offered.size() == kMaxTransferSyntaxesPerContext) return malformed("transfer_syntaxes");
  offered.push_back(std::move(*name));
  return std::nullopt;
}

std::optional<Refusal> Examiner::user_information(ByteSpan content) {
  return each_item(content, "user_item_length",
                   [this](std::uint8_t type, ByteSpan inner) { return user_item(type, inner); });
}

std::optional<Refusal> Examiner::user_item(std::uint8_t type, ByteSpan content) {
  switch (type) {
    case kItemMaximumLength: {
      if (content.size() != 4 || maximum_length_seen_) return malformed("maximum_length");
      maximum_length_seen_ = true;
      request_.peer_max_pdu_bytes = *Cursor(content).u32();
      return std::nullopt;
    }
    case kItemImplementationClass:
      // For the log only: a strange one is left out.
      request_.implementation_class_uid = read_name(content).value_or("");
      return std::nullopt;
    case kItemImplementationVersion:
      if (content.size() <= 16) {
        request_.implementation_version_name = read_name(content).value_or("");
      }
      return std::nullopt;
    case kItemAsynchronous:
      // Not answered: absent means one operation at a time (PS3.7 D.3.3.3).
      return content.size() == 4 ? std::nullopt : std::optional(malformed("asynchronous"));
    case kItemRole: {
      Cursor cursor(content);
      const auto name = cursor.take(cursor.u16().value_or(0));
      if (!name || cursor.left() != 2) return malformed("role");
      const bool scu = *cursor.u8() == 1;
      const bool scp = *cursor.u8() == 1;
      if (auto uid = read_name(*name); uid && request_.roles.size() < 128) {
        request_.roles.push_back({std::move(*uid), scu, scp});
      }
      return std::nullopt;
    }
    case kItemExtended:
      return extended(content);
    case kItemCommonExtended:
      return common_extended(content);
    case kItemUserIdentity:
      return user_identity(content);
    default:
      return std::nullopt;
  }
}

std::optional<Refusal> Examiner::extended(ByteSpan content) {
  Cursor cursor(content);
  const auto name = cursor.take(cursor.u16().value_or(0));
  if (!name) return malformed("extended_negotiation");
  if (auto uid = read_name(*name); uid && request_.extended_sop_classes.size() < 128) {
    request_.extended_sop_classes.push_back(std::move(*uid));
  }
  return std::nullopt;
}

std::optional<Refusal> Examiner::common_extended(ByteSpan content) {
  Cursor cursor(content);
  const auto sop_class = cursor.take(cursor.u16().value_or(0));
  if (!sop_class) return malformed("common_extended");
  const auto service = cursor.take(cursor.u16().value_or(0));
  if (!service) return malformed("common_extended");
  auto sop_class_uid = read_name(*sop_class);
  auto service_uid = read_name(*service);
  if (sop_class_uid && service_uid && request_.common_extended.size() < 128) {
    request_.common_extended.push_back({std::move(*sop_class_uid), std::move(*service_uid)});
  }
  return std::nullopt;
}

std::optional<Refusal> Examiner::user_identity(ByteSpan content) {
  Cursor cursor(content);
  const auto type = cursor.u8();
  cursor.skip(1);
  const auto primary_length = cursor.u16();
  const bool primary = primary_length && cursor.skip(*primary_length);
  const auto secondary_length = cursor.u16();
  const bool secondary = secondary_length && cursor.skip(*secondary_length);
  if (!type || !primary || !secondary) return malformed("user_identity");
  request_.user_identity_type = *type;
  return std::nullopt;
}

class Writer {
 public:
  void u8(std::uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void u16(std::size_t value) {
    ASSERT(value <= 0xffff);
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value & 0xff));
  }
  void u32(std::size_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void text(std::string_view value) {
    const ByteSpan content = isthmus::as_bytes(value);
    bytes_.insert(bytes_.end(), content.begin(), content.end());
  }
  void zeros(std::size_t count) { bytes_.insert(bytes_.end(), count, std::byte{0}); }
  void item(std::uint8_t type, std::string_view content) {
    u8(type);
    u8(0);
    u16(content.size());
    text(content);
  }
  void item(std::uint8_t type, const Writer& content) { item(type, as_text(content.bytes_)); }
  Bytes take() { return std::move(bytes_); }
  std::size_t size() const { return bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

std::string padded_title(const std::string& title) {
  return title + std::string(16 - title.size(), ' ');
}

Writer encode_role(const RoleOffer& role) {
  Writer item;
  item.u16(role.sop_class_uid.size());
  item.text(role.sop_class_uid);
  item.u8(role.scu ? 1 : 0);
  item.u8(role.scp ? 1 : 0);
  return item;
}

}  // namespace

Refusal abort_with(AbortReason reason, const char* why) {
  return {Refusal::Kind::abort, 0, 2, static_cast<std::uint8_t>(reason), why};
}

Refusal reject_with(std::uint8_t result, std::uint8_t source, std::uint8_t reason,
                    const char* why) {
  return {Refusal::Kind::reject, result, source, reason, why};
}

std::variant<AssociateRequest, Refusal> examine_associate_request(ByteSpan pdu) {
  return Examiner().run(pdu);
}

Bytes encode_for_dcmtk(const AssociateRequest& request) {
  Writer body;
  body.u16(1);
  body.u16(0);
  body.text(padded_title(request.called_ae_title));
  body.text(padded_title(request.calling_ae_title));
  body.zeros(32);
  body.item(kItemApplicationContext, kApplicationContext);
  for (const ContextOffer& offer : request.contexts) {
    Writer context;
    context.u8(offer.id);
    context.zeros(3);
    context.item(kItemAbstractSyntax, offer.abstract_syntax);
    for (const std::string& syntax : offer.transfer_syntaxes) {
      context.item(kItemTransferSyntax, syntax);
    }
    body.item(kItemContext, context);
  }
  Writer maximum;
  maximum.u32(request.peer_max_pdu_bytes);
  Writer user;
  user.item(kItemMaximumLength, maximum);
  if (!request.implementation_class_uid.empty()) {
    user.item(kItemImplementationClass, request.implementation_class_uid);
  }
  if (!request.implementation_version_name.empty()) {
    user.item(kItemImplementationVersion, request.implementation_version_name);
  }
  for (const RoleOffer& role : request.roles) {
    if (role.sop_class_uid == kStorageCommitment) user.item(kItemRole, encode_role(role));
  }
  body.item(kItemUserInformation, user);

  Writer pdu;
  pdu.u8(static_cast<std::uint8_t>(PduType::associate_rq));
  pdu.u8(0);
  pdu.u32(body.size());
  pdu.text(as_text(body.bytes()));
  return pdu.take();
}

Bytes encode_refusal(const Refusal& refusal) {
  const bool reject = refusal.kind == Refusal::Kind::reject;
  Writer pdu;
  pdu.u8(static_cast<std::uint8_t>(reject ? PduType::associate_rj : PduType::abort));
  pdu.u8(0);
  pdu.u32(4);
  pdu.u8(0);
  pdu.u8(reject ? refusal.result : 0);
  pdu.u8(refusal.source);
  pdu.u8(refusal.reason);
  return pdu.take();
}

PduHeader read_pdu_header(ByteSpan six_bytes) {
  Cursor cursor(six_bytes);
  PduHeader header;
  header.type = cursor.u8().value_or(0);
  cursor.skip(1);
  header.length_bytes = cursor.u32().value_or(0);
  return header;
}

std::optional<Refusal> examine_first_header(const PduHeader& header) {
  if (header.type == 0 || header.type > 7) {
    return abort_with(AbortReason::unrecognized_pdu, "unrecognized_pdu");
  }
  if (header.type != static_cast<std::uint8_t>(PduType::associate_rq)) {
    return abort_with(AbortReason::unexpected_pdu, "unexpected_pdu");
  }
  if (header.length_bytes > kMaxAssociateBytes) {
    return malformed("request_length");
  }
  return std::nullopt;
}

}  // namespace isthmus::dimse
