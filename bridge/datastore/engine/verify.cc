#include "datastore/verify.h"

#include <set>

#include "datastore/engine/objects.h"
#include "sql/sql.h"

namespace isthmus::datastore {
namespace {

using Finding = std::function<void(const std::string&)>;

struct Rule {
  const char* broken;  // gives the id of each set that breaks it
  const char* words;
};

// Of image sets, whatever has happened to them.
constexpr Rule kRules[] = {
    {"SELECT s.id FROM image_sets s WHERE NOT EXISTS (SELECT 1 FROM image_set_versions v"
     " WHERE v.image_set = s.id AND v.version = s.latest_version)",
     "has no row of its latest version"},
    {"SELECT s.id FROM image_sets s WHERE s.instance_count <> (SELECT COUNT(*) FROM instances i"
     " WHERE i.image_set = s.id AND i.end_version IS NULL)",
     "counts other instances than it has"},
    {"SELECT s.id FROM image_sets s WHERE s.state = 'DELETED' AND EXISTS"
     " (SELECT 1 FROM instances i WHERE i.image_set = s.id)",
     "is deleted and has instances"},
    {"SELECT s.id FROM image_sets s WHERE s.state = 'LOCKED' AND NOT EXISTS"
     " (SELECT 1 FROM image_set_changes c WHERE instr(c.work, s.id) > 0)",
     "is locked and no change is on its way"},
    {"SELECT s.id FROM image_sets s WHERE s.state = 'ACTIVE' AND EXISTS"
     " (SELECT 1 FROM image_set_changes c WHERE instr(c.work, s.id) > 0)",
     "is not locked and a change is on its way"},
};

Result<std::set<Digest>> named_blobs(sql::Database& catalogue, VerifyReport& report,
                                     const Finding& finding) {
  TRY_ASSIGN(sql::Statement rows, catalogue.query(kNamedBlobs));
  std::set<Digest> named;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return named;
    const std::optional<Digest> digest = Digest::from_hex(rows.text(0));
    if (digest) {
      named.insert(*digest);
    } else {
      ++report.catalogue_faults;
      finding("a row names a blob that is no digest");
    }
  }
}

Result<void> check_rules(sql::Database& catalogue, VerifyReport& report, const Finding& finding) {
  for (const Rule& rule : kRules) {
    TRY_ASSIGN(sql::Statement rows, catalogue.query(rule.broken));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) break;
      ++report.catalogue_faults;
      finding("image set " + rows.text(0) + " " + rule.words);
    }
  }
  return {};
}

Result<bool> still_named(sql::Database& catalogue, const Digest& digest) {
  TRY_ASSIGN(const auto named,
             catalogue.query_integer(
                 std::string("SELECT EXISTS (SELECT 1 FROM (") + kNamedBlobs + ") WHERE blob = ?)",
                 {digest}));
  return named.value_or(1) != 0;
}

Result<Digest> digest_of(Env& env, const FileSystem::Path& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const std::unique_ptr<ByteSource> bytes = source_of_file(std::move(file), 0, size);
  Sha256 hash;
  Bytes buffer(1 * MiB);
  while (true) {
    TRY_ASSIGN(const std::size_t count, bytes->read(buffer));
    if (count == 0) return hash.finish();
    hash.update(ByteSpan(buffer).first(count));
  }
}

Result<std::set<Digest>> blobs_there(Env& env, const FileSystem::Path& folder) {
  std::set<Digest> there;
  TRY_ASSIGN(const bool any, env.files.exists(folder));
  if (!any) return there;
  TRY_ASSIGN(const std::vector<std::string> parts, env.files.list(folder));
  for (const std::string& part : parts) {
    TRY_ASSIGN(const std::vector<std::string> names, env.files.list(folder / part));
    for (const std::string& name : names) {
      if (const std::optional<Digest> digest = Digest::from_hex(name)) there.insert(*digest);
    }
  }
  return there;
}

}  // namespace

Result<VerifyReport> verify_data_store(Env& env, const VerifyOptions& options,
                                       const Finding& finding) {
  VerifyReport report;
  TRY_ASSIGN(sql::Database catalogue,
             sql::Database::open(options.directory / "catalogue.sqlite",
                                 {.error_area = "datastore", .read_only = true}));
  TRY_ASSIGN(const std::set<Digest> named, named_blobs(catalogue, report, finding));
  const FileSystem::Path folder = options.directory / "blobs";
  // After the rows: a blob is there before a row may name it.
  TRY_ASSIGN(const std::set<Digest> there, blobs_there(env, folder));
  TRY(check_rules(catalogue, report, finding));
  report.named_blobs = named.size();
  for (const Digest& digest : named) {
    const FileSystem::Path path = folder / digest.hex().substr(0, 2) / digest.hex();
    bool missing = !there.contains(digest);
    bool damaged = false;
    if (!missing && options.content) {
      const Result<Digest> actual = digest_of(env, path);
      if (!actual && actual.error().code != "disk.not_found") return actual.error();
      missing = !actual;
      damaged = actual && *actual != digest;
    }
    if (!missing && !damaged) continue;
    TRY_ASSIGN(const bool named_now, still_named(catalogue, digest));
    if (!named_now) continue;
    ++(missing ? report.missing_blobs : report.damaged_blobs);
    finding("blob " + digest.hex() + (missing ? " is missing" : " has other bytes than its name"));
  }
  for (const Digest& digest : there) {
    if (!named.contains(digest)) ++report.unnamed_blobs;
  }
  return report;
}

}  // namespace isthmus::datastore
