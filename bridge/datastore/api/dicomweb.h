// DICOMweb on a data store: QIDO-RS, STOW-RS, and WADO-RS of instances, metadata, frames and bulk
// data (PS3.18 sections 10.4 to 10.6), under the addresses of a DicomWebFace. What it serves are
// the primary image sets in their latest settled version.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "datastore/api/dicomweb_face.h"
#include "datastore/api/dicomweb_stow.h"
#include "datastore/api/native_xml.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/dicom_index.h"
#include "datastore/engine/dictionary.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/frame_store.h"
#include "datastore/engine/transcoder.h"
#include "http/router.h"
#include "wire/dicom_json.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

class DicomWebApi : public http::Handler {
 public:
  struct Parts {
    Catalogue& catalogue;
    Blobs& blobs;
    DataStores& data_stores;
    DicomIndex& index;
    FrameStore& frames;
    Examiner& examiner;  // knows the data dictionary
    Stow& stow;
  };
  DicomWebApi(Env& env, const DicomWebFace& face, Parts parts);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;

 private:
  using Answer = Result<http::Response>;
  using Action = Answer (DicomWebApi::*)(const http::Head&, const http::PathParameters&);

  void route(std::string_view path_template, Action action);
  std::unique_ptr<http::Exchange> store(const http::Head& head, const http::PathParameters& path);
  http::Response answer(const http::Head& head, const http::PathParameters& path,
                        const std::string& body, Action action);

  Answer search_studies(const http::Head& head, const http::PathParameters& path);
  Answer search_series(const http::Head& head, const http::PathParameters& path);
  Answer search_instances(const http::Head& head, const http::PathParameters& path);
  Answer search(const http::Head& head, const http::PathParameters& path, QueryLevel level);
  Answer retrieve(const http::Head& head, const http::PathParameters& path);
  Answer metadata(const http::Head& head, const http::PathParameters& path);
  Answer frames(const http::Head& head, const http::PathParameters& path);
  Answer bulkdata(const http::Head& head, const http::PathParameters& path);

  // How an instance goes out: the file as it was imported, with what updates have changed, or in
  // another syntax.
  struct Outgoing {
    std::string transfer_syntax_uid;
    std::vector<Piece> pieces;
    std::uint64_t made_bytes = 0;  // of them that are in memory
    bool stale = false;            // changed, and the file cannot be
  };
  struct Batch {
    std::vector<wire::OutgoingPart> parts;
    bool stale = false;
  };
  Result<nlohmann::json> changes_of(const ServedInstance& instance, const nlohmann::json& document);
  // "*": in its own syntax.
  Result<Outgoing> outgoing(const ServedInstance& instance, const std::string& syntax);
  Result<Batch> all_in(const std::vector<ServedInstance>& instances, const std::string& syntax);
  Answer send(std::vector<wire::OutgoingPart> parts, const std::string& type, bool multipart);
  Answer frames_in(const http::Head& head, const http::PathParameters& path,
                   const ServedInstance& instance, const std::vector<std::uint32_t>& indices);
  void add_bulk_data(const ServedInstance& instance, const nlohmann::json& document,
                     const std::string& base_url, nlohmann::json& into) const;
  Piece range_of(const ServedInstance& instance, const nlohmann::json& document,
                 const nlohmann::json& entry) const;
  Result<Bytes> inflated(const ServedInstance& instance, const nlohmann::json& document,
                         const nlohmann::json& entry) const;
  Answer send_bulk(bool multipart, std::vector<Piece> pieces);
  Result<std::vector<ServedInstance>> found(const http::PathParameters& path);
  Result<void> add_metadata(const std::vector<ServedInstance>& instances,
                            const std::string& base_url, nlohmann::json& list);
  // Asks the dictionary for keywords that nobody has asked for yet.
  Result<void> learn(const nlohmann::json& attributes);
  std::optional<wire::DicomElement> element_of(std::string_view keyword);
  // Of elements that learn() has seen.
  std::string keyword_of(std::string_view tag);
  // As DICOM JSON, or a part in XML each, as Accept likes it better.
  Answer described(const http::Head& head, const nlohmann::json& list,
                   const KeywordLookup& keyword_of);
  std::string boundary();

  Env& env_;
  const DicomWebFace& face_;
  Parts parts_;
  Transcoder transcoder_;
  http::Router router_;
  std::mutex mutex_;
  std::map<std::string, std::optional<wire::DicomElement>, std::less<>> elements_;
  std::map<std::string, std::string, std::less<>> keywords_;  // by tag
};

}  // namespace isthmus::datastore
