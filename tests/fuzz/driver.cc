// libFuzzer's entry for one harness; ISTHMUS_HARNESS is the function that gives it. Called with
// --write-seeds FOLDER it writes the harness's seeds there instead, for libFuzzer to begin with.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz/fuzz.h"

namespace {

const isthmus::fuzz::Harness& harness() {
  static const isthmus::fuzz::Harness the_harness = isthmus::fuzz::ISTHMUS_HARNESS();
  return the_harness;
}

[[noreturn]] void write_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const std::string& seed : harness().seeds()) {
    std::ofstream(folder / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 3 && std::string((*argv)[1]) == "--write-seeds") write_seeds((*argv)[2]);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > harness().max_bytes) return -1;  // not to be kept
  harness().run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
