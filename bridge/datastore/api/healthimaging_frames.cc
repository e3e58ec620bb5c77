// GetImageFrame: the frame as it is stored, with the content type of that form
// (contracts/healthimaging/transfer-syntaxes.json).
#include "datastore/api/healthimaging.h"
#include "datastore/api/media_types.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

HealthImagingApi::Answer HealthImagingApi::get_frame(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::GetImageFrameRequest>(incoming));
  TRY_ASSIGN(const DataStoreRecord data_store, parts_.data_stores.find(request.datastore_id));
  // Of every version that the set has had, but not once it is deleted.
  TRY_ASSIGN(const ImageSetVersionRecord version,
             parts_.image_sets.find_content(request.datastore_id, request.image_set_id, {}));
  TRY_ASSIGN(const StoredFrame frame, parts_.frames.find(request.datastore_id, request.image_set_id,
                                                         request.image_frame_id));
  http::Response response;
  TRY_ASSIGN(response.body, parts_.frames.stored(frame, data_store.lossless_storage_format));
  parts_.image_sets.note_access(version);
  const std::string syntax = stored_syntax(frame.description, data_store.lossless_storage_format);
  response.headers.set("Content-Type", std::string(frame_media_type(syntax)));
  return response;
}

}  // namespace isthmus::datastore
