// isthmus-raw-send: sends Part 10 files by C-STORE byte for byte, in whatever transfer syntax they
// are, over one or several associations; one JSON line an instance, then a summary.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "support/raw_scu.h"

namespace isthmus::test {
namespace {

using Clock = std::chrono::steady_clock;

struct SendOptions {
  std::string host = "127.0.0.1";
  int port = 11112;
  std::string called_ae_title = "ISTHMUS";
  std::string calling_ae_title = "RAWSCU";
  std::vector<std::string> paths;
  int repeat = 1;
  int associations = 1;
  double seconds = 0;  // 0: by `repeat`
  bool unique_uids = false;
  bool preload = false;
  double no_response_timeout_s = 60;
  std::uint32_t pdu_bytes = 131072;
  bool quiet = false;
  bool tls = false;
  std::string tls_certificate, tls_key;  // PEM files
};

std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(text).str();
}

struct Totals {
  std::mutex mutex;
  std::size_t sent = 0, answered = 0, succeeded = 0;
  std::uint64_t bytes = 0;
  std::vector<double> milliseconds;
};

std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

// As long as the one it replaces; of the 2.25 arc when there is room.
std::string fresh_uid(std::size_t length, std::mt19937_64& random) {
  std::string uid = length >= 16 ? "2.25." : "1.";
  uid.push_back(static_cast<char>('1' + random() % 9));
  while (uid.size() < length) uid.push_back(static_cast<char>('0' + random() % 10));
  uid.resize(length);
  return uid;
}

std::vector<std::string> files_under(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct Item {
  std::string path;
  std::string sop_class_uid;
  std::string transfer_syntax_uid;
  std::optional<RawFile> loaded;  // when all is read before the first is sent
};

class Sender {
 public:
  Sender(const SendOptions& options, Totals& totals, std::vector<Item> items, std::uint64_t seed)
      : options_(options), totals_(totals), items_(std::move(items)), random_(seed) {}

  // One association after the other, each with as many contexts as fit.
  void run() {
    for (std::size_t begin = 0; begin < items_.size();) {
      std::map<std::pair<std::string, std::string>, int> contexts;
      std::size_t end = begin;
      for (; end < items_.size(); ++end) {
        const auto key = std::pair(items_[end].sop_class_uid, items_[end].transfer_syntax_uid);
        if (contexts.count(key) != 0) continue;
        if (contexts.size() == 128) break;
        contexts.emplace(key, static_cast<int>(2 * contexts.size() + 1));
      }
      send_range(begin, end, contexts);
      begin = end;
    }
  }

 private:
  using Contexts = std::map<std::pair<std::string, std::string>, int>;

  void send_range(std::size_t begin, std::size_t end, const Contexts& contexts) {
    RawAssociate request;
    request.called_ae_title = options_.called_ae_title;
    request.calling_ae_title = options_.calling_ae_title;
    for (const auto& [key, id] : contexts)
      request.contexts.push_back({id, key.first, {key.second}});
    const auto timeout =
        Milliseconds(static_cast<std::int64_t>(options_.no_response_timeout_s * 1000));
    RawTls tls;
    if (!options_.tls_certificate.empty()) {
      tls = {.certificate_pem = text_of_file(options_.tls_certificate),
             .key_pem = text_of_file(options_.tls_key)};
    }
    auto scu = RawScu::associate(options_.host, static_cast<std::uint16_t>(options_.port), request,
                                 timeout, options_.tls ? &tls : nullptr);
    std::string broken = scu.ok() ? "" : describe(scu.error());
    if (scu.ok()) (*scu)->set_pdu_bytes(options_.pdu_bytes);
    const auto until = Clock::now() + std::chrono::duration<double>(options_.seconds);
    const auto goes_on = [&](int round) {
      return options_.seconds > 0 ? broken.empty() && Clock::now() < until
                                  : round < options_.repeat;
    };
    for (int round = 0; goes_on(round); ++round) {
      for (std::size_t i = begin; i < end; ++i) {
        if (options_.seconds > 0 && !goes_on(round)) break;
        Item& item = items_[i];
        const int id = contexts.at({item.sop_class_uid, item.transfer_syntax_uid});
        if (broken.empty()) {
          broken = send_one(**scu, item, id);
        } else {
          report(item.path, "", std::nullopt, 0, broken);
        }
      }
    }
    if (broken.empty()) ignore((*scu)->release(), "everything was answered");
  }

  // Gives why the association is of no use any more, or nothing.
  std::string send_one(RawScu& scu, Item& item, int context_id) {
    std::optional<RawFile> read;
    if (!item.loaded) {
      auto from_disk = read_raw_file(item.path);
      if (!from_disk.ok()) {
        report(item.path, "", std::nullopt, 0, describe(from_disk.error()));
        return {};
      }
      read = std::move(from_disk).value();
    }
    RawFile* const file = item.loaded ? &*item.loaded : &*read;
    if (options_.unique_uids) {
      replace_sop_instance_uid(*file, fresh_uid(file->sop_instance_uid.size(), random_));
    }
    if (scu.accepted().count(context_id) == 0) {
      report(item.path, file->sop_instance_uid, std::nullopt, 0, "the context was refused");
      return {};
    }
    const auto began = Clock::now();
    const auto response =
        scu.store(context_id, file->sop_class_uid, file->sop_instance_uid, file->dataset);
    const double took = std::chrono::duration<double, std::milli>(Clock::now() - began).count();
    if (!response.ok()) {
      report(item.path, file->sop_instance_uid, std::nullopt, took, describe(response.error()));
      return describe(response.error());
    }
    report(item.path, file->sop_instance_uid, response->status, took, {}, file->dataset.size());
    return {};
  }

  void report(const std::string& path, const std::string& uid, std::optional<int> status,
              double milliseconds, const std::string& error, std::size_t bytes = 0) {
    const std::lock_guard lock(totals_.mutex);
    ++totals_.sent;
    if (status) {
      ++totals_.answered;
      totals_.succeeded += *status == 0 ? 1 : 0;
      totals_.bytes += bytes;
      totals_.milliseconds.push_back(milliseconds);
    }
    if (options_.quiet && status == 0) return;
    const std::string code = status ? fmt::format("\"0x{:04x}\"", *status) : "null";
    std::string line =
        fmt::format("{{\"file\":{},\"sop_instance_uid\":{},\"status\":{},\"ms\":{:.3f}",
                    json_text(path), json_text(uid), code, milliseconds);
    if (!error.empty()) line += ",\"error\":" + json_text(error);
    // Flushed at once: whoever kills the receiver wants to know what was acknowledged until then.
    fmt::print("{}}}\n", line);
    std::fflush(stdout);
  }

  const SendOptions& options_;
  Totals& totals_;
  std::vector<Item> items_;
  std::mt19937_64 random_;
};

double percentile(std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

int send_all(const SendOptions& options) {
  std::vector<std::vector<Item>> shares(static_cast<std::size_t>(options.associations));
  std::size_t next = 0;
  for (const std::string& path : files_under(options.paths)) {
    auto file = read_raw_file(path);
    if (!file.ok()) {
      fmt::print("{{\"file\":{},\"skipped\":{}}}\n", json_text(path),
                 json_text(describe(file.error())));
      continue;
    }
    Item item{path, file->sop_class_uid, file->transfer_syntax_uid, std::nullopt};
    if (options.preload) item.loaded = std::move(file).value();
    shares[next++ % shares.size()].push_back(std::move(item));
  }
  Totals totals;
  std::random_device seed;
  std::vector<std::thread> threads;
  const auto began = Clock::now();
  for (auto& share : shares) {
    const std::uint64_t random_seed = (std::uint64_t{seed()} << 32) | seed();
    threads.emplace_back(
        [&, random_seed] { Sender(options, totals, std::move(share), random_seed).run(); });
  }
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  auto& took = totals.milliseconds;
  std::sort(took.begin(), took.end());
  fmt::print(
      "{{\"summary\":{{\"sent\":{},\"answered\":{},\"succeeded\":{},\"unanswered\":{},"
      "\"bytes\":{},\"seconds\":{:.3f},\"instances_per_second\":{:.1f},\"p50_ms\":{:.3f},"
      "\"p99_ms\":{:.3f}}}}}\n",
      totals.sent, totals.answered, totals.succeeded, totals.sent - totals.answered, totals.bytes,
      seconds, static_cast<double>(totals.answered) / std::max(seconds, 1e-9),
      percentile(took, 0.5), percentile(took, 0.99));
  return totals.sent == totals.answered ? 0 : 1;
}

}  // namespace
}  // namespace isthmus::test

int main(int argc, char** argv) {
  isthmus::test::SendOptions options;
  CLI::App app("Sends DICOM files by C-STORE, byte for byte, in any transfer syntax.");
  app.add_option("--host", options.host, "Where the receiver listens");
  app.add_option("--port", options.port, "Its port")->required();
  app.add_option("--aec", options.called_ae_title, "Called AE title");
  app.add_option("--aet", options.calling_ae_title, "Calling AE title");
  app.add_option("--repeat", options.repeat, "How many times everything is sent")
      ->check(CLI::PositiveNumber);
  app.add_option("--associations", options.associations, "How many send at the same time")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seconds", options.seconds, "Send everything again and again for this long");
  app.add_flag("--preload", options.preload, "Read all files before the first is sent");
  app.add_flag("--unique-uids", options.unique_uids,
               "Give every instance that is sent a fresh SOP Instance UID of the same length");
  app.add_option("--no-response-timeout", options.no_response_timeout_s,
                 "Seconds to wait for each answer")
      ->check(CLI::PositiveNumber);
  app.add_option("--pdu", options.pdu_bytes, "Largest PDU to send, in bytes")
      ->check(CLI::Range(8, 131072));
  app.add_flag("--quiet", options.quiet, "Say nothing of what succeeded, but for the summary");
  app.add_flag("--tls", options.tls, "Speak TLS, whoever the receiver is");
  auto* certificate = app.add_option("--tls-cert", options.tls_certificate,
                                     "The certificate to show, PEM; implies --tls");
  certificate->needs(app.add_option("--tls-key", options.tls_key, "Its key, PEM"));
  app.add_option("paths", options.paths, "Files and folders")->required();
  CLI11_PARSE(app, argc, argv);
  options.tls = options.tls || !options.tls_certificate.empty();
  return isthmus::test::send_all(options);
}
