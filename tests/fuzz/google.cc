// What strangers say to the Google faces: the wildcard grammar of imports, and the JSON and header
// forms of Cloud Storage. Matches are held against a slow matcher of the contract's table; what is
// kept of a session is read back the same.
#include <algorithm>

#include "datastore/api/gcs_resource.h"
#include "datastore/engine/object_pattern.h"
#include "datastore/engine/update_document.h"
#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

using datastore::ObjectPattern;
namespace gcs = datastore::gcs;

// contracts/google-healthcare section 2, cell by cell: '*' and '?' stay within a folder.
bool matches_slowly(std::string_view pattern, std::string_view key) {
  if (const std::size_t deep = pattern.find("**"); deep != std::string_view::npos) {
    const std::string_view ending = pattern.substr(deep + 2);
    return key.size() >= deep + ending.size() && key.starts_with(pattern.substr(0, deep)) &&
           key.ends_with(ending);
  }
  std::vector<bool> row(key.size() + 1, false);
  row[0] = true;
  for (const char token : pattern) {
    std::vector<bool> next(key.size() + 1, false);
    if (token == '*') next[0] = row[0];
    for (std::size_t i = 1; i <= key.size(); ++i) {
      const char c = key[i - 1];
      if (token == '*') {
        next[i] = row[i] || (next[i - 1] && c != '/');
      } else {
        next[i] = row[i - 1] && (token == '?' ? c != '/' : token == c);
      }
    }
    row = std::move(next);
  }
  return row[key.size()];
}

// A URI, a newline, and an object's name.
void check_pattern(std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view uri = text.substr(0, end);
  const std::string_view key = text.substr(std::min(end + 1, text.size()));
  const auto pattern = ObjectPattern::parse(uri);
  if (!pattern) return;
  check(datastore::is_google_uri(uri), "only gs:// is taken");
  const std::string_view object =
      uri.substr(std::string_view("gs://").size() + pattern->bucket().size() + 1);
  check(pattern->literal() == (object.find_first_of("*?") == std::string_view::npos),
        "a literal is what has no wildcard");
  check(object.starts_with(pattern->prefix()), "the prefix is of the pattern");
  for (const std::string_view one : {key, object}) {
    check(pattern->matches(one) == matches_slowly(object, one), "as the slow matcher says");
    if (pattern->matches(one)) check(one.starts_with(pattern->prefix()), "matches have the prefix");
  }
}

void check_session(const gcs::ObjectWishes& wishes) {
  const std::string kept = gcs::print_session(wishes, {}, 17);
  const gcs::Session again = gcs::parse_session(kept);
  check(again.wishes.crc32c == wishes.crc32c && again.wishes.md5 == wishes.md5,
        "a session keeps the sums it was begun with");
  check(again.size_bytes == std::optional<std::uint64_t>(17), "and its size");
}

void check_resources(std::string_view text) {
  const std::string json(text);
  if (const auto wishes = gcs::parse_wishes(json, {})) check_session(*wishes);
  if (const auto headers = gcs::patched_headers({}, json)) {
    check(gcs::patched_headers(*headers, "{}").ok(), "what was patched can be patched");
  }
  gcs::ObjectWishes hashes;
  if (gcs::parse_hashes(text, hashes)) check_session(hashes);
  (void)gcs::parse_conditions({{"ifGenerationMatch", json}});
  if (const auto range = gcs::parse_content_range(text); range && range->first && range->last) {
    check(*range->last + 1 >= *range->first, "a range has an end behind its begin, or is empty");
    check(!range->total || *range->total == 0 || *range->last < *range->total,
          "and lies in the whole");
  }
}

void check_documents(std::string_view text) {
  const auto document = datastore::parse_update_document(text);
  if (!document) return;
  (void)datastore::check_update(*document, {}, datastore::UpdatePurpose::insert_or_replace, true);
  (void)datastore::check_update(*document, {}, datastore::UpdatePurpose::remove, false);
  (void)datastore::changes_uids(*document);
  (void)datastore::parse_copiable(text);
}

void run(ByteSpan input) {
  const std::string_view text = as_text(input);
  check_pattern(text);
  check_resources(text);
  check_documents(text);
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const char* uri : {"gs://b-1/in/a.dcm", "gs://b-1/in/*", "gs://b-1/in/?.dcm",
                          "gs://b-1/in/*/c.dcm", "gs://b-1/in/**", "gs://b-1/in/**.dcm",
                          "gs://b-1/**", "gs://b-1/*/**", "gs://b-1/in/**c.dcm*", "gs://b-1"}) {
    for (const char* key : {"in/a.dcm", "in/x/y/d.dcm", "inner.dcm", ""}) {
      all.push_back(std::string(uri) + "\n" + key);
    }
  }
  for (const char* text :
       {R"({"name":"in/1","contentType":"application/dicom","crc32c":"yZRlqg==",)"
        R"("md5Hash":"XrY7u+Ae7tCTyyK7j1rNww==","metadata":{"sop":"1.2.3","none":null}})",
        R"({"metadata":{"k":"v"},"cacheControl":null})",
        "crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww==", "bytes 0-262143/*",
        "bytes 524288-599999/600000", "bytes */*", "bytes */100", "0",
        R"({"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDescription":"CHEST"},"Series":{"1.2":)"
        R"({"DICOM":{},"Instances":{"1.3":{"DICOM":{"001910F9":"97"},)"
        R"("DICOMVRs":{"001910F9":"DS"}}}}}}})",
        R"({"SchemaVersion":"1.1","Study":{"Series":{"1.2":{"Instances":{"1.3":{}}}}}})"}) {
    all.emplace_back(text);
  }
  return all;
}

}  // namespace

Harness google_harness() {
  return {"google", run, 1 * KiB, seeds};
}

}  // namespace isthmus::fuzz
