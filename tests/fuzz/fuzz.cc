#include "fuzz/fuzz.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/test_env.h"

namespace isthmus::fuzz {
namespace {

constexpr std::size_t kMaxPieces = 15;

}  // namespace

void check(bool holds, std::string_view what) {
  if (!holds) throw std::logic_error(std::string(what));
}

void check_equal(const std::string& left, const std::string& right, std::string_view what) {
  if (left != right) check(false, std::string(what) + ": \"" + left + "\" and \"" + right + "\"");
}

std::vector<ByteSpan> Cut::pieces() const {
  std::vector<ByteSpan> pieces;
  ByteSpan left = bytes;
  for (const std::size_t length : lengths) {
    const std::size_t count = std::min(length, left.size());
    pieces.push_back(left.first(count));
    left = left.subspan(count);
  }
  pieces.push_back(left);
  return pieces;
}

Cut read_cut(ByteSpan input) {
  Cut cut;
  if (input.empty()) return cut;
  const std::size_t count = std::to_integer<std::size_t>(input[0]) & kMaxPieces;
  input = input.subspan(1);
  for (std::size_t i = 0; i < count && input.size() >= 2; ++i) {
    cut.lengths.push_back(std::to_integer<std::size_t>(input[0]) |
                          std::to_integer<std::size_t>(input[1]) << 8);
    input = input.subspan(2);
  }
  cut.bytes = input;
  return cut;
}

std::string cut_head(const std::vector<std::size_t>& lengths) {
  std::string head(1, static_cast<char>(lengths.size() & kMaxPieces));
  for (const std::size_t length : lengths) {
    head.push_back(static_cast<char>(length & 0xff));
    head.push_back(static_cast<char>(length >> 8 & 0xff));
  }
  return head;
}

std::vector<ByteSpan> single_bytes(ByteSpan bytes) {
  std::vector<ByteSpan> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.subspan(i, 1));
  return pieces;
}

std::vector<std::string> shared_files(std::string_view folder, std::size_t max_bytes) {
  namespace fs = std::filesystem;
  std::vector<std::string> contents;
  const auto shared = test::shared_folder();
  if (!shared || !fs::is_directory(*shared / folder)) return contents;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(*shared / folder)) {
    if (entry.is_regular_file() && entry.file_size() <= max_bytes) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    contents.push_back(std::move(text).str());
  }
  return contents;
}

}  // namespace isthmus::fuzz
