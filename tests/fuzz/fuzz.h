// What a fuzz harness is: one function that takes any bytes, gives them to code that has to stand
// any bytes, and says what must be true of what comes out. The same function is driven by libFuzzer
// (preset "fuzz", run.sh) and, over its seeds, by the default suite (replay_test.cc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace isthmus::fuzz {

struct Harness {
  const char* name;
  // Throws what check() throws when a promise is broken. Any bytes up to max_bytes.
  void (*run)(ByteSpan input);
  std::size_t max_bytes;  // longer ones find nothing that shorter ones do not
  // Inputs by recipe and, when it is there, from ../shared; in the layout that `run` takes.
  std::vector<std::string> (*seeds)();
};

// One function a harness, of the name of its file.
Harness associate_harness();
Harness command_harness();
Harness commitment_harness();
Harness connection_harness();
Harness dataset_harness();
Harness dicom_model_harness();
Harness google_harness();
Harness gzip_harness();
Harness healthimaging_harness();
Harness http_body_harness();
Harness http_head_harness();
Harness multipart_harness();
Harness part10_harness();
Harness report_harness();
Harness s3_xml_harness();
Harness segment_harness();
Harness sigv4_harness();

// Ends this input as a finding.
void check(bool holds, std::string_view what);
template <typename Left, typename Right>
void check_equal(const Left& left, const Right& right, std::string_view what) {
  check(left == right, what);
}
// Says both, too.
void check_equal(const std::string& left, const std::string& right, std::string_view what);

// The head of an input says how the rest is cut: one byte with the number of pieces (0 to 15), then
// two bytes for the length of each; what is left over is the last piece.
struct Cut {
  std::vector<std::size_t> lengths;
  ByteSpan bytes;

  std::vector<ByteSpan> pieces() const;
};
Cut read_cut(ByteSpan input);
// The head for `lengths`, to be put before a seed's bytes.
std::string cut_head(const std::vector<std::size_t>& lengths);
// Every byte a piece of its own.
std::vector<ByteSpan> single_bytes(ByteSpan bytes);

// For harnesses that let DCMTK read: it has a line to say about every broken byte.
void silence_dcmtk();

// Files below a folder of ../shared that are at most `max_bytes` long; none when it is not there.
std::vector<std::string> shared_files(std::string_view folder, std::size_t max_bytes);

}  // namespace isthmus::fuzz
