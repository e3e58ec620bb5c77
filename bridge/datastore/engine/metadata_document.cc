// GetImageSetMetadata: the document of one image set version, put together from its instances'.
// Form: contracts/healthimaging/README.md section 4.
#include <nlohmann/json.hpp>

#include "datastore/engine/deflate.h"
#include "datastore/engine/image_set_store.h"
#include "datastore/engine/levels.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::size_t kInstancesAtATime = 50;
// The number of frames is the file's own claim: a false one must not fill the memory.
constexpr std::int64_t kMostFrames = 100'000;

struct StoredInstance {
  std::int64_t id = 0;
  std::int64_t first_version = 0;
  std::string sop_instance_uid;
  Bytes examination;
};

// The instances of a version never change, so pages may be read one by one.
Result<std::vector<StoredInstance>> read_instances(sql::Database& database,
                                                   const ImageSetVersionRecord& version,
                                                   const StoredInstance& after) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT id, first_version, sop_instance_uid, examination"
                            " FROM instances WHERE image_set = ?1 AND first_version <= ?2"
                            " AND (end_version IS NULL OR end_version > ?2)"
                            " AND (first_version, id) > (?3, ?4)"
                            " ORDER BY first_version, id LIMIT ?5",
                            {version.image_set, version.version, after.first_version, after.id,
                             kInstancesAtATime}));
  std::vector<StoredInstance> instances;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return instances;
    instances.push_back({rows.integer(0), rows.integer(1), rows.text(2), rows.blob(3)});
  }
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

// IDs follow from what they name, so they are the same in every answer: nothing keeps them.
json frames_of(const std::string& image_set, const StoredInstance& instance, const json& document) {
  json frames = json::array();
  const auto claimed = document.find("frames");
  if (claimed == document.end() || !claimed->is_number_integer()) return frames;
  const std::int64_t count = claimed->get<std::int64_t>();
  if (count > kMostFrames) return frames;
  for (std::int64_t frame = 0; frame < count; ++frame) {
    const std::string name =
        image_set + "/" + std::to_string(instance.id) + "/" + std::to_string(frame);
    frames.push_back({{"ID", sha256(name).hex().substr(0, 32)}});
  }
  return frames;
}

json instance_of(const std::string& image_set, const StoredInstance& stored, const json& document) {
  const json metadata = member(document, "metadata");
  json instance = json::object();
  instance["DICOM"] = member(metadata, "instance");
  instance["DICOMVRs"] = member(metadata, "DICOMVRs");
  // Kept as it came: nothing is transcoded here.
  if (const auto syntax = document.find("transferSyntaxUID"); syntax != document.end()) {
    instance["StoredTransferSyntaxUID"] = *syntax;
  }
  instance["ImageFrames"] = frames_of(image_set, stored, document);
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
         "},\"Study\":{\"DICOM\":" + dumped(levels.study) + ",\"Series\":{" +
         dumped(series_uid) + ":{\"DICOM\":" + dumped(levels.series) + ",\"Instances\":{";
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ImageSetStore::metadata(const std::string& data_store,
                                                            const ImageSetVersionRecord& version) {
  TRY_ASSIGN(const Levels levels, catalogue_.read([&](sql::Database& database) {
    return levels_of(database, version.image_set, version.version);
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
                         dumped(instance_of(version.image_set, stored, document)),
                     sink));
      first = false;
    }
    last = {instances.back().id, instances.back().first_version, "", {}};
  }
  // Deleted in the middle of it.
  if (first) return permanent_error("datastore.no_such_image_set", "The image set was deleted.");
  TRY(gzip.write("}}}}}", sink));
  TRY(gzip.finish(sink));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  return source_of_file(std::move(file), 0, size);
}

}  // namespace isthmus::datastore
