#include "dimse/session/command.h"

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/dimse.h>

#include <memory>

namespace isthmus::dimse {
namespace {

// Comments and UIDs of ours and at most 64 characters each: far below.
constexpr std::size_t kMaxResponseBytes = 4 * KiB;

std::string text_of(DcmItem& item, const DcmTagKey& tag) {
  OFString value;
  // All components: a backslash makes a UID invalid, it must not hide the rest.
  if (item.findAndGetOFStringArray(tag, value).bad()) return {};
  std::string text(value.c_str(), value.size());
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  return text;
}

std::optional<std::uint16_t> number_of(DcmItem& item, const DcmTagKey& tag) {
  Uint16 value = 0;
  if (item.findAndGetUint16(tag, value).bad()) return std::nullopt;
  return value;
}

}  // namespace

Result<Command> parse_command(ByteSpan command_set) {
  DcmInputBufferStream stream;
  stream.setBuffer(command_set.data(), static_cast<offile_off_t>(command_set.size()));
  stream.setEos();
  DcmDataset elements;
  elements.transferInit();
  const OFCondition read = elements.read(stream, EXS_LittleEndianImplicit);
  elements.transferEnd();
  const auto malformed = [] {
    return permanent_error("dimse.malformed_command",
                           "A command set lacks its Command Field or Message ID.");
  };
  if (read.bad()) return malformed();
  Command command;
  if (elements.findAndGetUint16(DCM_CommandField, command.field).bad()) return malformed();
  // Responses and C-CANCEL say which message they are about instead.
  const bool has_message_id =
      (command.field & kResponseBit) == 0 && command.field != kCCancelRequest;
  if (has_message_id && elements.findAndGetUint16(DCM_MessageID, command.message_id).bad()) {
    return malformed();
  }
  command.affected_sop_class_uid = text_of(elements, DCM_AffectedSOPClassUID);
  if (command.affected_sop_class_uid.empty()) {
    command.affected_sop_class_uid = text_of(elements, DCM_RequestedSOPClassUID);
  }
  command.affected_sop_instance_uid = text_of(elements, DCM_AffectedSOPInstanceUID);
  if (!elements.tagExists(DCM_AffectedSOPInstanceUID)) {
    command.affected_sop_instance_uid = text_of(elements, DCM_RequestedSOPInstanceUID);
  }
  command.action_type_id = number_of(elements, DCM_ActionTypeID);
  command.status = number_of(elements, DCM_Status);
  command.message_id_responded_to = number_of(elements, DCM_MessageIDBeingRespondedTo).value_or(0);
  return command;
}

Bytes encode_response(const Response& response) {
  DcmDataset elements;
  const auto put_text = [&](const DcmTagKey& tag, const std::string& text) {
    if (!text.empty()) ASSERT(elements.putAndInsertString(tag, text.c_str()).good());
  };
  // UIDs come back as the peer wrote them. Past DcmUniqueIdentifier::putString, for which "="
  // begins a name to be looked up, and which fails when there is no such name.
  const auto put_uid = [&](const DcmTagKey& tag, const std::string& text) {
    if (text.empty()) return;
    auto uid = std::make_unique<DcmUniqueIdentifier>(DcmTag(tag, EVR_UI));
    ASSERT(uid->DcmByteString::putString(text.data(), static_cast<Uint32>(text.size())).good());
    ASSERT(elements.insert(uid.release()).good());
  };
  const auto put_number = [&](const DcmTagKey& tag, std::uint16_t number) {
    ASSERT(elements.putAndInsertUint16(tag, number).good());
  };
  put_uid(DCM_AffectedSOPClassUID, response.affected_sop_class_uid);
  put_number(DCM_CommandField, response.field | kResponseBit);
  put_number(DCM_MessageIDBeingRespondedTo, response.message_id);
  put_number(DCM_CommandDataSetType, DIMSE_DATASET_NULL);
  put_number(DCM_Status, response.status);
  put_text(DCM_ErrorComment, response.error_comment);
  put_uid(DCM_AffectedSOPInstanceUID, response.affected_sop_instance_uid);
  if (response.action_type_id) put_number(DCM_ActionTypeID, *response.action_type_id);
  if (response.offending_element) {
    const auto group = static_cast<Uint16>(*response.offending_element >> 16);
    const auto element = static_cast<Uint16>(*response.offending_element & 0xffff);
    ASSERT(elements.putAndInsertTagKey(DCM_OffendingElement, DcmTagKey(group, element)).good());
  }
  Bytes bytes(kMaxResponseBytes);
  DcmOutputBufferStream stream(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  elements.transferInit();
  ASSERT(elements
             .computeGroupLengthAndPadding(EGL_withGL, EPD_withoutPadding, EXS_LittleEndianImplicit,
                                           EET_ExplicitLength)
             .good());
  ASSERT(elements.write(stream, EXS_LittleEndianImplicit, EET_ExplicitLength, nullptr, EGL_withGL)
             .good());
  elements.transferEnd();
  void* written = nullptr;
  offile_off_t length = 0;
  stream.flushBuffer(written, length);
  bytes.resize(static_cast<std::size_t>(length));
  return bytes;
}

}  // namespace isthmus::dimse
