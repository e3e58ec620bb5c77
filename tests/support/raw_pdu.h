// Upper layer PDUs and DIMSE commands as bytes, written without DCMTK and without the code under
// test; every field can be made wrong.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace isthmus::test {

inline constexpr std::string_view kVerification = "1.2.840.10008.1.1";

struct RawContext {
  int id = 1;
  std::string abstract_syntax;
  std::vector<std::string> transfer_syntaxes;
};

struct RawAssociate {
  std::string called_ae_title = "ISTHMUS";
  std::string calling_ae_title = "RAWSCU";
  std::vector<RawContext> contexts;
  int version = 1;
  std::optional<std::string> application_context = "1.2.840.10008.3.1.1.1";
  std::optional<std::uint32_t> max_pdu_bytes = 131072;
  std::string more_items;       // raw, after the contexts
  std::string more_user_items;  // raw, at the end of the user information
};

// Type, a zero, 16-bit length, content: items and sub-items.
std::string raw_item(int type, std::string_view content);
// Type, a zero, 32-bit length, content.
std::string raw_pdu(int type, std::string_view content);
std::string raw_associate_rq(const RawAssociate& request);
std::string raw_pdv(int context_id, bool command, bool last, std::string_view content);
std::string raw_data_pdu(int context_id, bool command, bool last, std::string_view content);
// All of it but the content, which is `content_bytes` long and follows.
std::string raw_data_pdu_head(int context_id, bool command, bool last, std::size_t content_bytes);
std::string raw_release_rq();
std::string raw_abort();

// A command set in Implicit VR Little Endian: group length, then the elements in the order of the
// map. Values are padded to even length with NUL.
using RawCommand = std::map<std::uint16_t, std::string>;
std::string raw_u16(std::uint16_t value);
std::string raw_command(const RawCommand& elements);
RawCommand c_echo_command(std::uint16_t message_id);
RawCommand c_store_command(std::uint16_t message_id, std::string_view sop_class_uid,
                           std::string_view sop_instance_uid);
// The elements of a command set; values with trailing NUL and space removed for UIDs and text is up
// to the caller.
RawCommand parse_command(std::string_view bytes);
std::uint16_t raw_number(const RawCommand& command, std::uint16_t element);

}  // namespace isthmus::test
