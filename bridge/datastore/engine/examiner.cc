#include "datastore/engine/examiner.h"

#include <nlohmann/json.hpp>

namespace isthmus::datastore {

ProcessExaminer::ProcessExaminer(Env& env, ProcessExaminerOptions options)
    : env_(env),
      options_(std::move(options)),
      deaths_(env.metrics.counter("datastore_import_worker_deaths_total",
                                  "Processes examining import files that died or were killed")) {}

Result<std::unique_ptr<WorkerProcess>> ProcessExaminer::lease() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<WorkerProcess> process = std::move(idle_.back());
      idle_.pop_back();
      return process;
    }
  }
  const auto seconds = std::max<std::int64_t>(
      1, std::chrono::ceil<std::chrono::seconds>(options_.file_timeout).count());
  return WorkerProcess::start(
      options_.program, {"--memory-bytes", std::to_string(options_.memory_bytes), "--cpu-seconds",
                         std::to_string(seconds)});
}

void ProcessExaminer::give_back(std::unique_ptr<WorkerProcess> process) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(process));
}

Result<std::string> ProcessExaminer::ask_once(const std::string& request) {
  TRY_ASSIGN(std::unique_ptr<WorkerProcess> process, lease());
  Result<std::string> answer = process->ask(request, options_.file_timeout, options_.answer_bytes);
  if (answer) {
    give_back(std::move(process));
  } else {
    deaths_.add();
    env_.log.warn("datastore.import_worker_lost", {{"code", answer.error().code}});
  }
  return answer;
}

Result<Bytes> ProcessExaminer::render(const FileSystem::Path& file, const FrameOrder& order) {
  const nlohmann::json request = {{"path", file.string()},
                                  {"datasetOffset", order.dataset_offset},
                                  {"render", order.form},
                                  {"description", to_json(order.description)},
                                  {"record", to_json(order.record)}};
  const Result<std::string> line = ask_once(request.dump());
  if (!line) {
    if (line.error().code == "datastore.worker_start") return line.error();
    // Killed from outside, or by the kernel for want of memory: another time it may do.
    const bool by_frame = line.error().code != "datastore.worker_killed";
    return by_frame ? permanent_error("pixels.broken", "Decoding the frame ended its process.")
                    : line.error();
  }
  const auto answer = nlohmann::json::parse(*line, nullptr, false);
  if (!answer.is_object() || !answer.contains("ok")) {
    return permanent_error("datastore.worker_answer", "The worker's answer cannot be read.");
  }
  if (!answer["ok"].get<bool>()) {
    const std::string code = answer.value("code", "pixels.broken");
    return code.starts_with("pixels.") ? permanent_error(code, answer.value("message", ""))
                                       : transient_error(code, answer.value("message", ""));
  }
  std::optional<Bytes> bytes = from_base64(answer.value("bytes", ""));
  if (!bytes) return permanent_error("datastore.worker_answer", "The frame cannot be read.");
  return std::move(*bytes);
}

Result<nlohmann::json> ProcessExaminer::ask_for_file(const nlohmann::json& request) {
  using nlohmann::json;
  TRY_ASSIGN(const std::string line,
             ask_once(request.dump(-1, ' ', false, json::error_handler_t::replace)));
  json answer = json::parse(line, nullptr, false);
  if (!answer.is_object()) {
    return transient_error("datastore.worker_answer", "The worker's answer cannot be read.");
  }
  if (!answer.value("ok", false)) {
    return permanent_error(answer.value("code", "rewrite.unsupported"),
                           answer.value("message", ""));
  }
  return answer;
}

Result<TranscodedFile> ProcessExaminer::transcode(const FileSystem::Path& file,
                                                  const nlohmann::json& metadata,
                                                  const std::string& transfer_syntax_uid) {
  using nlohmann::json;
  const json request = {
      {"path", file.string()}, {"rewrite", metadata}, {"transferSyntax", transfer_syntax_uid}};
  TRY_ASSIGN(const json answer, ask_for_file(request));
  std::optional<Bytes> head = from_base64(answer.value("head", ""));
  std::optional<Bytes> behind = from_base64(answer.value("behind", ""));
  if (!head || !behind) {
    return transient_error("datastore.worker_answer", "The new file cannot be read.");
  }
  TranscodedFile made{std::move(*head), std::move(*behind), std::nullopt};
  const auto pixels = answer.find("pixels");
  if (pixels == answer.end()) return made;
  made.pixels = {pixels->value("tag", std::uint32_t{0}), pixels->value("vr", "OW"), std::nullopt};
  if (pixels->contains("begin")) {
    made.pixels->range = {pixels->value("begin", std::uint64_t{0}),
                          pixels->value("end", std::uint64_t{0})};
    if (made.pixels->range->first > made.pixels->range->second) {
      return permanent_error("datastore.worker_answer", "The new file cannot be read.");
    }
  }
  return made;
}

Result<std::optional<RewrittenFile>> ProcessExaminer::rewrite(const FileSystem::Path& file,
                                                              const nlohmann::json& metadata) {
  using nlohmann::json;
  const json request = {{"path", file.string()}, {"rewrite", metadata}};
  TRY_ASSIGN(const json answer, ask_for_file(request));
  if (answer.value("same", false)) return std::optional<RewrittenFile>();
  std::optional<Bytes> head = from_base64(answer.value("head", ""));
  if (!head) return transient_error("datastore.worker_answer", "The new file cannot be read.");
  return std::optional(RewrittenFile{std::move(*head), answer.value("tail", std::uint64_t{0})});
}

Result<Examination> ProcessExaminer::examine(const FileSystem::Path& file) {
  const std::string request = nlohmann::json({{"path", file.string()}}).dump();
  Result<std::string> answer = ask_once(request);
  if (!answer && (answer.error().code == "datastore.worker_died" ||
                  answer.error().code == "datastore.worker_killed")) {
    // A code stream may have killed its decoder: that costs the frames, not the instance.
    answer = ask_once(nlohmann::json({{"path", file.string()}, {"measure", false}}).dump());
  }
  if (answer) {
    Result<Examination> examination = parse_examination(*answer);
    if (examination) return examination;
    return failed_examination("InternalServerException", examination.error().message);
  }
  const Error& error = answer.error();
  if (error.code == "datastore.worker_start") return error;
  // Twice a crash: it is the file. A timeout may be the machine's, a kill the administrator's or
  // the kernel's for want of memory: those can be tried again.
  const bool by_file =
      error.code == "datastore.worker_died" || error.code == "datastore.worker_babble";
  return failed_examination(by_file ? "ValidationException" : "InternalServerException",
                            error.message);
}

Result<Dictionary> ProcessExaminer::look_up(const std::vector<std::string>& keywords) {
  if (keywords.empty()) return Dictionary{};
  using nlohmann::json;
  const std::string request =
      json({{"keywords", keywords}}).dump(-1, ' ', false, json::error_handler_t::replace);
  TRY_ASSIGN(const std::string answer, ask_once(request));
  const json parsed = json::parse(answer, nullptr, false);
  const Error unexpected =
      transient_error("datastore.worker_answer", "The answer about keywords is not understood.");
  if (!parsed.is_object() || !parsed.contains("elements")) return unexpected;
  Dictionary dictionary;
  for (const auto& [keyword, entry] : parsed["elements"].items()) {
    if (!entry.is_object()) return unexpected;
    const std::optional<Level> level = level_from(entry.value("level", ""));
    if (!level) return unexpected;
    dictionary[keyword] = {entry.value("vr", ""), entry.value("several", false), *level,
                           entry.value("tag", "")};
  }
  return dictionary;
}

}  // namespace isthmus::datastore
