// WADO-RS of frames and bulk data: in the form that the client likes best of those it can have
// (PS3.18 sections 8.7.3.3 and 10.4). A frame can be had as it is stored, as it came, as plain
// pixels, and in the lossless syntaxes that are made here.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <numeric>

#include "datastore/api/dicomweb.h"
#include "datastore/api/dicomweb_parts.h"
#include "datastore/api/media_types.h"
#include "datastore/engine/levels.h"
#include "dicom/skeleton.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::size_t kMostFramesAtOnce = 1'000;
constexpr std::uint64_t kMostInflatedBytes = 64 * MiB;  // of a value in a deflated data set
constexpr std::uint32_t kPixels = 0x7FE00000;

// "1", "1,3,4".
Result<std::vector<std::uint32_t>> frame_numbers(const std::string& text) {
  std::vector<std::uint32_t> indices;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string number = text.substr(begin, end - begin);
    const bool digits = !number.empty() && number.size() <= 9 &&
                        std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || number == "0") return invalid("Frames are numbers from 1, with commas.");
    indices.push_back(static_cast<std::uint32_t>(std::stoul(number)) - 1);
    begin = end + 1;
  }
  if (indices.size() > kMostFramesAtOnce) return invalid("Too many frames in one request.");
  return indices;
}

// A form that a frame can be given in.
struct FrameOffer {
  enum class From { stored, original, plain, encoded };
  From from = From::stored;
  std::string syntax;
};

// Those of a better order first: what is at hand before what must be made.
std::vector<FrameOffer> offers_of(const StoredFrame& frame, const std::string& stored) {
  using From = FrameOffer::From;
  std::vector<FrameOffer> offers{{From::stored, stored}};
  const auto offer = [&](From from, std::string_view syntax) {
    const bool there =
        std::ranges::any_of(offers, [&](const FrameOffer& one) { return one.syntax == syntax; });
    if (!there) offers.push_back({from, std::string(syntax)});
  };
  if (frame.record.fragments > 0) offer(From::original, frame.description.transfer_syntax_uid);
  for (const std::string_view syntax :
       {kExplicitLittleEndian, std::string_view("1.2.840.10008.1.2.4.202"),
        std::string_view("1.2.840.10008.1.2.4.201"), std::string_view("1.2.840.10008.1.2.4.90")}) {
    offer(syntax == kExplicitLittleEndian ? From::plain : From::encoded, syntax);
  }
  return offers;
}

struct Wish {
  bool multipart = true;
  std::string type;  // of each part
  FrameOffer offer;
};

bool fits(const wire::MediaType& wanted, const FrameOffer& offer) {
  const std::string_view syntax = wanted.parameter("transfer-syntax", "");
  const bool stored = offer.from == FrameOffer::From::stored;
  if (wanted.type == "*/*")
    return syntax.empty() || syntax == "*" ? stored : syntax == offer.syntax;
  if (wanted.type == "application/octet-stream") {
    if (syntax == "*") return stored;
    return offer.syntax == (syntax.empty() ? kExplicitLittleEndian : syntax);
  }
  if (!is_same_image_type(wanted.type, frame_media_type(offer.syntax))) return false;
  return syntax.empty() || syntax == "*" || syntax == offer.syntax;
}

std::vector<Wish> wishes_of(const http::Head& head, const std::vector<FrameOffer>& offers,
                            std::size_t count) {
  std::vector<Wish> wishes;
  for (const wire::AcceptedType& one : accepted_types(head)) {
    const bool related = one.media.type == "multipart/related";
    if (!related && count > 1 && one.media.type != "*/*") continue;
    wire::MediaType wanted = one.media;
    if (related) wanted.type = std::string(one.media.parameter("type", "application/octet-stream"));
    for (const FrameOffer& offer : offers) {
      if (!fits(wanted, offer)) continue;
      const bool named = wanted.type.find('*') == std::string::npos;
      wishes.push_back({related || one.media.type == "*/*",
                        named ? wanted.type : std::string(frame_media_type(offer.syntax)), offer});
    }
  }
  return wishes;
}

Result<std::unique_ptr<ByteSource>> frame_in(FrameStore& frames, const StoredFrame& frame,
                                             const FrameOffer& offer, const std::string& format) {
  switch (offer.from) {
    case FrameOffer::From::stored:
      return frames.stored(frame, format);
    case FrameOffer::From::original:
      return frames.as_it_came(frame);
    case FrameOffer::From::plain:
      return frames.plain(frame);
    case FrameOffer::From::encoded:
      break;
  }
  return frames.encoded(frame, std::string(lossless_format_of(offer.syntax)));
}

