#include "datastore/engine/catalogue.h"

#include <utility>

#include "datastore/engine/schema.h"

namespace isthmus::datastore {
namespace {

constexpr const char* kArea = "datastore";
constexpr std::size_t kMostInOneCommit = 256;
constexpr std::int64_t kCheckpointPages = 2000;  // 8 MB of log
constexpr std::size_t kReadersAtRest = 8;

}  // namespace

Result<std::unique_ptr<Catalogue>> Catalogue::open(Env& env, const FileSystem::Path& directory) {
  TRY(env.files.create_directories(directory));
  TRY_ASSIGN(sql::LockFile lock, sql::LockFile::acquire(directory / "catalogue.lock", kArea));
  FileSystem::Path file = directory / "catalogue.sqlite";
  TRY_ASSIGN(sql::Database writer, sql::Database::open(file, {.error_area = kArea}));
  TRY(sql::migrate(writer, catalogue_migrations()));
  // The file itself must be there after a power cut, not only what is in it.
  TRY(env.files.sync_directory(directory));
  return std::unique_ptr<Catalogue>(
      new Catalogue(env, std::move(file), std::move(lock), std::move(writer)));
}

Catalogue::Catalogue(Env& env, FileSystem::Path file, sql::LockFile lock, sql::Database writer)
    : env_(env),
      file_(std::move(file)),
      lock_(std::move(lock)),
      writer_(std::move(writer)),
      thread_(env, "ds-catalogue", [this] { work(); }) {}

Catalogue::~Catalogue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  arrived_.notify_all();
  thread_.join();
}

Result<void> Catalogue::carry_out(const Change& change) {
  Waiting waiting;
  waiting.change = &change;
  std::unique_lock lock(mutex_);
  ASSERT(!closing_);
  queue_.push_back(&waiting);
  arrived_.notify_one();
  done_.wait(lock, [&] { return waiting.outcome.has_value(); });
  return std::move(*waiting.outcome);
}

void Catalogue::work() {
  std::vector<Waiting*> group;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      group.clear();
      while (!queue_.empty() && group.size() < kMostInOneCommit) {
        group.push_back(queue_.front());
        queue_.pop_front();
      }
    }
    commit_group(group);
    checkpoint_when_due();
  }
}

void Catalogue::commit_group(std::vector<Waiting*>& group) {
  std::vector<Result<void>> own(group.size());
  const auto run_all = [&]() -> Result<void> {
    TRY_ASSIGN(sql::Transaction transaction, sql::Transaction::begin(writer_));
    for (std::size_t i = 0; i < group.size(); ++i) {
      TRY_ASSIGN(sql::Savepoint part, sql::Savepoint::begin(writer_));
      own[i] = (*group[i]->change)(writer_);
      if (own[i]) TRY(part.release());
      if (!writer_.in_transaction()) {
        // SQLite gives the whole transaction up when the disk is full or failing.
        return own[i] ? transient_error("datastore.busy", "The transaction was given up.")
                      : own[i].error();
      }
    }
    return transaction.commit();
  };
  const Result<void> all = run_all();
  report_fatal(all);
  for (const Result<void>& outcome : own) report_fatal(outcome);
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < group.size(); ++i) {
      // What this change itself says stands, unless it succeeded and its transaction did not.
      group[i]->outcome = own[i].ok() ? all : std::move(own[i]);
    }
  }
  done_.notify_all();
}

void Catalogue::checkpoint_when_due() {
  if (writer_.log_pages() < kCheckpointPages) return;
  const auto moved = writer_.checkpoint();
  if (!moved) report_fatal(moved.error());
}

void Catalogue::report_fatal(const Result<void>& outcome) {
  if (!outcome && outcome.error().fate == Fate::fatal && env_.on_fatal) {
    env_.on_fatal(outcome.error());
  }
}

Result<std::unique_ptr<sql::Database>> Catalogue::lease_reader() {
  {
    const std::lock_guard lock(mutex_);
    if (!readers_.empty()) {
      std::unique_ptr<sql::Database> reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
  }
  TRY_ASSIGN(sql::Database reader,
             sql::Database::open(file_, {.error_area = kArea, .read_only = true}));
  return std::make_unique<sql::Database>(std::move(reader));
}

Result<void> Catalogue::look(const Change& body) {
  TRY_ASSIGN(std::unique_ptr<sql::Database> reader, lease_reader());
  Result<void> outcome = [&]() -> Result<void> {
    TRY_ASSIGN(const sql::Transaction view, sql::Transaction::begin_read(*reader));
    return body(*reader);
  }();
  const std::lock_guard lock(mutex_);
  if (readers_.size() < kReadersAtRest) readers_.push_back(std::move(reader));
  return outcome;
}

}  // namespace isthmus::datastore
