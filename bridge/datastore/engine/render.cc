#include "datastore/engine/render.h"

#include "datastore/engine/pixels/codecs.h"
#include "datastore/engine/pixels/layout.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

struct Order {
  PixelDescription description;
  FrameRecord record;
  std::uint64_t dataset_offset = 0;
  std::string form;
};

std::optional<Order> read_order(const json& request) {
  const auto description = request.find("description");
  const auto record = request.find("record");
  if (description == request.end() || record == request.end()) return std::nullopt;
  const auto described = description_from_json(*description);
  const auto recorded = record_from_json(*record);
  const auto offset = request.find("datasetOffset");
  const auto form = request.find("render");
  if (!described || !recorded || offset == request.end() || !offset->is_number_unsigned() ||
      form == request.end() || !form->is_string()) {
    return std::nullopt;
  }
  return Order{*described, *recorded, offset->get<std::uint64_t>(), form->get<std::string>()};
}

// Read where it lies; out of a deflated data set by inflating up to it.
Result<Bytes> covered_bytes(std::unique_ptr<File> file, const Order& order) {
  if (order.record.length > kMostFrameBytes) {
    return permanent_error("pixels.too_large", "The frame is too large to be decoded.");
  }
  TRY_ASSIGN(const std::uint64_t size, file->size());
  if (order.dataset_offset > size)
    return permanent_error("pixels.broken", "The file is too short.");
  const auto* syntax = dicom::find_transfer_syntax(order.description.transfer_syntax_uid);
  if (syntax != nullptr && syntax->deflated) {
    const auto dataset =
        source_of_file(std::move(file), order.dataset_offset, size - order.dataset_offset);
    return read_frame(*dataset, {}, order.description, order.record);
  }
  const std::uint64_t offset = order.dataset_offset + order.record.offset;
  if (offset > size || order.record.length > size - offset) {
    return permanent_error("pixels.broken", "The file is too short.");
  }
  Bytes bytes(static_cast<std::size_t>(order.record.length));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    TRY_ASSIGN(const std::size_t count,
               file->read_at(offset + filled, MutableByteSpan(bytes).subspan(filled)));
    if (count == 0) return permanent_error("pixels.broken", "The file is too short.");
    filled += count;
  }
  return bytes;
}

Result<Bytes> render(std::unique_ptr<File> file, const Order& order) {
  TRY_ASSIGN(const Bytes covered, covered_bytes(std::move(file), order));
  TRY_ASSIGN(Bytes bytes, frame_bytes(order.description, order.record, covered));
  const bool native = order.form == "native";
  if (native && is_stored_as_it_came(order.description) &&
      order.description.form == FrameForm::native) {
    return bytes;
  }
  TRY_ASSIGN(DecodedFrame frame, decode_frame(order.description, bytes));
  if (native) return std::move(frame.pixels);
  return encode_frame(frame, order.form);
}

}  // namespace

json render_frame(std::unique_ptr<File> file, const json& request) {
  const std::optional<Order> order = read_order(request);
  if (!order) {
    return {{"ok", false},
            {"code", "worker.bad_request"},
            {"message", "The request is not understood."}};
  }
  const Result<Bytes> rendered = render(std::move(file), *order);
  if (!rendered) {
    return {{"ok", false}, {"code", rendered.error().code}, {"message", rendered.error().message}};
  }
  return {{"ok", true}, {"bytes", to_base64(*rendered)}};
}

}  // namespace isthmus::datastore