// Made here, not when its turn comes: a frame that cannot be made is an answer of its own.
Result<std::vector<wire::OutgoingPart>> parts_of(FrameStore& frames,
                                                 const std::vector<StoredFrame>& wanted,
                                                 const Wish& wish, const std::string& format) {
  std::vector<wire::OutgoingPart> parts;
  for (const StoredFrame& frame : wanted) {
    TRY_ASSIGN(auto body, frame_in(frames, frame, wish.offer, format));
    const std::uint64_t size = body->size();
    auto kept = std::make_shared<std::unique_ptr<ByteSource>>(std::move(body));
    parts.push_back({{{"Content-Type", wish.type + "; transfer-syntax=" + wish.offer.syntax}},
                     size,
                     [kept]() -> Result<std::unique_ptr<ByteSource>> {
                       if (*kept) return std::move(*kept);
                       return permanent_error("http.not_rewindable", "The frame was read.");
                     }});
  }
  return parts;
}

bool takes_plain_bytes(const http::Head& head, bool& multipart) {
  for (const wire::AcceptedType& one : accepted_types(head)) {
    multipart = one.media.type == "multipart/related";
    const std::string_view type =
        multipart ? one.media.parameter("type", "application/octet-stream") : one.media.type;
    const std::string_view syntax = one.media.parameter("transfer-syntax", "*");
    const bool any = type == "*/*" || type == "application/*" || type == "application/octet-stream";
    if (any && (syntax == "*" || syntax == kExplicitLittleEndian)) return true;
  }
  return false;
}

std::optional<std::uint32_t> tag_of(const std::string& text) {
  const bool hex = text.size() == 8 &&
                   std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (!hex) return std::nullopt;
  return static_cast<std::uint32_t>(std::stoul(text, nullptr, 16));
}

// A value that was too long for the metadata: where it lies in the data set.
const json* bulk_entry(const json& document, std::uint32_t tag) {
  const auto list = document.find("bulk");
  if (list == document.end() || !list->is_array()) return nullptr;
  for (const json& one : *list) {
    if (one.is_object() && one.value("tag", std::uint32_t{0}) == tag) return &one;
  }
  return nullptr;
}

// Of big endian files: whether its bytes are in the order in which they would be sent.
bool has_no_byte_order(std::string_view vr) {
  return vr == "OB" || vr == "UN" || vr == "UT" || vr == "UC" || vr == "UR" || vr == "LT";
}

}  // namespace

DicomWebApi::Answer DicomWebApi::frames(const http::Head& head, const http::PathParameters& path) {
  TRY_ASSIGN(const std::vector<std::uint32_t> indices, frame_numbers(parameter(path, "frames")));
  TRY_ASSIGN(const std::vector<ServedInstance> instances, found(path));
  return frames_in(head, path, instances.front(), indices);
}

DicomWebApi::Answer DicomWebApi::frames_in(const http::Head& head, const http::PathParameters& path,
                                           const ServedInstance& instance,
                                           const std::vector<std::uint32_t>& indices) {
  TRY_ASSIGN(const DataStoreRecord store, parts_.data_stores.find(parameter(path, "store")));
  TRY_ASSIGN(const std::vector<StoredFrame> wanted,
             parts_.frames.frames_of(instance.blob, indices));
  const std::string& format = store.lossless_storage_format;
  const std::vector<FrameOffer> offers =
      offers_of(wanted.front(), stored_syntax(wanted.front().description, format));
  std::optional<Error> why;
  for (const Wish& wish : wishes_of(head, offers, wanted.size())) {
    auto parts = parts_of(parts_.frames, wanted, wish, format);
    if (parts) return send(std::move(*parts), wish.type, wish.multipart);
    if (!is_of_the_form(parts.error())) return parts.error();
    if (!why) why = parts.error();
  }
  if (why) return *why;
  return not_acceptable();
}

// Bulk data have an address where the metadata leave a value out, and the pixels have.
void DicomWebApi::add_bulk_data(const ServedInstance& instance, const json& document,
                                const std::string& base_url, json& into) const {
  const std::string below = base_url + "/studies/" + instance.study_instance_uid + "/series/" +
                            instance.series_instance_uid + "/instances/" +
                            instance.sop_instance_uid + "/bulkdata/value/";
  const auto list = document.find("bulk");
  if (list != document.end() && list->is_array()) {
    for (const json& one : *list) {
      const auto tag = one.value("tag", std::uint32_t{0});
      const std::string text = fmt::format("{:08X}", tag);
      const auto there = into.find(text);
      // An update may have given it another value, or taken it away.
      const bool left_out =
          there != into.end() && !there->contains("Value") && !there->contains("InlineBinary");
      if (tag < kPixels && !left_out) continue;
      const std::string vr = tag < kPixels ? there->value("vr", "UN") : one.value("vr", "OW");
      into[text] = {{"vr", vr.empty() ? "OW" : vr}, {"BulkDataURI", below + text}};
    }
  }
  if (!instance.pixel_description.empty() && !into.contains("7FE00010")) {
    into["7FE00010"] = {{"vr", "OW"}, {"BulkDataURI", below + "7FE00010"}};
  }
}

