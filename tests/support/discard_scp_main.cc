// isthmus-discard-scp: the receiver of the product over a spool that throws everything away. What
// it takes per second is what the network, DCMTK and the probe allow on this machine; benches
// measure the gateway against it. Prints its port, then serves until SIGTERM or SIGINT.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "dimse/receiver.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

class DiscardedInstance final : public IncomingInstance {
 public:
  explicit DiscardedInstance(Env& env) : id_(InstanceId::make(env)) {}

  const InstanceId& id() const override { return id_; }
  Result<void> append(ByteSpan) override { return {}; }
  void dataset_begins() override {}
  Result<Receipt> commit(const Identified&) override { return Receipt{id_, false}; }

 private:
  InstanceId id_;
};

class DiscardingSpool final : public Spool {
 public:
  explicit DiscardingSpool(Env& env) : env_(env) {}

  Result<std::unique_ptr<IncomingInstance>> begin(const Origin&) override {
    return std::unique_ptr<IncomingInstance>(std::make_unique<DiscardedInstance>(env_));
  }
  Result<std::unique_ptr<ByteSource>> open(const SpoolRef&) override {
    return permanent_error("spool.not_found", "Nothing is kept here.");
  }
  Result<void> free(const SpoolRef&) override { return {}; }
  Result<std::size_t> recover() override { return std::size_t{0}; }
  Result<void> catch_up() override { return {}; }
  Result<std::uint64_t> used_bytes() override { return std::uint64_t{0}; }

 private:
  Env& env_;
};

int serve(std::uint16_t port) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before there are threads: all inherit it
  TestEnv env(1, posix_files(), true);
  DiscardingSpool spool(env);
  Admission admission(env, {env.folder(), 0, 0});
  SenderPolicy everybody;
  everybody.mode = SenderMode::open;
  Senders senders(everybody);
  DimseOptions options;
  options.port = port;
  auto receiver = open_dimse_receiver(env, spool, admission, senders, options);
  if (!receiver.ok()) {
    fmt::print(stderr, "isthmus-discard-scp: {}\n", describe(receiver.error()));
    return 1;
  }
  fmt::print("{{\"dimse_port\":{}}}\n", (*receiver)->port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  (*receiver)->stop();
  return 0;
}

}  // namespace
}  // namespace isthmus::test

int main(int argc, char** argv) {
  return isthmus::test::serve(argc > 1 ? static_cast<std::uint16_t>(std::atoi(argv[1])) : 0);
}
