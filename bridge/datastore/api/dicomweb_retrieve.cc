// WADO-RS of studies, series and instances: files as they were imported, with what updates have
// changed, in the transfer syntax that the client likes best of those it can have (PS3.18 section
// 8.7.3).
#include "datastore/api/dicomweb.h"
#include "datastore/api/dicomweb_parts.h"
#include "datastore/engine/levels.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::size_t kMostHeadBytes = 256 * MiB;  // of files made anew, while an answer is sent

struct Wish {
  bool multipart = true;
  std::string syntax;  // "*": whatever the file is in
};

// In the order in which the client likes them.
std::vector<Wish> wishes_of(const http::Head& head, std::size_t count,
                            const std::string& syntax_unless_said) {
  std::vector<Wish> wishes;
  for (const wire::AcceptedType& one : accepted_types(head)) {
    const bool related = one.media.type == "multipart/related";
    const std::string_view type = related ? one.media.parameter("type", "application/dicom")
                                          : std::string_view(one.media.type);
    const bool any = type == "*/*" || type == "application/*" || type == "application/dicom";
    const bool fits = related || count == 1 || one.media.type == "*/*";
    if (!any || !fits) continue;
    wishes.push_back({related || count > 1,
                      std::string(one.media.parameter("transfer-syntax", syntax_unless_said))});
  }
  return wishes;
}

}  // namespace

// What updates have changed, in the form of Examiner::rewrite(); null when nothing was.
Result<json> DicomWebApi::changes_of(const ServedInstance& instance, const json& document) {
  TRY_ASSIGN(const std::optional<Levels> changed,
             parts_.catalogue.read([&](sql::Database& database) {
               return changed_levels(database, instance.image_set, instance.version);
             }));
  if (!changed) return json();
  const json& metadata = member(document, "metadata");
  return json{{"patient", changed->patient},
              {"study", changed->study},
              {"series", changed->series},
              {"instance", member(metadata, "instance")},
              {"DICOMVRs", member(metadata, "DICOMVRs")}};
}

Result<DicomWebApi::Outgoing> DicomWebApi::outgoing(const ServedInstance& instance,
                                                    const std::string& syntax) {
  TRY_ASSIGN(const json document, parse_document(instance.document));
  TRY_ASSIGN(const json changes, changes_of(instance, document));
  Outgoing file;
  file.transfer_syntax_uid = document.value("transferSyntaxUID", "");
  if (syntax != "*" && syntax != file.transfer_syntax_uid) {
    file.transfer_syntax_uid = syntax;
    TRY_ASSIGN(file.pieces, transcoder_.file(instance, changes, syntax));
    file.made_bytes = file.pieces.front().size_bytes + file.pieces.back().size_bytes;
    return file;
  }
  std::uint64_t from = 0;
  if (!changes.is_null()) {
    auto rewritten = parts_.examiner.rewrite(parts_.blobs.path_of(instance.blob), changes);
    file.stale = !rewritten && rewritten.error().code == "rewrite.unsupported";
    if (!rewritten && !file.stale) return rewritten.error();
    if (rewritten && *rewritten) {
      from = (*rewritten)->tail;
      file.made_bytes = (*rewritten)->head.size();
      file.pieces.push_back(piece_of(std::move((*rewritten)->head)));
    }
  }
  if (from > instance.size_bytes) {
    return permanent_error("datastore.worker_answer", "The new file cannot be read.");
  }
  const std::uint64_t size = instance.size_bytes - from;
  file.pieces.push_back({size, [this, blob = instance.blob, from, size] {
                           return parts_.blobs.read(blob, from, size);
                         }});
  return file;
}

// All in that syntax, or none.
Result<DicomWebApi::Batch> DicomWebApi::all_in(const std::vector<ServedInstance>& instances,
                                               const std::string& syntax) {
  Batch batch;
  std::size_t made = 0;
  for (const ServedInstance& instance : instances) {
    TRY_ASSIGN(Outgoing file, outgoing(instance, syntax));
    made += file.made_bytes;
    if (made > kMostHeadBytes) {
      return invalid("Too many instances are made anew for one answer: ask for each series.");
    }
    batch.stale = batch.stale || file.stale;
    const std::string type = "application/dicom; transfer-syntax=" + file.transfer_syntax_uid;
    std::uint64_t size = 0;
    for (const Piece& piece : file.pieces) size += piece.size_bytes;
    batch.parts.push_back(
        {{{"Content-Type", type}},
         size,
         [pieces = std::move(file.pieces)]() -> Result<std::unique_ptr<ByteSource>> {
           return joined(pieces);
         }});
  }
  return batch;
}

DicomWebApi::Answer DicomWebApi::retrieve(const http::Head& head,
                                          const http::PathParameters& path) {
  TRY_ASSIGN(const std::vector<ServedInstance> instances, found(path));
  for (const Wish& wish : wishes_of(head, instances.size(), face_.retrieved_syntax())) {
    Result<Batch> batch = all_in(instances, wish.syntax);
    if (!batch && is_of_the_form(batch.error())) continue;
    if (!batch) return batch.error();
    TRY_ASSIGN(http::Response response,
               send(std::move(batch->parts), "application/dicom", wish.multipart));
    if (batch->stale) {
      response.headers.add("Warning", "299 isthmus \"Updates of metadata are not in every file\"");
    }
    return response;
  }
  return not_acceptable();
}

DicomWebApi::Answer DicomWebApi::send(std::vector<wire::OutgoingPart> parts,
                                      const std::string& type, bool multipart) {
  http::Response response;
  if (!multipart) {
    TRY_ASSIGN(response.body, parts.front().open());
    response.headers.set("Content-Type", std::string(parts.front().headers.get("Content-Type")));
    return response;
  }
  const std::string mark = boundary();
  response.headers.set("Content-Type",
                       "multipart/related; type=\"" + type + "\"; boundary=" + mark);
  response.body = wire::multipart_body(mark, std::move(parts));
  return response;
}

}  // namespace isthmus::datastore