// Pixels of code streams are decoded; image types give them as frames.
DicomWebApi::Answer DicomWebApi::bulkdata(const http::Head& head,
                                          const http::PathParameters& path) {
  const std::optional<std::uint32_t> tag = tag_of(parameter(path, "element"));
  if (!tag) return not_found();
  TRY_ASSIGN(const std::vector<ServedInstance> instances, found(path));
  const ServedInstance& instance = instances.front();
  TRY_ASSIGN(const json document, parse_document(instance.document));
  bool multipart = false;
  const bool plain = takes_plain_bytes(head, multipart);
  const json* const entry = bulk_entry(document, *tag);
  const dicom::TransferSyntax* const syntax =
      dicom::find_transfer_syntax(document.value("transferSyntaxUID", ""));
  const bool as_it_lies = entry != nullptr && syntax != nullptr && !syntax->deflated &&
                          (!syntax->big_endian || has_no_byte_order(entry->value("vr", "")));
  if (plain && as_it_lies) {
    return send_bulk(multipart, {range_of(instance, document, *entry)});
  }
  if (*tag == 0x7FE00010 && !instance.pixel_description.empty()) {
    if (!plain) {
      TRY_ASSIGN(const auto pixels, parts_.frames.pixels_of(instance.blob));
      if (!pixels || pixels->frame_count > kMostFramesAtOnce) return not_acceptable();
      std::vector<std::uint32_t> all(pixels->frame_count);
      std::iota(all.begin(), all.end(), 0U);
      return frames_in(head, path, instance, all);
    }
    Result<std::vector<Piece>> pieces = transcoder_.plain_pixels(instance);
    if (!pieces && is_of_the_form(pieces.error())) return not_acceptable();
    if (!pieces) return pieces.error();
    return send_bulk(multipart, std::move(*pieces));
  }
  if (entry == nullptr) return not_found();
  if (!plain || syntax == nullptr || !syntax->deflated) return not_acceptable();
  TRY_ASSIGN(Bytes bytes, inflated(instance, document, *entry));
  return send_bulk(multipart, {piece_of(std::move(bytes))});
}

Piece DicomWebApi::range_of(const ServedInstance& instance, const json& document,
                            const json& entry) const {
  const auto begin =
      document.value("datasetOffset", std::uint64_t{0}) + entry.value("begin", std::uint64_t{0});
  const auto size = entry.value("size", std::uint64_t{0});
  return {size, [this, blob = instance.blob, begin, size] {
            return parts_.blobs.read(blob, begin, size);
          }};
}

Result<Bytes> DicomWebApi::inflated(const ServedInstance& instance, const json& document,
                                    const json& entry) const {
  const auto offset = document.value("datasetOffset", std::uint64_t{0});
  const auto begin = entry.value("begin", std::uint64_t{0});
  const auto size = entry.value("size", std::uint64_t{0});
  if (size > kMostInflatedBytes || offset > instance.size_bytes) return not_acceptable();
  TRY_ASSIGN(const auto dataset,
             parts_.blobs.read(instance.blob, offset, instance.size_bytes - offset));
  Bytes bytes;
  std::uint64_t at = 0;
  TRY(dicom::read_dataset(*dataset, document.value("transferSyntaxUID", ""), {},
                          [&](ByteSpan piece) {
                            const std::uint64_t from =
                                std::min<std::uint64_t>(at < begin ? begin - at : 0, piece.size());
                            const std::uint64_t wanted =
                                std::min<std::uint64_t>(size - bytes.size(), piece.size() - from);
                            const ByteSpan part = piece.subspan(from, wanted);
                            bytes.insert(bytes.end(), part.begin(), part.end());
                            at += piece.size();
                            return bytes.size() < size;
                          }));
  if (bytes.size() != size) return not_found();
  return bytes;
}

DicomWebApi::Answer DicomWebApi::send_bulk(bool multipart, std::vector<Piece> pieces) {
  std::uint64_t size = 0;
  for (const Piece& piece : pieces) size += piece.size_bytes;
  std::vector<wire::OutgoingPart> parts;
  parts.push_back({{{"Content-Type", "application/octet-stream"}},
                   size,
                   [pieces = std::move(pieces)]() -> Result<std::unique_ptr<ByteSource>> {
                     return joined(pieces);
                   }});
  return send(std::move(parts), "application/octet-stream", multipart);
}

}  // namespace isthmus::datastore
