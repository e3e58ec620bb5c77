// isthmus-import-worker: examines files for the data store's import, and decodes frames, where a
// crash costs one file or frame. The protocol is in
// datastore/engine/examine.h, render.h and rewrite.h.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <new>
#include <string>
#include <string_view>

#include "base/env.h"
#include "datastore/engine/examine.h"
#include "datastore/engine/render.h"
#include "datastore/engine/rewrite.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

struct Options {
  std::uint64_t memory_bytes = 1 * GiB;
  std::uint64_t cpu_seconds = 30;
};

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view text = argv[i + 1];
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value == 0) return false;
    if (name == "--memory-bytes") {
      options.memory_bytes = value;
    } else if (name == "--cpu-seconds") {
      options.cpu_seconds = value;
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

void limit(decltype(RLIMIT_AS) what, rlim_t soft, rlim_t hard) {
  const rlimit value{.rlim_cur = soft, .rlim_max = hard};
  // A limit that is lower already stays: then we may not raise it, and need not.
  if (setrlimit(what, &value) != 0)
    std::fputs("isthmus-import-worker: a limit was not set\n", stderr);
}

// Of this process now: the first number of statm, in pages (proc(5)).
std::uint64_t address_space_bytes() {
  const auto file = posix_files().open("/proc/self/statm", FileSystem::Mode::read_only);
  std::array<std::byte, 64> text{};
  if (!file.ok() || !(*file)->read_at(0, text).ok()) return 0;
  std::uint64_t pages = 0;
  const auto* begin = reinterpret_cast<const char*>(text.data());
  std::from_chars(begin, begin + text.size(), pages);
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// What this process may do from here on: compute, within limits, and write to its pipe. Not
// PR_SET_PDEATHSIG: it fires when the thread that spawned us ends, not the process (prctl(2)).
// When the process dies, reading the next request finds the end of the pipe, and the limits bound
// the wait.
void lock_down(const Options& options) {
  limit(RLIMIT_CORE, 0, 0);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const rlim_t space = address_space_bytes() + options.memory_bytes;
  limit(RLIMIT_AS, space, space);
  struct stat out {};
  const bool pipe = fstat(STDOUT_FILENO, &out) == 0 && !S_ISREG(out.st_mode);
  if (pipe) limit(RLIMIT_FSIZE, 0, 0);
}

// A file's buffers are given back and taken again with the next file: the pages stay meanwhile.
void keep_memory() {
  constexpr int kKeptBytes = 32 * MiB;
  mallopt(M_MMAP_THRESHOLD, kKeptBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  mallopt(M_TOP_PAD, 1 * MiB);
}

// Processor time counts from the start of the process, and the limit is meant per file: it goes on.
void allow_cpu(std::uint64_t seconds) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto so_far = static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  limit(RLIMIT_CPU, so_far + seconds + 1, RLIM_INFINITY);
}

json refused(const char* type, const char* code, const char* message) {
  return {{"ok", false}, {"exceptionType", type}, {"code", code}, {"message", message}};
}

json carry_out(const json& request, const Options& options) {
  if (request.is_object() && request.contains("keywords")) {
    return look_up_keywords(request["keywords"]);
  }
  if (!request.is_object() || !request.contains("path") || !request["path"].is_string()) {
    return refused("InternalServerException", "worker.bad_request",
                   "The request is not understood.");
  }
  const json unreadable =
      refused("InternalServerException", "disk.not_found", "The file cannot be read now.");
  auto file = posix_files().open(request["path"].get<std::string>(), FileSystem::Mode::read_only);
  if (!file.ok()) return unreadable;
  if (request.contains("render")) return render_frame(std::move(file).value(), request);
  const Result<std::uint64_t> size = (*file)->size();
  if (!size.ok()) return unreadable;
  if (request.contains("rewrite")) {
    const auto source = source_of_file(std::move(file).value(), 0, *size);
    const std::string syntax = request.value("transferSyntax", "");
    return syntax.empty() ? rewrite_file(*source, request["rewrite"])
                          : transcode_file(*source, request["rewrite"], syntax);
  }
  const std::uint64_t offset = request.value("offset", std::uint64_t{0});
  if (offset > *size) return unreadable;
  const std::uint64_t length = request.value("length", *size - offset);
  if (length > *size - offset) return unreadable;
  // Decoding may take a third of the time; what is left must do for the rest.
  const ExamineLimits limits{
      .measure_frames = request.value("measure", true),
      .pixel_time = std::chrono::seconds(std::max<std::uint64_t>(options.cpu_seconds / 3, 1))};
  return examine(*source_of_file(std::move(file).value(), offset, length), limits);
}

// Memory is given back before the answer is made: the answer itself needs some.
std::string answer(const std::string& line, const Options& options) {
  json result;
  json id;
  try {
    const json request = json::parse(line, nullptr, false);
    if (request.is_object() && request.contains("id")) id = request["id"];
    result = carry_out(request, options);
  } catch (const std::bad_alloc&) {
    result = refused("InternalServerException", "worker.out_of_memory",
                     "Examining the file needs more memory than is allowed.");
  } catch (const json::exception&) {
    result =
        refused("InternalServerException", "worker.bad_request", "The request is not understood.");
  }
  if (!id.is_null()) result["id"] = id;
  return print_answer(std::move(result));
}

int run(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fputs("usage: isthmus-import-worker [--memory-bytes N] [--cpu-seconds N]\n", stderr);
    return 2;
  }
  if (const Result<void> ready = prepare_examiner(); !ready.ok()) {
    std::fputs(("isthmus-import-worker: " + ready.error().message + "\n").c_str(), stderr);
    return 3;
  }
  keep_memory();
  lock_down(options);
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    allow_cpu(options.cpu_seconds);
    std::cout << answer(line, options) << '\n' << std::flush;
    if (!std::cout) return 4;
  }
  return 0;
}

}  // namespace
}  // namespace isthmus::datastore

int main(int argc, char** argv) {
  return isthmus::datastore::run(argc, argv);
}
