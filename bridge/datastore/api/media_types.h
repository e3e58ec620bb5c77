// Content types of image frames by the transfer syntax they are in.
#pragma once

#include <string_view>

namespace isthmus::datastore {

// What GetImageFrame says (contracts/healthimaging/transfer-syntaxes.json); for JPEG 2000 Lossless,
// of which the service model says nothing, image/j2c, as for its lossy sister.
std::string_view frame_media_type(std::string_view stored_syntax);

// Some types have two names.
bool is_same_image_type(std::string_view one, std::string_view other);

}  // namespace isthmus::datastore
