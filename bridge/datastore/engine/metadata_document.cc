// GetImageSetMetadata: the document of one image set version, put together from its instances'.
// Form: contracts/healthimaging/README.md section 4.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "datastore/engine/deflate.h"
#include "datastore/engine/image_set_store.h"
#include "datastore/engine/levels.h"
#include "datastore/engine/pixel_layout.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::size_t kInstancesAtATime = 50;
// A document is put together instance by instance: one of them must not fill the memory.
constexpr std::size_t kMostFrames = 100'000;

struct StoredInstance {
  std::int64_t id = 0;
  std::int64_t first_version = 0;
  std::string sop_instance_uid;
  Bytes examination;
  Digest blob;
  std::string description;  // of its pixel data; empty when it has no frames
  Bytes frames;
};

// The instances of a version never change, so pages may be read one by one.
Result<std::vector<StoredInstance>> read_instances(sql::Database& database,
                                                   const ImageSetVersionRecord& version,
                                                   const StoredInstance& after) {
  TRY_ASSIGN(
      sql::Statement rows,
      database.query(
          "SELECT i.id, i.first_version, i.sop_instance_uid, i.examination, i.blob,"
          " p.description, p.frames"
          " FROM instances i LEFT JOIN pixel_data p ON p.blob = i.blob"
          " WHERE i.image_set = ?1 AND i.first_version <= ?2"
          " AND (i.end_version IS NULL OR i.end_version > ?2)"
          " AND (i.first_version, i.id) > (?3, ?4)"
          " ORDER BY i.first_version, i.id LIMIT ?5",
          {version.image_set, version.version, after.first_version, after.id, kInstancesAtATime}));
  std::vector<StoredInstance> instances;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return instances;
    const std::optional<Digest> blob = Digest::from_hex(rows.text(4));
    if (!blob) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
    instances.push_back({rows.integer(0), rows.integer(1), rows.text(2), rows.blob(3), *blob,
                         rows.text(5), rows.blob(6)});
  }
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

// Of a frame that is kept as it came nobody looks at the pixels; of one that cannot be decoded
// nothing is known (README.md section 4 of the contract).
json frame_of(const StoredInstance& instance, const PixelDescription& description,
              std::uint32_t index) {
  const std::size_t at = index * kFrameRecordBytes;
  const FrameRecord record = read_record(ByteSpan(instance.frames).subspan(at, kFrameRecordBytes));
  json frame = {{"ID", frame_id(instance.blob, index)},
                {"PixelDataChecksumFromBaseToFullResolution", json::array()},
                {"MinPixelValue", nullptr},
                {"MaxPixelValue", nullptr},
                {"FrameSizeInBytes", record.size_bytes}};
  if (record.state != FrameState::measured) return frame;
  frame["PixelDataChecksumFromBaseToFullResolution"].push_back({{"Width", description.columns},
                                                                {"Height", description.rows},
                                                                {"Checksum", record.checksum}});
  if (description.form == FrameForm::transcoded) {
    frame["MinPixelValue"] = record.smallest;
    frame["MaxPixelValue"] = record.largest;
  }
  return frame;
}

// IDs follow from what they name, so they are the same in every answer, version and copy.
void add_frames(const StoredInstance& stored, const std::string& lossless_format, json& instance) {
  instance["ImageFrames"] = json::array();
  const auto description = description_from_json(json::parse(stored.description, nullptr, false));
  if (!description) return;
  instance["StoredTransferSyntaxUID"] = stored_syntax(*description, lossless_format);
  instance["ChecksumType"] = description->form == FrameForm::kept ? "COMPRESSED" : "DECOMPRESSED";
  const std::size_t count = stored.frames.size() / kFrameRecordBytes;
  for (std::uint32_t i = 0; i < std::min(count, kMostFrames); ++i) {
    instance["ImageFrames"].push_back(frame_of(stored, *description, i));
  }
}

json instance_of(const StoredInstance& stored, const std::string& lossless_format,
                 const json& document) {
  const json metadata = member(document, "metadata");
  json instance = json::object();
  instance["DICOM"] = member(metadata, "instance");
  instance["DICOMVRs"] = member(metadata, "DICOMVRs");
  // Of an instance without frames nothing is transcoded.
  if (const auto syntax = document.find("transferSyntaxUID"); syntax != document.end()) {
    instance["StoredTransferSyntaxUID"] = *syntax;
  }
  add_frames(stored, lossless_format, instance);
  return instance;
}

// Everything up to the first instance.
std::string opening(const std::string& data_store, const std::string& image_set,
                    const Levels& levels) {
  const auto uid = levels.series.find("SeriesInstanceUID");
  const json series_uid = uid != levels.series.end() && uid->is_string() ? *uid : json("");
  return "{\"SchemaVersion\":\"1.1\",\"DatastoreID\":" + dumped(data_store) +
         ",\"ImageSetID\":" + dumped(image_set) +
         ",\"Patient\":{\"DICOM\":" + dumped(levels.patient) +
         "},\"Study\":{\"DICOM\":" + dumped(levels.study) + ",\"Series\":{" + dumped(series_uid) +
         ":{\"DICOM\":" + dumped(levels.series) + ",\"Instances\":{";
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ImageSetStore::metadata(const std::string& data_store,
                                                            const ImageSetVersionRecord& version) {
  TRY_ASSIGN(const Levels levels, catalogue_.read([&](sql::Database& database) {
    return levels_of(database, version.image_set, version.version);
  }));
  TRY_ASSIGN(const std::string lossless_format,
             catalogue_.read([&](sql::Database& database) -> Result<std::string> {
               TRY_ASSIGN(const auto format,
                          database.query_text("SELECT lossless_storage_format FROM data_stores"
                                              " WHERE id = ?",
                                              {data_store}));
               return format.value_or("HTJ2K");
             }));
  TRY_ASSIGN(std::unique_ptr<File> file, blobs_.scratch());
  GzipWriter gzip;
  const auto sink = [&](ByteSpan piece) { return file->append(piece); };
  StoredInstance last;
  bool first = true;
  while (true) {
    TRY_ASSIGN(const std::vector<StoredInstance> instances,
               catalogue_.read([&](sql::Database& database) {
                 return read_instances(database, version, last);
               }));
    if (instances.empty()) break;
    for (const StoredInstance& stored : instances) {
      TRY_ASSIGN(const std::string text, inflate_text(stored.examination));
      const json document = json::parse(text, nullptr, false);
      if (!document.is_object()) {
        return fatal_error("datastore.io", "A document in the catalogue is damaged.");
      }
      if (first) TRY(gzip.write(opening(data_store, version.image_set, levels), sink));
      TRY(gzip.write((first ? "" : ",") + dumped(stored.sop_instance_uid) + ":" +
                         dumped(instance_of(stored, lossless_format, document)),
                     sink));
      first = false;
    }
    last = {instances.back().id, instances.back().first_version, "", {}, {}, "", {}};
  }
  // Deleted in the middle of it.
  if (first) return permanent_error("datastore.no_such_image_set", "The image set was deleted.");
  TRY(gzip.write("}}}}}", sink));
  TRY(gzip.finish(sink));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  return source_of_file(std::move(file), 0, size);
}

}  // namespace isthmus::datastore
